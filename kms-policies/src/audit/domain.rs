//! Which values of a condition key make a difference: one for every way in which the conditions of
//! all documents can turn out. With these values alone, a search over requests is a search over all
//! requests.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use data_encoding::BASE64;

use super::automaton::{Text, classes};
use crate::{
    authorize::{Authority, Identity},
    condition::{Comparison, Condition, Value},
    pattern::{Case, Pattern, Piece, Resolved, Syntax},
    policy::Policy,
    truth::Context,
};

/// How many values a key of several values may have, and how many classes are combined.
const MAX_SET: usize = 3;
const MAX_CLASSES: usize = 14;
/// Of so few values every set is tried.
const MAX_ALL: usize = 7;
/// A value that no policy writes.
const OTHER: &str = "other";
/// A register's value that no policy writes: that of an attacker's own image.
const OWN_REGISTER: &str =
    "c0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffeec0ffee";
/// Names the keys of an encryption context.
pub(super) const CONTEXT_KEYS: &str = "kms:encryptioncontextkeys";
/// The prefix of its pairs.
pub(super) const CONTEXT: &str = "kms:encryptioncontext:";
/// For which resource a service asks.
const SOURCE_ARN: &str = "aws:sourcearn";
/// The prefix of an attestation document's registers.
pub(super) const PCR: &str = "kms:recipientattestation:pcr";

/// Keys that may have several values. Source: IAM User Guide, "Multivalued context keys"; KMS
/// Developer Guide, "AWS KMS condition keys".
const SEVERAL: [&str; 7] = [
    CONTEXT_KEYS,
    "kms:grantoperations",
    "kms:resourcealiases",
    "aws:calledvia",
    "aws:principalorgpaths",
    "aws:sourceorgpaths",
    "aws:tagkeys",
];
/// Keys that every request of IAM principals has.
const ALWAYS: [&str; 7] = [
    "aws:currenttime",
    "aws:epochtime",
    "aws:principalisawsservice",
    "aws:requestedregion",
    "aws:securetransport",
    "aws:userid",
    "aws:viaawsservice",
];

/// ImageSha384 is PCR0 by another name. Source: KMS Developer Guide, "kms:RecipientAttestation:ImageSha384".
pub(super) fn canonical(key: &str) -> &str {
    if key == "kms:recipientattestation:imagesha384" { "kms:recipientattestation:pcr0" } else { key }
}

/// Its usual name.
const PCR0: &str = "kms:RecipientAttestation:PCR0";

/// The values to try for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Domain {
    /// Sets of values; the empty one is a request without the key.
    pub(super) sets: Vec<Vec<String>>,
    /// Whether no other value makes another difference.
    pub(super) complete: bool,
}

impl Domain {
    /// One value for each set, without the missing key.
    pub(super) fn present(&self) -> impl Iterator<Item = &String> {
        self.sets.iter().filter_map(|set| set.first().filter(|_| set.len() == 1))
    }
}

/// All conditions of all documents, by key.
#[derive(Debug)]
pub(super) struct Vocabulary<'a> {
    conditions: BTreeMap<&'a str, Vec<&'a Condition>>,
    /// Every key, with the name that a document writes.
    names: BTreeMap<&'a str, String>,
    /// What grants ask of the encryption context.
    granted: Vec<(String, String)>,
    /// For which resources grants let services ask.
    sources: Vec<String>,
    /// Whether a resource depends on a condition key, which is not searched for.
    pub(super) variable_resources: bool,
}

impl<'a> Vocabulary<'a> {
    pub(super) fn of(authority: &'a Authority, identities: impl Iterator<Item = &'a Identity>) -> Self {
        let mut policies: Vec<&Policy> = vec![&authority.key_policy];
        policies.extend(authority.service_control.iter().flatten());
        policies.extend(&authority.resource_control);
        policies.extend(&authority.endpoint);
        for identity in identities {
            if let Identity::Known { policies: own, boundaries, sessions } = identity {
                policies.extend(own.iter().chain(boundaries).chain(sessions));
            }
        }
        let pairs = authority.grants.iter().flat_map(|grant| grant.encryption_context());
        let mut vocabulary = Self {
            conditions: BTreeMap::new(),
            names: BTreeMap::new(),
            granted: pairs.map(|(name, value)| (name.clone(), value.clone())).collect(),
            sources: authority
                .grants
                .iter()
                .filter_map(|grant| grant.source_arn())
                .map(str::to_owned)
                .collect(),
            variable_resources: false,
        };
        for statement in policies.iter().flat_map(|policy| policy.statements()) {
            let mut resources = statement.resources.items().iter();
            vocabulary.variable_resources |= resources.any(|resource| resource.variables().next().is_some());
            for condition in &statement.conditions {
                let key = canonical(&condition.key);
                vocabulary.conditions.entry(key).or_default().push(condition);
                let name = if key == condition.key { &condition.key_name } else { PCR0 };
                vocabulary.names.entry(key).or_insert_with(|| name.to_owned());
                for variable in condition.variables() {
                    vocabulary.names.entry(canonical(variable)).or_insert_with(|| variable.to_owned());
                }
            }
        }
        vocabulary
    }

