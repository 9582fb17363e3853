//! With which attestation document somebody comes. A register has a value that an image of the
//! key's owner has, one that a policy names, one that only the attacker's own image has, or zeroes.
//! Source: AWS Nitro Enclaves User Guide, "Cryptographic attestation": what each register measures,
//! and that PCR0 to PCR2 are zero in debug mode.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    automaton::Text,
    catalog::{self, Rule},
    domain::{Domain, PCR, Vocabulary},
};
use crate::pattern::{Case, Pattern, Syntax};

/// Hexadecimal digits of a register.
const DIGITS: usize = 96;
const HEX: &str = "0123456789abcdef";

/// A document, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum World {
    /// No document.
    Unattested,
    /// An image that is none of ours, on an instance that is not ours.
    AnyImage,
    /// An enclave in debug mode.
    Debug,
    /// An image that is none of ours, on an instance or with a role that a policy names.
    Instance,
    /// An image that shares kernel or application with one of ours.
    Part,
    /// An image that is none of ours, signed by a key that a policy names.
    Signed,
    /// An image that a policy names and the auditor does not.
    Unexpected,
    /// One of our images.
    Ours,
}

impl World {
    /// The worlds in which nobody may get anything, the easiest for an attacker first.
    pub(super) const FORBIDDEN: [Self; 7] = [
        Self::Unattested,
        Self::AnyImage,
        Self::Debug,
        Self::Instance,
        Self::Part,
        Self::Signed,
        Self::Unexpected,
    ];

    /// What it is if something is allowed in it.
    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::Unattested | Self::Ours => &catalog::UNATTESTED_PLAINTEXT,
            Self::AnyImage => &catalog::ANY_IMAGE,
            Self::Debug => &catalog::DEBUG_IMAGE,
            Self::Instance => &catalog::INSTANCE_ONLY,
            Self::Part => &catalog::PARTIAL_IMAGE,
            Self::Signed => &catalog::SIGNER_ONLY,
            Self::Unexpected => &catalog::UNEXPECTED_IMAGE,
        }
    }

    /// In words.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Unattested => "without an attestation document",
            Self::AnyImage => "with a document of any other image",
            Self::Debug => "with a document of an enclave in debug mode (PCR0, 1, 2 and 8 are zero)",
            Self::Instance => {
                "with a document of another image, on this instance or with this role (PCR3, PCR4)"
            }
            Self::Part => "with a document of another image that shares PCR1 or PCR2",
            Self::Signed => "with a document of another image, signed with the same certificate (PCR8)",
            Self::Unexpected => "with a document of an image that is not among those expected",
            Self::Ours => "with a document of an expected image",
        }
    }

    /// What a register may have in it. `identity` are the registers by which our images are known.
    fn allows(self, identity: &BTreeSet<u8>, register: u8, value: &Value) -> bool {
        use Value::{Expected, Own, Written, Zero};
        let of_image = identity.contains(&register) || matches!(register, 0..=2);
        match (self, register) {
            (Self::Unattested, _) => false,
            (Self::Debug, 0..=2 | 8) => *value == Zero,
            (Self::Ours, r) if identity.contains(&r) => *value == Expected,
            (Self::Unexpected, 0) => *value == Written,
            (Self::Unexpected, r) if identity.contains(&r) && !identity.contains(&0) => *value != Expected,
            // Registers of the instance and such as an enclave extends itself.
            (Self::Ours | Self::Debug | Self::Unexpected, _) => true,
            (Self::Part | Self::Signed, 1 | 2) => *value != Zero,
            (Self::Signed, 8) => true,
            (Self::Instance | Self::Part | Self::Signed, 3 | 4) => true,
            (_, 3 | 4 | 8) => matches!(value, Own | Zero),
            (_, _) if of_image => *value == Own,
            _ => true,
        }
    }
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    /// Zeroes.
    Zero,
    /// One of our images'.
    Expected,
    /// A value that a policy names.
    Written,
    /// Whatever the attacker's own image has.
    Own,
}

