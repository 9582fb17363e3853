//! What the documents ask for: all conditions of statements that are about a key, by condition key.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    actions::SENSITIVE,
    condition_keys::{CONTEXT, CONTEXT_KEYS, SOURCE_ARN, canonical},
};
use crate::{
    authorize::{Authority, Identity},
    condition::{Comparison, Condition, Value},
    grant::Grant,
    pattern::{Pattern, Piece},
    policy::{Policy, Statement},
};

/// The usual name of what is called ImageSha384 as well.
const PCR0: &str = "kms:RecipientAttestation:PCR0";

/// All conditions, by key.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    pub(super) conditions: BTreeMap<&'a str, Vec<&'a Condition>>,
    /// Every key, with the name that a document writes.
    names: BTreeMap<&'a str, String>,
    /// What grants ask of the encryption context.
    pub(super) granted: Vec<(String, String)>,
    /// For which resources grants let services ask.
    pub(super) sources: Vec<String>,
    /// The ids of endpoints that were brought.
    pub(super) endpoints: Vec<String>,
    /// The pairs of an encryption context that documents name, in lower case, as one of them writes it.
    pairs: BTreeMap<String, String>,
    /// Whether a resource depends on a condition key, which is not searched for.
    pub(super) variable_resources: bool,
    /// The time of the audit, in seconds since 1970.
    pub(super) now: i64,
    /// When it is to end.
    pub(super) deadline: Instant,
}

/// Whether a statement can be about the key.
pub(super) fn is_relevant(statement: &Statement) -> bool {
    SENSITIVE.iter().any(|action| statement.is_about(action.name))
}

impl<'a> Vocabulary<'a> {
    pub(super) fn of(
        authority: &'a Authority,
        endpoints: impl Iterator<Item = &'a Policy>,
        identities: impl Iterator<Item = &'a Identity>,
        grants: &[&Grant],
        (now, deadline): (i64, Instant),
    ) -> Self {
        let mut policies: Vec<&Policy> = vec![&authority.key_policy];
        policies.extend(authority.service_control.iter().flatten());
        policies.extend(&authority.resource_control);
        policies.extend(endpoints);
        for identity in identities {
            if let Identity::Known { policies: own, boundaries, sessions } = identity {
                policies.extend(own.iter().chain(boundaries).chain(sessions));
            }
        }
        let pairs = grants.iter().flat_map(|grant| grant.encryption_context());
        let mut vocabulary = Self {
            conditions: BTreeMap::new(),
            names: BTreeMap::new(),
            granted: pairs.map(|(name, value)| (name.clone(), value.clone())).collect(),
            sources: grants.iter().filter_map(|grant| grant.source_arn()).map(str::to_owned).collect(),
            endpoints: Vec::new(),
            pairs: BTreeMap::new(),
            variable_resources: false,
            now,
            deadline,
        };
        for statement in policies.iter().flat_map(|policy| policy.statements()) {
            vocabulary.add(statement);
        }
        vocabulary.name_pairs();
        vocabulary
    }

    fn add(&mut self, statement: &'a Statement) {
        if !is_relevant(statement) {
            return;
        }
        // The ARN of another service is no key's, whatever its variables are.
        let may_be_key = |text: &str| {
            let service = text.split(':').nth(2).unwrap_or("*");
            service == "kms" || service.contains(['*', '?', '$'])
        };
        let mut resources = statement.resources.items().iter().zip(&statement.resource_texts);
        self.variable_resources |=
            resources.any(|(resource, (text, _))| resource.variables().next().is_some() && may_be_key(text));
        for condition in &statement.conditions {
            let key = canonical(&condition.key);
            self.conditions.entry(key).or_default().push(condition);
            let name = if key == condition.key { &condition.key_name } else { PCR0 };
            self.names.entry(key).or_insert_with(|| name.to_owned());
            for variable in condition.variables() {
                self.names.entry(canonical(variable)).or_insert_with(|| variable.to_owned());
            }
        }
    }

    /// The pairs that are asked for by name, in a condition of their own, among the names, or in a grant.
    fn name_pairs(&mut self) {
        let own = self.names.iter().filter_map(|(key, name)| Some((key.strip_prefix(CONTEXT)?, name)));
        let own = own.filter_map(|(_, name)| name.get(CONTEXT.len()..).map(str::to_owned));
        let asked = self.conditions.get(CONTEXT_KEYS).into_iter().flatten().flat_map(|one| &one.values);
        let asked = asked.filter_map(|value| match value {
            Value::Text(pattern, _) => plain(pattern),
            _ => None,
        });
        let granted = self.granted.iter().map(|(name, _)| name.clone());
        let all: Vec<String> = own.chain(asked).chain(granted).filter(|name| !name.is_empty()).collect();
        for name in all {
            self.pairs.entry(name.to_lowercase()).or_insert(name);
        }
    }

    /// Every key that a document asks for, in lower case.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        let mut keys: BTreeSet<String> = self.names.keys().map(ToString::to_string).collect();
        keys.extend(self.pairs.keys().map(|name| format!("{CONTEXT}{name}")));
        keys.extend((!self.granted.is_empty()).then(|| CONTEXT_KEYS.to_owned()));
        keys.extend((!self.sources.is_empty()).then(|| SOURCE_ARN.to_owned()));
        keys
    }

    /// As a document writes it.
    pub(super) fn name(&self, key: &str) -> String {
        if key == "aws:principalarn" {
            return "aws:PrincipalArn".to_owned();
        }
        let pair = || Some(format!("kms:EncryptionContext:{}", self.pairs.get(key.strip_prefix(CONTEXT)?)?));
        self.names.get(key).cloned().or_else(pair).unwrap_or_else(|| key.to_owned())
    }

    /// The pairs of an encryption context that documents name: in lower case, and as one writes it.
    pub(super) fn pairs(&self) -> &BTreeMap<String, String> {
        &self.pairs
    }

    /// The conditions on a key.
    pub(super) fn conditions(&self, key: &str) -> &[&'a Condition] {
        self.conditions.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The values that a key is compared with, but for whether it is there.
    pub(super) fn compared(&self, key: &str) -> impl Iterator<Item = &'a Value> {
        let conditions: &[&'a Condition] = self.conditions(key);
        let compared = conditions.iter().filter(|one| one.operator.comparison != Comparison::Null);
        compared.flat_map(|condition| &condition.values)
    }

    /// Whether a condition says something by a variable that begins so.
    pub(super) fn has_variable_of(&self, prefix: &str) -> bool {
        let mut all = self.conditions.values().flatten().flat_map(|condition| condition.variables());
        all.any(|variable| variable.starts_with(prefix))
    }

    /// Whether a condition or a resource says something of a key by a variable.
    pub(super) fn has_variable(&self, keys: &[&str]) -> bool {
        let mut all = self.conditions.values().flatten().flat_map(|condition| condition.variables());
        self.variable_resources || all.any(|variable| keys.contains(&variable))
    }
}

/// The text of a pattern without wildcards and variables.
fn plain(pattern: &Pattern) -> Option<String> {
    let exactly = |piece: &Piece| match piece {
        Piece::Exactly(character) => Some(*character),
        _ => None,
    };
    pattern.pieces().iter().map(exactly).collect()
}
