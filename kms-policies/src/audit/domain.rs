//! Which values of a condition key make a difference: one for every way in which the conditions of
//! all documents can turn out. With these values alone, a search over requests is a search over all
//! requests.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    automaton::{Text, Texts, classes},
    condition_keys::{CONTEXT, CONTEXT_KEYS, ENDPOINT, SOURCE_ARN, canonical, is_register},
    literals::told_apart,
    typed::Typed,
    vocabulary::Vocabulary,
};
use crate::{
    condition::{Comparison, Value, date, number},
    pattern::{Case, Pattern, Piece, Resolved, Syntax},
    truth::Context,
};

/// How many values a key of several values may have, and how many classes are combined.
const MAX_SET: usize = 3;
const MAX_CLASSES: usize = 14;
/// Of so few values every set is tried.
const MAX_ALL: usize = 7;
/// A value that no policy writes.
const OTHER: &str = "other";
/// Registers' values that no policy writes: those of an attacker's own image.
const OWN_REGISTERS: [&str; 2] = [
    "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee",
    "decafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbaddecafbad",
];

/// Keys that may have several values. Source: IAM User Guide, "Multivalued context keys"; KMS
/// Developer Guide, "AWS KMS condition keys".
const SEVERAL: [&str; 8] = [
    CONTEXT_KEYS,
    "kms:grantoperations",
    "kms:resourcealiases",
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:principalservicenameslist",
    "aws:sourceorgpaths",
    "aws:tagkeys",
];
/// Keys that every request has.
const ALWAYS: [&str; 7] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalisawsservice",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:userid",
    "aws:viaawsservice",
];
/// Keys that say what the key is.
const OF_KEYS: [&str; 7] = [
    "kms:keyspec",
    "kms:customermasterkeyspec",
    "kms:keyusage",
    "kms:customermasterkeyusage",
    "kms:keyorigin",
    "kms:multiregion",
    "kms:multiregionkeytype",
];
/// Keys that are the time of the request.
const TIME: [&str; 2] = ["aws:currenttime", "aws:epochtime"];

/// Values that a key may have at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// None is a request without the key.
    pub(super) values: Vec<String>,
    /// For a pair of the encryption context, how its name is written.
    pub(super) name: Option<String>,
}

impl Choice {
    pub(super) fn of(values: Vec<String>) -> Self {
        Self { values, name: None }
    }
}

/// The values to try for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Domain {
    pub(super) choices: Vec<Choice>,
    /// Whether no other value makes another difference.
    pub(super) complete: bool,
}

impl Domain {
    /// One value for each choice, without the missing key.
    pub(super) fn present(&self) -> impl Iterator<Item = &String> {
        self.choices.iter().filter_map(|choice| choice.values.first().filter(|_| choice.values.len() == 1))
    }
}

/// What bounds the values of a key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bounds<'b> {
    /// All texts are among these.
    pub(super) within: Option<&'b Text>,
    /// And are made of these characters.
    pub(super) alphabet: Option<&'b str>,
    /// Texts that are told apart besides.
    pub(super) more: &'b [String],
}

