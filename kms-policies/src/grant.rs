//! Grants: what a principal may do with a key, beside its policy. Source: KMS Developer Guide,
//! "Grants in AWS KMS"; KMS API Reference, `GrantListEntry`, `GrantConstraints`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    actions::WITH_ENCRYPTION_CONTEXT,
    arn::Arn,
    caller::Caller,
    error::{PolicyError, Position, Problem},
    json::{offset, read},
    principal::is_unique_id,
    request::Asked,
    truth::{Context, Truth},
};

/// The names of an encryption context's pairs.
const NAMES: &str = "kms:encryptioncontextkeys";

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Who may; nobody where the grantee was deleted since.
    pub(crate) grantee: Option<Caller>,
    /// `Decrypt`, `GenerateDataKey`, …
    pub operations: Vec<String>,
    key: Option<Arn>,
    constraints: Constraints,
}

/// What a grant asks of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Constraints {
    /// The encryption context holds at least this.
    encryption_context_subset: Option<BTreeMap<String, String>>,
    /// It is exactly this.
    encryption_context_equals: Option<BTreeMap<String, String>>,
    /// For which resource a service asks.
    source_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List<'a> {
    #[serde(borrow)]
    grants: Vec<&'a RawValue>,
    #[serde(default)]
    truncated: bool,
    #[serde(default, rename = "NextToken", alias = "NextMarker")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    grant_id: String,
    #[serde(default)]
    key_id: Option<String>,
    #[serde(default)]
    grantee_principal: Option<String>,
    #[serde(default)]
    grantee_service_principal: Option<String>,
    operations: Vec<String>,
    #[serde(default)]
    constraints: Option<Constraints>,
}