    /// Every key that a document asks for, in lower case.
    pub(super) fn keys(&self) -> BTreeSet<String> {
        let mut keys: BTreeSet<String> = self.names.keys().map(ToString::to_string).collect();
        for (name, _) in &self.granted {
            keys.insert(format!("{CONTEXT}{}", name.to_lowercase()));
            keys.insert(CONTEXT_KEYS.to_owned());
        }
        keys.extend((!self.sources.is_empty()).then(|| SOURCE_ARN.to_owned()));
        keys
    }

    /// As a document writes it.
    pub(super) fn name<'k>(&'k self, key: &'k str) -> &'k str {
        self.names.get(key).map_or(key, String::as_str)
    }

    /// The conditions on a key.
    pub(super) fn conditions(&self, key: &str) -> &[&'a Condition] {
        self.conditions.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The values to try for a key, when these keys have these values. `within` bounds the texts,
    /// `alphabet` their characters.
    pub(super) fn domain(
        &self,
        key: &str,
        fixed: &BTreeMap<String, Vec<String>>,
        within: Option<&Text>,
        alphabet: Option<&str>,
        more: &[String],
    ) -> Domain {
        let (mut texts, mut values, mut complete) = (Vec::new(), Vec::new(), true);
        let mut typed = Typed::default();
        let compared = self.conditions(key).iter().filter(|one| one.operator.comparison != Comparison::Null);
        for value in compared.flat_map(|condition| &condition.values) {
            match value {
                Value::Text(pattern, case) => {
                    complete &= self.without_variables(key, pattern, *case, fixed, &mut texts);
                }
                Value::Arn(pattern) => {
                    complete &=
                        self.without_variables(key, &pattern.flattened(), Case::Matters, fixed, &mut texts);
                }
                other => typed.add(other),
            }
        }
        // What a variable stands for elsewhere is compared with what is written there.
        for (other, conditions) in &self.conditions {
            for condition in conditions.iter().filter(|one| one.variables().any(|v| canonical(v) == key)) {
                // Whoever chooses the value chooses the register: any value, or his own image's.
                if other.starts_with(PCR) {
                    texts.extend(literal(OWN_REGISTER).map(|pattern| Text { pattern, case: Case::Matters }));
                }
                for text in self.conditions(other).iter().flat_map(|one| &one.texts) {
                    texts.extend(literal(&text.0).map(|pattern| Text { pattern, case: Case::Matters }));
                }
                complete &= condition.values.iter().all(is_plain);
                // What its patterns match besides is not tried.
                let written = self.conditions(other).iter().chain(self.conditions(key));
                complete &=
                    written.flat_map(|one| &one.values).all(|value| is_plain(value) && !is_wild(value));
                values.push(OTHER.to_owned());
            }
        }
        if key == CONTEXT_KEYS {
            let pairs = self.names.iter().filter_map(|(key, name)| Some((key.strip_prefix(CONTEXT)?, name)));
            let names = pairs.filter_map(|(_, name)| name.get(CONTEXT.len()..));
            let names = names.chain(self.granted.iter().map(|(name, _)| name.as_str()));
            texts.extend(names.filter_map(literal).map(|pattern| Text { pattern, case: Case::Matters }));
        }
        for (_, value) in self.granted.iter().filter(|(name, _)| pair_key(name) == key) {
            texts.extend(literal(value).map(|pattern| Text { pattern, case: Case::Matters }));
        }
        texts.extend(
            more.iter().filter_map(|text| literal(text)).map(|pattern| Text { pattern, case: Case::Matters }),
        );
        texts.dedup();
        if texts.is_empty() && within.is_none() {
            if typed.is_empty() {
                values.push(OTHER.to_owned());
            }
        } else {
            let found = classes(&texts, within, alphabet);
            complete &= found.complete && typed.is_empty();
            values.extend(found.classes.into_iter().map(|class| class.text));
        }
        if !typed.is_empty() {
            values.push(OTHER.to_owned());
        }
        values.extend(typed.values());
        let mut seen = BTreeSet::new();
        values.retain(|value| seen.insert(value.clone()));
        self.sets(key, values, complete)
    }

    fn sets(&self, key: &str, values: Vec<String>, mut complete: bool) -> Domain {
        let mut sets: Vec<Vec<String>> = Vec::new();
        if !ALWAYS.contains(&key) {
            sets.push(Vec::new());
        }
        sets.extend(values.iter().map(|value| vec![value.clone()]));
        if SEVERAL.contains(&key) {
            // As many values as there are conditions that each may want another, and pairs to name.
            let pairs =
                self.keys().iter().filter(|name| key == CONTEXT_KEYS && name.starts_with(CONTEXT)).count();
            let asked = self.conditions(key).iter().filter(|one| one.operator.comparison != Comparison::Null);
            let wanted = asked.count().max(pairs).max(2);
            let most = if values.len() <= MAX_ALL { values.len() } else { MAX_SET };
            complete &= values.len() <= MAX_CLASSES && wanted.min(values.len()) <= most;
            let mut last: Vec<(usize, Vec<String>)> =
                values.iter().take(MAX_CLASSES).cloned().map(|value| vec![value]).enumerate().collect();
            for _ in 1..most.min(wanted.saturating_add(1)) {
                last = last
                    .iter()
                    .flat_map(|(at, set)| {
                        let more = values.iter().take(MAX_CLASSES).enumerate().skip(at.saturating_add(1));
                        more.map(|(next, value)| {
                            (next, set.iter().chain([value]).cloned().collect::<Vec<String>>())
                        })
                    })
                    .collect();
                sets.extend(last.iter().map(|(_, set)| set.clone()));
            }
        }
        Domain { sets, complete }
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
        values.push(if key.starts_with(PCR) { OWN_REGISTER } else { OTHER }.to_owned());
        for value in values {
            if let Resolved::Pattern(pattern) = pattern.resolve(&Every(&[value])) {
                texts.push(Text { pattern, case });
            }
        }
        variables.len() == 1 && *variable != key && pattern.pieces().len() == 1
    }
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

fn literal(text: &str) -> Option<Pattern> {
    Pattern::parse(text, Syntax { wildcards: false, variables: false }).ok()
}

/// Every key has these values.
struct Every<'a>(&'a [String]);

impl Context for Every<'_> {
    fn values(&self, _: &str) -> Option<&[String]> {
        Some(self.0)
    }
}