impl Vocabulary<'_> {
    /// The values to try for a key, when these keys have these values.
    pub(super) fn domain(
        &self,
        key: &str,
        fixed: &BTreeMap<String, Vec<String>>,
        bounds: Bounds<'_>,
    ) -> Domain {
        if key == CONTEXT_KEYS {
            return self.other_names(fixed);
        }
        let (mut asked, mut values, mut complete): (Vec<Texts>, _, _) = (Vec::new(), Vec::new(), true);
        let mut typed = Typed::default();
        // Of a condition's values one has to match, whichever.
        for condition in self.conditions(key).iter().filter(|one| one.operator.comparison != Comparison::Null)
        {
            let mut texts = Vec::new();
            for value in &condition.values {
                match value {
                    Value::Text(pattern, case) => {
                        complete &= self.without_variables(key, pattern, *case, fixed, &mut texts);
                    }
                    Value::Arn(pattern) => {
                        let pattern = pattern.flattened();
                        complete &= self.without_variables(key, &pattern, Case::Matters, fixed, &mut texts);
                    }
                    other => typed.add(other),
                }
            }
            if !texts.is_empty() && !asked.contains(&texts) {
                asked.push(texts);
            }
        }
        let mut texts = Vec::new();
        complete &= self.as_variable(key, fixed, &mut texts, &mut values);
        for (_, value) in self.granted.iter().filter(|(name, _)| pair_key(name) == key) {
            texts.extend(literal(value));
        }
        if key == SOURCE_ARN {
            texts.extend(self.sources.iter().filter_map(|source| literal(source)));
        }
        if key == ENDPOINT {
            texts.extend(self.endpoints.iter().filter_map(|id| literal(id)));
        }
        texts.extend(bounds.more.iter().filter_map(|text| literal(text)));
        // Each of these by itself.
        asked.extend(texts.into_iter().map(|text| vec![text]));
        if asked.is_empty() && bounds.within.is_none() {
            if typed.is_empty() {
                values.push(OTHER.to_owned());
            }
        } else {
            let [one, two] = OWN_REGISTERS;
            let found = told_apart(
                &asked,
                bounds.within,
                bounds.alphabet,
                &[OTHER, "another", one, two],
                self.deadline,
            );
            complete &= found.complete && typed.is_empty();
            values.extend(found.classes.into_iter().map(|class| class.text));
        }
        if !typed.is_empty() {
            values.push(OTHER.to_owned());
        }
        values.extend(typed.values());
        if TIME.contains(&key) {
            // As which text the time is compared is not documented.
            complete &= !self.compared(key).any(|value| matches!(value, Value::Text(..)));
            values = self.to_come(values);
        }
        let mut seen = BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        match key.strip_prefix(CONTEXT) {
            Some(name) => self.pair(name, &values, fixed, complete),
            None => self.sets(key, &values, complete),
        }
    }

    /// The texts that a key is compared with where it is a variable, and whether these are all.
    fn as_variable(
        &self,
        key: &str,
        fixed: &BTreeMap<String, Vec<String>>,
        texts: &mut Vec<Text>,
        values: &mut Vec<String>,
    ) -> bool {
        let mut complete = true;
        // What a variable stands for elsewhere is compared with what is written there.
        for (other, conditions) in &self.conditions {
            for condition in conditions.iter().filter(|one| one.variables().any(|v| canonical(v) == key)) {
                // Whoever chooses the value chooses the register: any value, or his own image's.
                if is_register(other) {
                    texts.extend(OWN_REGISTERS.first().and_then(|text| literal(text)));
                }
                for text in self.conditions(other).iter().flat_map(|one| &one.texts) {
                    texts.extend(literal(&text.0));
                }
                // Whoever chooses the value makes it what the other key is.
                texts.extend(fixed.get(*other).into_iter().flatten().filter_map(|value| literal(value)));
                complete &= !OF_KEYS.contains(other) && *other != CONTEXT_KEYS;
                complete &= condition.values.iter().all(is_plain);
                // What its patterns match besides is not tried.
                let written = self.conditions(other).iter().chain(self.conditions(key));
                complete &=
                    written.flat_map(|one| &one.values).all(|value| is_plain(value) && !is_wild(value));
                values.push(OTHER.to_owned());
            }
        }
        complete
    }

    /// No request is made in the past.
    fn to_come(&self, values: Vec<String>) -> Vec<String> {
        let now = self.now.to_string();
        let later = values.into_iter().filter(|value| match (date(value), number(value)) {
            (Some(date), _) => date.unix_timestamp() >= self.now,
            (None, Some(number)) => number >= self.now as f64,
            (None, None) => false,
        });
        std::iter::once(now.clone()).chain(later.collect::<Vec<_>>()).collect()
    }

    fn sets(&self, key: &str, values: &[String], complete: bool) -> Domain {
        let mut sets: Vec<Vec<String>> = Vec::new();
        if !ALWAYS.contains(&key) {
            sets.push(Vec::new());
        }
        let asked = self.conditions(key).iter().filter(|one| one.operator.comparison != Comparison::Null);
        // As many values as there are conditions that each may want another.
        let wanted = if SEVERAL.contains(&key) { asked.count().max(2) } else { 1 };
        let (more, all) = combined(values, wanted);
        sets.extend(more);
        Domain { choices: sets.into_iter().map(Choice::of).collect(), complete: complete && all }
    }

    /// A pair of the encryption context: missing, or with one of these values, its name written in every
    /// way that makes a difference. A condition key has no case, and a name in
    /// `kms:EncryptionContextKeys` has.
    fn pair(
        &self,
        name: &str,
        values: &[String],
        fixed: &BTreeMap<String, Vec<String>>,
        complete: bool,
    ) -> Domain {
        let written = self.pairs().get(name).map_or(name, String::as_str);
        let mut names = vec![written.to_owned()];
        let (asked, mut all) = self.names_asked(fixed);
        if !asked.is_empty()
            && let Some(pattern) = pattern(written)
        {
            let any_case = Text { pattern, case: Case::Ignored };
            let found = classes(&asked, Some(&any_case), None, self.deadline);
            all &= found.complete;
            names = found.classes.into_iter().map(|class| class.text).collect();
        }
        let mut choices = vec![Choice::of(Vec::new())];
        for name in names {
            let with = |value: &String| Choice { values: vec![value.clone()], name: Some(name.clone()) };
            choices.extend(values.iter().map(with));
        }
        Domain { choices, complete: complete && all }
    }

    /// What is asked of the names of an encryption context.
    fn names_asked(&self, fixed: &BTreeMap<String, Vec<String>>) -> (Vec<Texts>, bool) {
        let (mut asked, mut complete): (Vec<Texts>, bool) = (Vec::new(), true);
        for condition in self.conditions(CONTEXT_KEYS) {
            let mut texts = Vec::new();
            for value in &condition.values {
                if let Value::Text(pattern, case) = value {
                    complete &= pattern.variables().all(|variable| fixed.contains_key(canonical(variable)));
                    self.without_variables(CONTEXT_KEYS, pattern, *case, fixed, &mut texts);
                }
            }
            if !texts.is_empty() && !asked.contains(&texts) {
                asked.push(texts);
            }
        }
        (asked, complete)
    }

    /// Names of an encryption context that no document names: one for each way in which they are matched.
    fn other_names(&self, fixed: &BTreeMap<String, Vec<String>>) -> Domain {
        let named = self.pairs().values().filter_map(|name| pattern(name));
        let named: Texts = named.map(|pattern| Text { pattern, case: Case::Ignored }).collect();
        let (asked, known) = self.names_asked(fixed);
        let asked: Vec<Texts> = std::iter::once(named).chain(asked).collect();
        let found = told_apart(&asked, None, None, &[OTHER, "another", "somename"], self.deadline);
        let others = found
            .classes
            .into_iter()
            .filter(|class| !class.text.is_empty() && class.matches.first() == Some(&false));
        let values: Vec<String> = others.map(|class| class.text).collect();
        let wanted = self.conditions(CONTEXT_KEYS).len().max(1);
        let (sets, all) = combined(&values, wanted);
        let sets = std::iter::once(Vec::new()).chain(sets);
        Domain { choices: sets.map(Choice::of).collect(), complete: found.complete && all && known }
    }

    /// Puts values in the place of a pattern's variables; says whether these are all.
    fn without_variables(
        &self,
        key: &str,
        pattern: &Pattern,
        case: Case,
        fixed: &BTreeMap<String, Vec<String>>,
        texts: &mut Vec<Text>,
    ) -> bool {
        let variables: BTreeSet<&str> = pattern.variables().map(canonical).collect();
        let Some(variable) = variables.first() else {
            texts.push(Text { pattern: pattern.clone(), case });
            return true;
        };
        let mut values = match fixed.get(*variable) {
            Some(values) => values.clone(),
            // The texts that it is compared with itself.
            None => self
                .conditions(variable)
                .iter()
                .flat_map(|one| &one.texts)
                .map(|(text, _)| text.clone())
                .collect(),
        };
        let own = OWN_REGISTERS.first().copied().filter(|_| is_register(key));
        values.push(own.unwrap_or(OTHER).to_owned());
        for value in values {
            if let Resolved::Pattern(pattern) = pattern.resolve(&Every(&[value])) {
                texts.push(Text { pattern, case });
            }
        }
        variables.len() == 1 && *variable != key && pattern.pieces().len() == 1
    }
}