impl Grant {
    /// Reads what `aws kms list-grants` prints: `{"Grants":[…]}`.
    ///
    /// # Errors
    /// [`PolicyError`] with line and column. A constraint of an unknown kind is one, and so is a list that
    /// says that it is not the whole.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PolicyError> {
        let printed = Problem::Expected("what aws kms list-grants prints");
        let list: List<'_> =
            read(text, text).map_err(|error| PolicyError::new("grants", error.at, printed.clone()))?;
        if list.truncated || list.next_token.is_some() {
            let whole = Problem::Expected("all grants, not a page of them (Truncated, NextToken),");
            return Err(PolicyError::new("grants", Position::START, whole));
        }
        let grant = |(at, raw): (usize, &RawValue)| {
            let path = || format!("Grants[{at}]");
            let entry: Entry =
                read(raw.get(), text).map_err(|error| PolicyError::new(path(), error.at, printed.clone()))?;
            let wrong = |what| {
                let at = Position::of(text, offset(raw.get(), text));
                PolicyError::new(path(), at, Problem::Expected(what))
            };
            let key = entry.key_id.filter(|key| key.starts_with("arn:")).map(|key| key.parse::<Arn>());
            let whom = "the ARN of a principal, or a service, as the grantee";
            let grantee = entry.grantee_principal.or(entry.grantee_service_principal).unwrap_or_default();
            Ok(Self {
                id: if entry.grant_id.is_empty() { format!("Grants[{at}]") } else { entry.grant_id },
                grantee: match is_unique_id(&grantee) {
                    true => None,
                    false => Some(
                        Caller::parse(&grantee)
                            .or_else(|_| Caller::aws_service(&grantee))
                            .map_err(|_| wrong(whom))?,
                    ),
                },
                operations: entry.operations,
                key: match key {
                    None => None,
                    Some(key) => {
                        let key = key.ok().filter(Arn::is_key);
                        Some(key.ok_or_else(|| wrong("the ARN of a key as KeyId"))?)
                    }
                },
                constraints: entry.constraints.unwrap_or_default(),
            })
        };
        list.grants.into_iter().enumerate().map(grant).collect()
    }

    /// For these operations to anyone who is this caller, without a constraint.
    pub(crate) fn to(grantee: Caller, operations: &[&str]) -> Self {
        let operations = operations.iter().map(ToString::to_string).collect();
        let constraints = Constraints::default();
        Self { id: "a new grant".to_owned(), grantee: Some(grantee), operations, key: None, constraints }
    }

    /// The key that it is on, where it says so.
    pub(crate) fn key(&self) -> Option<&Arn> {
        self.key.as_ref()
    }

    /// Who may; nobody where the grantee was deleted since.
    pub fn grantee(&self) -> Option<&Caller> {
        self.grantee.as_ref()
    }

    /// Whether it is for this caller.
    pub(crate) fn is_for(&self, caller: &Caller) -> bool {
        let Some(grantee) = &self.grantee else { return false };
        match (grantee.principal(), grantee.session()) {
            _ if grantee.service().is_some() => grantee.service() == caller.service(),
            (_, Some(session)) => caller.session() == Some(session),
            // The root user of an account stands for the account, as in a policy.
            (Some(account), None) if grantee.is_root() => caller.account() == Some(account.account()),
            (principal, None) => caller.principal() == principal,
        }
    }

    /// Whether the encryption context must be exactly what it says.
    pub(crate) fn is_exact(&self) -> bool {
        self.constraints.encryption_context_equals.is_some()
    }

    /// Whether it is for a whole account, whose IAM policies say who of it.
    pub(crate) fn delegates_to(&self, caller: &Caller) -> bool {
        self.grantee.as_ref().is_some_and(Caller::is_root) && !caller.is_root()
    }

    /// Whether it grants what is asked.
    pub(crate) fn grants(&self, asked: Asked<'_>, context: &dyn Context) -> Truth {
        let operation = asked.action.strip_prefix("kms:").unwrap_or_default();
        let listed = self.operations.iter().any(|one| one == operation);
        let key = self.key.as_ref().is_none_or(|key| key.as_str() == asked.resource);
        if !self.is_for(asked.caller) || !listed || !key {
            return Truth::No;
        }
        let Constraints { encryption_context_subset, encryption_context_equals, source_arn } =
            &self.constraints;
        let source = source_arn.as_ref().map_or(Truth::Yes, |arn| {
            context.values("aws:sourcearn").map_or(Truth::Maybe, |found| found.contains(arn).into())
        });
        // KMS API Reference, `GrantConstraints`: they bear on operations with an encryption context.
        if !WITH_ENCRYPTION_CONTEXT.contains(&operation) {
            return source;
        }
        let subset = encryption_context_subset.as_ref().map_or(Truth::Yes, |pairs| includes(pairs, context));
        let equals = encryption_context_equals.as_ref().map_or(Truth::Yes, |pairs| {
            let among = |name: &String| pairs.keys().any(|known| same_name(known, name));
            let only = match context.values(NAMES) {
                Some(found) => found.iter().all(among).into(),
                None if !context.some_values(NAMES).iter().all(among) => Truth::No,
                None => Truth::Maybe,
            };
            includes(pairs, context).and(only)
        });
        source.and(subset).and(equals)
    }

    /// The pairs that its constraints want in the encryption context.
    pub(crate) fn encryption_context(&self) -> impl Iterator<Item = (&String, &String)> {
        let Constraints { encryption_context_subset, encryption_context_equals, .. } = &self.constraints;
        encryption_context_subset.iter().chain(encryption_context_equals).flatten()
    }

    /// The resource that a service must ask for.
    pub(crate) fn source_arn(&self) -> Option<&str> {
        self.constraints.source_arn.as_deref()
    }
}

/// Whether an encryption context holds these pairs. KMS API Reference, `GrantConstraints`: the name of a
/// pair has no case, its value has.
fn includes(pairs: &BTreeMap<String, String>, context: &dyn Context) -> Truth {
    Truth::all(pairs.iter().map(|(name, value)| {
        let found = context.values(&format!("kms:encryptioncontext:{}", name.to_lowercase()));
        found.map_or(Truth::Maybe, |found| found.contains(value).into())
    }))
}

fn same_name(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
