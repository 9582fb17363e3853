//! Accounts that no document names: one for every way in which conditions can tell accounts apart. Twelve
//! digits are tried one after the other with all patterns side by side, as `aws:PrincipalAccount`,
//! `kms:CallerAccount` and the account within `aws:PrincipalArn`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    automaton::{Automaton, State, Text},
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

/// What conditions ask of an account.
pub(super) struct Accounts {
    texts: Vec<Text>,
    /// The texts before the account's digits for each pattern.
    before: Vec<String>,
}

impl Accounts {
    pub(super) fn of(vocabulary: &Vocabulary<'_>, partition: &str) -> Self {
        let mut accounts = Self { texts: Vec::new(), before: Vec::new() };
        for value in vocabulary.compared("aws:principalarn") {
            let text = match value {
                Value::Text(pattern, case) => text(pattern.clone(), *case),
                Value::Arn(pattern) => text(pattern.flattened(), Case::Matters),
                _ => None,
            };
            for service in ["iam", "sts"] {
                accounts.add(text.clone(), &format!("arn:{partition}:{service}::"));
            }
        }
        for key in ["aws:principalaccount", "kms:calleraccount"] {
            for value in vocabulary.compared(key) {
                if let Value::Text(pattern, case) = value {
                    accounts.add(text(pattern.clone(), *case), "");
                }
            }
        }
        accounts
    }

    fn add(&mut self, text: Option<Text>, before: &str) {
        if let Some(text) = text {
            self.texts.push(text);
            self.before.push(before.to_owned());
        }
    }

    fn start(&self, automaton: &Automaton<'_>) -> State {
        let of = |(text, before): (usize, &String)| {
            let start = automaton.start().into_iter().filter(|(of, _)| *of == text).collect();
            automaton.after(&start, before)
        };
        let mut state: State = self.before.iter().enumerate().flat_map(of).collect();
        state.sort_unstable();
        state
    }

    /// All that conditions can say of an account: the same for two that they cannot tell apart.
    pub(super) fn state(&self, account: &AccountId) -> State {
        let automaton = Automaton::new(self.texts.iter().collect());
        automaton.after(&self.start(&automaton), account.as_str())
    }

    /// An account for every way to be told from those that are named; and whether these are all.
    pub(super) fn unnamed(&self, named: &BTreeSet<AccountId>) -> (Vec<AccountId>, bool) {
        let literals: Vec<Text> = named.iter().filter_map(|account| literal(account.as_str())).collect();
        let automaton = Automaton::new(self.texts.iter().chain(&literals).collect());
        let mut start = self.start(&automaton);
        start.extend((0..literals.len()).map(|at| (self.texts.len().saturating_add(at), 0)));
        let mut states: BTreeMap<State, String> = [(start, String::new())].into();
        for _ in 0..LENGTH {
            let mut next: BTreeMap<State, String> = BTreeMap::new();
            for (state, digits) in &states {
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
        // Two states may differ by the literals alone.
        let mut seen: BTreeSet<State> = BTreeSet::new();
        let own = |state: &State| -> State {
            state.iter().filter(|(text, _)| *text < self.texts.len()).copied().collect()
        };
        let accounts = states.into_iter().filter_map(|(state, digits)| {
            let account: AccountId = digits.parse().ok()?;
            (!named.contains(&account) && seen.insert(own(&state))).then_some(account)
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
