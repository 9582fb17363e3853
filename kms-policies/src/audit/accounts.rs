//! Accounts that no document names: one for every way in which conditions can tell accounts apart. Twelve
//! digits are tried one after the other with all patterns side by side, as `aws:PrincipalAccount`,
//! `kms:CallerAccount` and the account within `aws:PrincipalArn`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    automaton::{Automaton, State, Text, Texts},
    vocabulary::Vocabulary,
};
use crate::{
    arn::AccountId,
    condition::Value,
    pattern::{Case, Pattern},
};

/// The digits, those of an account that stands for all others first.
const DIGITS: &str = "9876543210";
const LENGTH: usize = 12;
/// How many ways are told apart before giving up.
const MOST: usize = 20_000;
/// How many places of patterns they may be together.
const MOST_PLACES: usize = 1_500_000;

/// What conditions ask of an account.
pub(super) struct Accounts {
    /// Of the ARN of somebody in it.
    arns: Vec<Text>,
    /// The texts before the account's digits for each of them.
    before: Vec<String>,
    /// Of the account itself; of those of one condition one has to match.
    ids: Vec<Texts>,
}

/// All that conditions can say of an account: the same for two that they cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Said {
    /// How far its digits bring the patterns on ARNs.
    arns: State,
    /// Which conditions its digits meet.
    ids: Vec<bool>,
}

impl Accounts {
    pub(super) fn of(vocabulary: &Vocabulary<'_>, partition: &str) -> Self {
        let mut accounts = Self { arns: Vec::new(), before: Vec::new(), ids: Vec::new() };
        for value in vocabulary.compared("aws:principalarn") {
            let text = match value {
                Value::Text(pattern, case) => text(pattern.clone(), *case),
                Value::Arn(pattern) => text(pattern.flattened(), Case::Matters),
                _ => None,
            };
            for service in ["iam", "sts"] {
                let before = format!("arn:{partition}:{service}::");
                if let Some(text) = text.clone() {
                    accounts.arns.push(text);
                    accounts.before.push(before);
                }
            }
        }
        for key in ["aws:principalaccount", "kms:calleraccount"] {
            for condition in vocabulary.conditions(key) {
                let texts = condition.values.iter().filter_map(|value| match value {
                    Value::Text(pattern, case) => text(pattern.clone(), *case),
                    _ => None,
                });
                let texts: Texts = texts.collect();
                if !texts.is_empty() && !accounts.ids.contains(&texts) {
                    accounts.ids.push(texts);
                }
            }
        }
        accounts
    }

    /// All patterns, those on ARNs first, with where they stand before the digits.
    fn automaton<'t>(&'t self, more: &'t [Text]) -> (Automaton<'t>, State) {
        let automaton =
            Automaton::new(self.arns.iter().chain(self.ids.iter().flatten()).chain(more).collect());
        let start = automaton.start();
        let of = |(text, before): (usize, &String)| {
            let own = start.iter().filter(|(of, _)| *of == text).copied().collect();
            automaton.after(&own, before)
        };
        let mut state: State = self.before.iter().enumerate().flat_map(of).collect();
        state.extend(start.iter().filter(|(of, _)| *of >= self.arns.len()));
        state.sort_unstable();
        (automaton, state)
    }

    fn said(&self, automaton: &Automaton<'_>, state: &State) -> Said {
        let matched: BTreeSet<usize> = automaton.matched(state).collect();
        let mut next = self.arns.len();
        let mut ids = Vec::new();
        for asked in &self.ids {
            let end = next.saturating_add(asked.len());
            ids.push(matched.range(next..end).next().is_some());
            next = end;
        }
        let arns = state.iter().filter(|(text, _)| *text < self.arns.len()).copied().collect();
        Said { arns, ids }
    }

    /// What conditions can say of each account.
    pub(super) fn of_accounts<'n>(&self, accounts: impl Iterator<Item = &'n AccountId>) -> Vec<Said> {
        let (automaton, start) = self.automaton(&[]);
        accounts.map(|account| self.said(&automaton, &automaton.after(&start, account.as_str()))).collect()
    }

    /// An account for every way to be told from those that are named; and whether these are all.
    pub(super) fn unnamed(&self, named: &BTreeSet<AccountId>, deadline: Instant) -> (Vec<AccountId>, bool) {
        let literals: Vec<Text> = named.iter().filter_map(|account| literal(account.as_str())).collect();
        let (automaton, start) = self.automaton(&literals);
        let mut states: BTreeMap<State, String> = [(start, String::new())].into();
        for _ in 0..LENGTH {
            let mut next: BTreeMap<State, String> = BTreeMap::new();
            let mut places = 0usize;
            for (state, digits) in &states {
                places = places.saturating_add(state.len());
                if places > MOST_PLACES || Instant::now() > deadline {
                    return (Vec::new(), false);
                }
                // The characters that stand for others come first.
                let characters = automaton.characters(state, Some(DIGITS));
                for digit in DIGITS.chars().filter(|digit| characters.contains(digit)) {
                    next.entry(automaton.step(state, digit)).or_insert_with(|| format!("{digits}{digit}"));
                }
            }
            if next.len() > MOST {
                return (Vec::new(), false);
            }
            states = next;
        }
        let mut seen: BTreeSet<Said> = BTreeSet::new();
        let accounts = states.into_iter().filter_map(|(state, digits)| {
            let account: AccountId = digits.parse().ok()?;
            (!named.contains(&account) && seen.insert(self.said(&automaton, &state))).then_some(account)
        });
        (accounts.collect(), true)
    }
}

fn text(pattern: Pattern, case: Case) -> Option<Text> {
    let plain = pattern.variables().next().is_none();
    plain.then_some(Text { pattern, case })
}

fn literal(text: &str) -> Option<Text> {
    let syntax = crate::pattern::Syntax { wildcards: false, variables: false };
    Some(Text { pattern: Pattern::parse(text, syntax).ok()?, case: Case::Matters })
}