/// The registers that documents ask for, and the values that make a difference.
#[derive(Debug)]
pub(super) struct Registers {
    registers: BTreeMap<u8, Vec<(String, Value)>>,
    /// By which registers our images are known.
    identity: BTreeSet<u8>,
    complete: bool,
}

impl Registers {
    /// `images`: for each register the values of ours, in lower case.
    pub(super) fn of(vocabulary: &Vocabulary<'_>, images: &BTreeMap<u8, BTreeSet<String>>) -> Self {
        let mut registers = BTreeMap::new();
        let mut complete = true;
        for key in vocabulary.keys() {
            let Some(register) = key.strip_prefix(PCR).and_then(|index| index.parse::<u8>().ok()) else {
                continue;
            };
            let expected = images.get(&register).cloned().unwrap_or_default();
            let written = written(vocabulary, &key);
            let zero = "0".repeat(DIGITS);
            let more: Vec<String> = expected.iter().chain(&written).cloned().chain([zero.clone()]).collect();
            let domain = vocabulary.domain(&key, &BTreeMap::new(), any_register().as_ref(), Some(HEX), &more);
            complete &= domain.complete;
            let values: Vec<(String, Value)> = domain
                .present()
                .map(|text| {
                    let value = match text {
                        _ if *text == zero => Value::Zero,
                        _ if expected.contains(text) => Value::Expected,
                        _ if written.contains(text) => Value::Written,
                        _ => Value::Own,
                    };
                    (text.clone(), value)
                })
                .collect();
            registers.insert(register, values);
        }
        Self { registers, identity: images.keys().copied().collect(), complete }
    }

    /// The registers of one world, each with the values that it may have. `part` is the register
    /// that the attacker's image shares with ours in [`World::Part`].
    pub(super) fn domains(&self, world: World, part: u8) -> BTreeMap<String, Domain> {
        let register = |(register, values): (&u8, &Vec<(String, Value)>)| {
            let may = |value: &Value| match world {
                World::Part | World::Signed if matches!(register, 1 | 2) && *register != part => {
                    *value == Value::Own
                }
                _ => world.allows(&self.identity, *register, value),
            };
            let mut sets: Vec<Vec<String>> =
                values.iter().filter(|(_, value)| may(value)).map(|(text, _)| vec![text.clone()]).collect();
            // Documents show sixteen registers; more are there once they were extended.
            if world == World::Unattested || *register >= 16 {
                sets.insert(0, Vec::new());
            }
            (format!("{PCR}{register}"), Domain { sets, complete: self.complete })
        };
        self.registers.iter().map(register).collect()
    }

    /// Whether this world is one that the auditor did not mean to allow.
    pub(super) fn is_forbidden(&self, world: World, part: u8) -> bool {
        match world {
            World::Ours => false,
            World::Unexpected => !self.identity.is_empty(),
            World::Part => self.identity != [part].into(),
            World::Signed => self.identity != [8].into(),
            World::Instance => {
                self.identity.iter().any(|register| !matches!(register, 3 | 4)) || self.identity.is_empty()
            }
            _ => true,
        }
    }
}

/// The values that policies write for a register, as a document has them: 96 digits, lower case.
pub(super) fn written(vocabulary: &Vocabulary<'_>, key: &str) -> BTreeSet<String> {
    let texts = vocabulary.conditions(key).iter().flat_map(|condition| &condition.texts);
    texts
        .map(|(text, _)| text.to_lowercase())
        .filter(|text| text.len() == DIGITS && text.chars().all(|c| HEX.contains(c)))
        .filter(|text| text.chars().any(|c| c != '0'))
        .collect()
}

fn any_register() -> Option<Text> {
    let syntax = Syntax { wildcards: true, variables: false };
    let pattern = Pattern::parse(&"?".repeat(DIGITS), syntax).ok()?;
    Some(Text { pattern, case: Case::Matters })
}
