//! Grants that make a difference. A key may have 50,000 of them, most of them alike but for a value that no
//! policy looks at: of such only one is asked about.

use std::collections::{BTreeMap, HashMap};

use super::{actions::SENSITIVE, vocabulary::Vocabulary};
use crate::{
    condition::Condition,
    grant::Grant,
    truth::{Context, Truth},
};

/// Grants that are worth a question, and how many others are like each.
#[derive(Default)]
pub(super) struct Granted<'a> {
    pub(super) grants: Vec<&'a Grant>,
    pub(super) alike: HashMap<&'a str, usize>,
}

struct One<'k>(&'k str, &'k [String]);

impl Context for One<'_> {
    fn values(&self, key: &str) -> Option<&[String]> {
        (key == self.0).then_some(self.1)
    }
}

/// How the conditions on a key take a value.
fn taken(conditions: &[&Condition], key: &str, value: &str) -> Vec<Truth> {
    let values = [value.to_owned()];
    conditions.iter().map(|condition| condition.holds(&One(key, &values))).collect()
}

impl<'a> Granted<'a> {
    /// `vocabulary` is that of the policies alone.
    pub(super) fn of(all: &'a [Grant], vocabulary: &Vocabulary<'_>) -> Self {
        let mut granted = Self::default();
        let mut known: HashMap<String, &'a str> = HashMap::new();
        for grant in all {
            let useful: Vec<&str> = SENSITIVE
                .iter()
                .map(|action| action.name.trim_start_matches("kms:"))
                .filter(|name| grant.operations.iter().any(|operation| operation == name))
                .collect();
            let Some(grantee) = grant.grantee().filter(|_| !useful.is_empty()) else { continue };
            let pairs: BTreeMap<String, Vec<Truth>> = grant
                .encryption_context()
                .map(|(name, value)| {
                    let key = format!("{}{}", super::domain::CONTEXT, name.to_lowercase());
                    (name.clone(), taken(vocabulary.conditions(&key), &key, value))
                })
                .collect();
            let source = super::domain::SOURCE_ARN;
            let source = grant.source_arn().map(|arn| taken(vocabulary.conditions(source), source, arn));
            let alike = format!("{grantee} {useful:?} {pairs:?} {source:?} {}", grant.is_exact());
            match known.get(&alike) {
                Some(first) => {
                    let count = granted.alike.entry(first).or_default();
                    *count = count.saturating_add(1);
                }
                None => {
                    known.insert(alike, &grant.id);
                    granted.grants.push(grant);
                }
            }
        }
        granted
    }
}
