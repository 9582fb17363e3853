//! Grants: what a principal may do with a key, beside its policy. Source: KMS Developer Guide,
//! "Grants in AWS KMS"; KMS API Reference, `GrantListEntry`, `GrantConstraints`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    actions::WITH_ENCRYPTION_CONTEXT,
    arn::Arn,
    caller::Caller,
    error::{PolicyError, Position, Problem},
    evaluate::Asked,
    truth::{Context, Truth},
};

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// Who may.
    pub(crate) grantee: Caller,
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
struct List {
    grants: Vec<Entry>,
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
    /// [`PolicyError`] with line and column. A constraint of an unknown kind is one.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, PolicyError> {
        let list: List = serde_json::from_str(text).map_err(|error| {
            let at = Position { line: error.line().max(1), column: error.column().max(1) };
            PolicyError::new("grants", at, Problem::Expected("what aws kms list-grants prints"))
        })?;
        let wrong = |at: usize, what| {
            PolicyError::new(format!("Grants[{at}]"), Position::START, Problem::Expected(what))
        };
        let read = |(at, entry): (usize, Entry)| {
            let key = entry.key_id.filter(|key| key.starts_with("arn:")).map(|key| key.parse());
            let whom = "the ARN of a principal, or a service, as the grantee";
            let grantee = entry.grantee_principal.or(entry.grantee_service_principal).unwrap_or_default();
            Ok(Self {
                id: if entry.grant_id.is_empty() { format!("Grants[{at}]") } else { entry.grant_id },
                grantee: Caller::parse(&grantee)
                    .or_else(|_| Caller::aws_service(&grantee))
                    .map_err(|_| wrong(at, whom))?,
                operations: entry.operations,
                key: key.transpose().map_err(|_| wrong(at, "the ARN of a key as KeyId"))?,
                constraints: entry.constraints.unwrap_or_default(),
            })
        };
        list.grants.into_iter().enumerate().map(read).collect()
    }

    /// For these operations to anyone who is this caller, without a constraint.
    pub(crate) fn to(grantee: Caller, operations: &[&str]) -> Self {
        let operations = operations.iter().map(ToString::to_string).collect();
        let constraints = Constraints::default();
        Self { id: "a new grant".to_owned(), grantee, operations, key: None, constraints }
    }

    /// The key that it is on, where it says so.
    pub(crate) fn key(&self) -> Option<&Arn> {
        self.key.as_ref()
    }

    /// Who may.
    pub fn grantee(&self) -> &Caller {
        &self.grantee
    }

    /// Whether it grants what is asked.
    pub(crate) fn grants(&self, asked: Asked<'_>, context: &dyn Context) -> Truth {
        let whom = match (self.grantee.principal(), self.grantee.session()) {
            _ if self.grantee.service().is_some() => self.grantee.service() == asked.caller.service(),
            (_, Some(session)) => asked.caller.session() == Some(session),
            (principal, None) => asked.caller.principal() == principal,
        };
        let operation = asked.action.strip_prefix("kms:").unwrap_or_default();
        let listed = self.operations.iter().any(|one| one == operation);
        let key = self.key.as_ref().is_none_or(|key| key.as_str() == asked.resource);
        if !whom || !listed || !key {
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
            let only = match context.values("kms:encryptioncontextkeys") {
                None => Truth::Maybe,
                Some(found) => found.iter().all(|name| pairs.contains_key(name)).into(),
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

/// Whether an encryption context holds these pairs. Unlike condition keys, names have a case.
fn includes(pairs: &BTreeMap<String, String>, context: &dyn Context) -> Truth {
    Truth::all(pairs.iter().map(|(name, value)| {
        let found = context.values(&format!("kms:encryptioncontext:{}", name.to_lowercase()));
        let names = context.values("kms:encryptioncontextkeys");
        match (found, names) {
            (Some(found), Some(names)) => (found.contains(value) && names.contains(name)).into(),
            _ => Truth::Maybe,
        }
    }))
}
