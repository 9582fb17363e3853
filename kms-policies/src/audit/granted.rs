//! Grants that make a difference. A key may have 50,000 of them, most of them alike but for a value that no
//! policy looks at: of such only one is asked about.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{actions::SENSITIVE, vocabulary::Vocabulary};
use crate::{
    condition::Condition,
    grant::Grant,
    truth::{Context, Truth},
};

/// Grants that are worth a question.
#[derive(Default)]
pub(super) struct Granted<'a> {
    /// One of each kind for each grantee.
    pub(super) grants: Vec<&'a Grant>,
    /// The kind of each: what it grants, and on what terms.
    pub(super) kinds: Vec<usize>,
    /// How many there are of each kind, whoever has them.
    counts: Vec<usize>,
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
        let mut kinds: HashMap<String, usize> = HashMap::new();
        let by_variable = vocabulary.has_variable_of(super::condition_keys::CONTEXT);
        let mut known: HashSet<(String, usize)> = HashSet::new();
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
                    let key = format!("{}{}", super::condition_keys::CONTEXT, name.to_lowercase());
                    (name.clone(), taken(vocabulary.conditions(&key), &key, value))
                })
                .collect();
            let source = super::condition_keys::SOURCE_ARN;
            let source = grant.source_arn().map(|arn| taken(vocabulary.conditions(source), source, arn));
            let next = kinds.len();
            // A variable may tell values apart that no condition names.
            let told: Vec<_> = grant.encryption_context().filter(|_| by_variable).collect();
            let kind = format!("{useful:?} {pairs:?} {source:?} {} {told:?}", grant.is_exact());
            let kind = *kinds.entry(kind).or_insert(next);
            granted.counts.resize(kinds.len(), 0);
            if let Some(count) = granted.counts.get_mut(kind) {
                *count = count.saturating_add(1);
            }
            if known.insert((grantee.to_string(), kind)) {
                granted.grants.push(grant);
                granted.kinds.push(kind);
            }
        }
        granted
    }

    /// How many grants there are of the kinds of these.
    pub(super) fn count<'g>(&self, grants: impl Iterator<Item = &'g Grant>) -> usize {
        let kind = |grant: &Grant| {
            let at = self.grants.iter().position(|one| one.id == grant.id)?;
            self.kinds.get(at).copied()
        };
        let kinds: HashSet<usize> = grants.filter_map(kind).collect();
        kinds.into_iter().filter_map(|kind| self.counts.get(kind)).sum()
    }
}
