//! Looks for a request that is allowed: tries the values that make a difference, key by key, and
//! leaves out whatever is refused already.

use std::{collections::BTreeMap, time::Instant};

use super::{
    condition_keys::{CONTEXT, CONTEXT_KEYS, canonical},
    domain::{Choice, Domain},
    who::Group,
};
use crate::{
    authorize::{Authority, Decider, Identity},
    request::Asked,
    truth::{Context, Truth},
};

/// How many partial requests one question may look at.
const MAX_STEPS: usize = 40_000;
/// How many keys may be free.
const MAX_KEYS: usize = 256;

/// What is asked, and what is free in it.
pub(super) struct Question<'a, 'q> {
    pub(super) authority: &'a Authority,
    pub(super) identity: &'a Identity,
    pub(super) asked: Asked<'q>,
    /// Keys that have these values; none means that the request does not have the key.
    pub(super) fixed: BTreeMap<String, Vec<String>>,
    /// Keys that may have any of these.
    pub(super) free: BTreeMap<String, Free<'q>>,
    /// Requests that are not looked for: those with all of one of these.
    pub(super) except: &'q [Vec<(String, String)>],
    /// When the search gives up.
    pub(super) deadline: Instant,
}

/// Values to try for a key.
#[derive(Clone, Copy)]
pub(super) enum Free<'q> {
    /// These.
    These(&'q Domain),
    /// Those that this group may choose, found when they are needed.
    OfGroup(&'q Group<'q>, usize),
}

impl<'q> Free<'q> {
    /// How much it takes to try them all, as far as that can be told.
    fn weight(self) -> usize {
        match self {
            Self::These(domain) => domain.choices.len(),
            Self::OfGroup(_, weight) => weight,
        }
    }

    fn domain(self, key: &str) -> Option<&'q Domain> {
        match self {
            Self::These(domain) => Some(domain),
            Self::OfGroup(group, _) => group.domain(key),
        }
    }
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
    free: &'q BTreeMap<String, Free<'q>>,
    known: BTreeMap<String, Vec<String>>,
    /// The names of the encryption context so far, and how many there were before each key under way.
    names: Vec<String>,
    before: Vec<usize>,
    /// How many keys of the encryption context are not known.
    open: usize,
}

fn is_context(key: &str) -> bool {
    key == CONTEXT_KEYS || key.starts_with(CONTEXT)
}

impl Context for Partial<'_> {
    fn values(&self, key: &str) -> Option<&[String]> {
        let key = canonical(key);
        if key == CONTEXT_KEYS && self.free.contains_key(key) {
            return (self.open == 0).then_some(&self.names);
        }
        match self.known.get(key) {
            Some(values) => Some(values),
            None if self.free.contains_key(key) => None,
            None => Some(&[]),
        }
    }

    fn some_values(&self, key: &str) -> &[String] {
        if key == CONTEXT_KEYS && self.free.contains_key(key) { &self.names } else { &[] }
    }
}

impl Partial<'_> {
    fn take(&mut self, key: &str, choice: &Choice) {
        self.before.push(self.names.len());
        if is_context(key) {
            self.open = self.open.saturating_sub(1);
            match &choice.name {
                Some(name) if !choice.values.is_empty() => self.names.push(name.clone()),
                Some(_) => {}
                None if key == CONTEXT_KEYS => self.names.extend(choice.values.iter().cloned()),
                None => {}
            }
        }
        self.known.insert(key.to_owned(), choice.values.clone());
    }

    fn give_back(&mut self, key: &str) {
        if self.known.remove(key).is_some() {
            self.names.truncate(self.before.pop().unwrap_or_default());
            self.open = self.open.saturating_add(usize::from(is_context(key)));
        }
    }

    fn is_one_of(&self, except: &[Vec<(String, String)>]) -> bool {
        let has = |(key, value): &(String, String)| {
            self.known.get(key).is_some_and(|values| values.as_slice() == std::slice::from_ref(value))
        };
        except.iter().any(|all| all.iter().all(has))
    }

    /// The keys that it has, with their values.
    fn context(mut self) -> BTreeMap<String, Vec<String>> {
        if self.free.contains_key(CONTEXT_KEYS) {
            self.known.insert(CONTEXT_KEYS.to_owned(), self.names);
        }
        self.known.retain(|_, values| !values.is_empty());
        self.known
    }
}

impl<'a> Question<'a, '_> {
    /// Searches.
    pub(super) fn answer(self) -> Answer<'a> {
        let Self { authority, identity, asked, fixed, free, except, deadline } = self;
        if free.len() > MAX_KEYS || Instant::now() > deadline {
            return Answer::GaveUp;
        }
        // Keys of few values first: a wrong one is found out sooner. The encryption context last, as its
        // names are known when all of it is.
        let mut order: Vec<(&String, Free<'_>)> = free.iter().map(|(key, free)| (key, *free)).collect();
        order.sort_by_key(|(key, free)| (is_context(key), free.weight()));
        let open = free.keys().filter(|key| is_context(key)).count();
        let mut partial = Partial { free: &free, known: fixed, names: Vec::new(), before: Vec::new(), open };
        let mut steps = 0usize;
        // Whether all values were tried of the keys that it took.
        let mut complete = true;
        // For each key under way, which of its choices is tried next.
        let mut path: Vec<usize> = Vec::new();
        loop {
            steps = steps.saturating_add(1);
            if steps > MAX_STEPS || (steps.is_multiple_of(64) && Instant::now() > deadline) {
                return Answer::GaveUp;
            }
            if !partial.is_one_of(except) {
                let verdict = authority.verdict(identity, asked, &partial);
                match (verdict.allowed, verdict.allowed_by) {
                    // What is not known yet may be whatever is easiest, unless it makes it one of those.
                    (Truth::Yes, Some(by)) if except.is_empty() || path.len() == order.len() => {
                        let (context, through_iam) = (partial.context(), verdict.through_iam);
                        return Answer::Allowed { context, by, through_iam };
                    }
                    (Truth::Maybe | Truth::Yes, _) if path.len() < order.len() => path.push(0),
                    // Whatever the free keys may be.
                    _ if path.is_empty() => return Answer::Refused,
                    _ => {}
                }
            }
            // The next choice of the innermost key that has one.
            loop {
                let Some(depth) = path.len().checked_sub(1) else {
                    return if complete { Answer::Refused } else { Answer::GaveUp };
                };
                let (Some(next), Some((key, free))) = (path.last_mut(), order.get(depth)) else {
                    return Answer::GaveUp;
                };
                let Some(domain) = free.domain(key) else { return Answer::GaveUp };
                complete &= domain.complete;
                partial.give_back(key);
                if let Some(choice) = domain.choices.get(*next) {
                    *next = next.saturating_add(1);
                    partial.take(key, choice);
                    break;
                }
                path.pop();
            }
        }
    }
}