/// Sets of up to so many of these values, and whether these are all that can make a difference.
fn combined(values: &[String], wanted: usize) -> (Vec<Vec<String>>, bool) {
    let mut sets: Vec<Vec<String>> = values.iter().map(|value| vec![value.clone()]).collect();
    if wanted < 2 {
        return (sets, true);
    }
    let most = if values.len() <= MAX_ALL { values.len() } else { MAX_SET };
    let complete = values.len() <= MAX_CLASSES && wanted.min(values.len()) <= most;
    let mut last: Vec<(usize, Vec<String>)> =
        values.iter().take(MAX_CLASSES).cloned().map(|value| vec![value]).enumerate().collect();
    for _ in 1..most.min(wanted.saturating_add(1)) {
        last = last
            .iter()
            .flat_map(|(at, set)| {
                let more = values.iter().take(MAX_CLASSES).enumerate().skip(at.saturating_add(1));
                more.map(|(next, value)| (next, set.iter().chain([value]).cloned().collect::<Vec<String>>()))
            })
            .collect();
        sets.extend(last.iter().map(|(_, set)| set.clone()));
    }
    (sets, complete)
}

/// The condition key of a pair of the encryption context.
fn pair_key(name: &str) -> String {
    format!("{CONTEXT}{}", name.to_lowercase())
}

/// A value that is a variable and nothing else, or has none.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Text(pattern, _) => {
            pattern.variables().next().is_none() || matches!(pattern.pieces(), [Piece::Variable { .. }])
        }
        _ => value.variables().next().is_none(),
    }
}

/// A value that stands for many.
fn is_wild(value: &Value) -> bool {
    let wild = |piece: &Piece| !matches!(piece, Piece::Exactly(_) | Piece::Variable { .. });
    match value {
        Value::Text(pattern, _) => pattern.pieces().iter().any(wild),
        Value::Arn(pattern) => pattern.flattened().pieces().iter().any(wild),
        _ => false,
    }
}

/// A text without wildcards and variables, as a pattern.
fn pattern(text: &str) -> Option<Pattern> {
    Pattern::parse(text, Syntax { wildcards: false, variables: false }).ok()
}

fn literal(text: &str) -> Option<Text> {
    Some(Text { pattern: pattern(text)?, case: Case::Matters })
}

/// Every key has these values.
struct Every<'a>(&'a [String]);

impl Context for Every<'_> {
    fn values(&self, _: &str) -> Option<&[String]> {
        Some(self.0)
    }
}
