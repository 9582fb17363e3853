//! Looks for a request that is allowed: tries the values that make a difference, key by key, and
//! leaves out whatever is refused already.

use std::collections::BTreeMap;

use super::domain::{CONTEXT, CONTEXT_KEYS, Domain, canonical};
use crate::{
    authorize::{Authority, Decider, Identity},
    evaluate::Asked,
    truth::{Context, Truth},
};

/// How many partial requests one question may look at.
const MAX_STEPS: usize = 40_000;
/// How many keys may be free.
const MAX_KEYS: usize = 96;

/// What is asked, and what is free in it.
pub(super) struct Question<'a> {
    pub(super) authority: &'a Authority,
    pub(super) identity: &'a Identity,
    pub(super) asked: Asked<'a>,
    /// Keys that have these values; none means that the request does not have the key.
    pub(super) fixed: BTreeMap<String, Vec<String>>,
    /// Keys that may have any of these.
    pub(super) free: BTreeMap<String, Domain>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Answer<'a> {
    /// A request that is allowed.
    Allowed {
        /// The keys that it takes, with their values.
        context: BTreeMap<String, Vec<String>>,
        by: Decider<'a>,
        through_iam: bool,
    },
    /// There is none.
    Refused,
    /// None was found, but not everything was looked at.
    GaveUp,
}

/// A request in part.
struct Partial<'q> {
    free: &'q BTreeMap<String, Domain>,
    known: BTreeMap<String, Vec<String>>,
}

impl Context for Partial<'_> {
    fn values(&self, key: &str) -> Option<&[String]> {
        let key = canonical(key);
        match self.known.get(key) {
            Some(values) => Some(values),
            None if self.free.contains_key(key) => None,
            None => Some(&[]),
        }
    }
}

impl Partial<'_> {
    /// The names of an encryption context are those of its pairs.
    fn is_possible(&self) -> bool {
        let Some(names) = self.known.get(CONTEXT_KEYS) else { return true };
        let pairs = self.known.iter().filter_map(|(key, values)| Some((key.strip_prefix(CONTEXT)?, values)));
        pairs
            .into_iter()
            .all(|(pair, values)| names.iter().any(|name| name.to_lowercase() == pair) != values.is_empty())
    }
}

impl<'a> Question<'a> {
    /// Searches.
    pub(super) fn answer(self) -> Answer<'a> {
        if self.free.len() > MAX_KEYS {
            return Answer::GaveUp;
        }
        let Self { authority, identity, asked, fixed, free } = self;
        // Keys of few values first: a wrong one is found out sooner.
        let mut order: Vec<&String> = free.keys().collect();
        order.sort_by_key(|key| free.get(*key).map_or(0, |domain| domain.sets.len()));
        let mut partial = Partial { free: &free, known: fixed };
        let mut steps = 0;
        // For each key under way, which of its sets is tried next.
        let mut path: Vec<usize> = Vec::new();
        loop {
            steps = usize::saturating_add(steps, 1);
            if steps > MAX_STEPS {
                return Answer::GaveUp;
            }
            if partial.is_possible() {
                let verdict = authority.verdict(identity, asked, &partial);
                match (verdict.allowed, verdict.allowed_by) {
                    (Truth::Yes, Some(by)) => {
                        let mut context = partial.known;
                        context.retain(|_, values| !values.is_empty());
                        return Answer::Allowed { context, by, through_iam: verdict.through_iam };
                    }
                    (Truth::Maybe, _) if path.len() < order.len() => path.push(0),
                    // Whatever the free keys may be.
                    _ if path.is_empty() => return Answer::Refused,
                    _ => {}
                }
            }
            // The next set of the innermost key that has one.
            loop {
                let Some(depth) = path.len().checked_sub(1) else {
                    let complete = free.values().all(|domain| domain.complete);
                    return if complete { Answer::Refused } else { Answer::GaveUp };
                };
                let (Some(next), Some(key)) = (path.last_mut(), order.get(depth)) else {
                    return Answer::GaveUp;
                };
                if let Some(set) = free.get(*key).and_then(|domain| domain.sets.get(*next)) {
                    *next = next.saturating_add(1);
                    partial.known.insert((*key).clone(), set.clone());
                    break;
                }
                partial.known.remove(*key);
                path.pop();
            }
        }
    }
}