/// What is written with a type: the values at its borders, and between them.
#[derive(Default)]
struct Typed {
    booleans: bool,
    numbers: Vec<f64>,
    dates: BTreeSet<i64>,
    addresses: BTreeSet<IpAddr>,
    binaries: BTreeSet<Vec<u8>>,
}

impl Typed {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Text(..) | Value::Arn(_) => {}
            Value::Bool(_) => self.booleans = true,
            Value::Number(_, number) => self.numbers.push(*number),
            Value::Date(_, date) => {
                let at = date.unix_timestamp();
                self.dates.extend([at.saturating_sub(1), at, at.saturating_add(1)]);
            }
            Value::Ip(network) => {
                let (first, last) = (network.first, network.last);
                self.addresses.extend([first, last]);
                self.addresses.extend(before(first).into_iter().chain(after(last)));
            }
            Value::Binary(bytes) => {
                let mut longer = bytes.clone();
                longer.push(0);
                self.binaries.extend([bytes.clone(), longer]);
            }
        }
    }

    fn is_empty(&self) -> bool {
        !self.booleans
            && self.numbers.is_empty()
            && self.dates.is_empty()
            && self.addresses.is_empty()
            && self.binaries.is_empty()
    }

    fn values(mut self) -> Vec<String> {
        let mut values = Vec::new();
        if self.booleans {
            values.extend(["true", "false"].map(str::to_owned));
        }
        self.numbers.sort_by(f64::total_cmp);
        if let (Some(first), Some(last)) = (self.numbers.first(), self.numbers.last()) {
            values.extend([number(first - 1.0), number(last + 1.0), number(0.0)]);
            values.extend([number(first.next_down()), number(last.next_up())]);
        }
        values.extend(self.numbers.iter().map(|one| number(*one)));
        let next = self.numbers.iter().skip(1);
        values.extend(self.numbers.iter().zip(next).map(|(one, two)| number(f64::midpoint(*one, *two))));
        values.extend(self.dates.iter().map(ToString::to_string));
        if !self.addresses.is_empty() {
            values.extend(["192.0.2.1", "2001:db8::1"].map(str::to_owned));
        }
        values.extend(self.addresses.iter().map(ToString::to_string));
        values.extend(self.binaries.iter().map(|bytes| BASE64.encode(bytes)));
        values
    }
}

fn number(number: f64) -> String {
    number.to_string()
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => v4.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(v6) => v6.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}
