//! With which attestation document somebody comes. A register has a value that an image of the
//! key's owner has, one that a policy names, one that only the attacker's own image has, or zeroes.
//! Sources: AWS Nitro Enclaves User Guide, "Cryptographic attestation": what each register measures,
//! and that PCR0 to PCR2 are zero in debug mode; EC2 User Guide, "Prepare AWS KMS for attestation".

use std::collections::{BTreeMap, BTreeSet};

use super::{
    automaton::Text,
    catalog::{self, Rule},
    domain::{Bounds, Choice, Domain},
    image::{Image, Platform},
    vocabulary::Vocabulary,
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
    /// An image that shares this register, the kernel's or the application's, with one that is named.
    Part(u8),
    /// The same, or an image of its own, signed by a key that a policy names.
    Signed(u8),
    /// An image that a policy names by PCR0 and the auditor does not.
    Unexpected,
    /// An image that policies name by kernel and application, which are not both of one of ours.
    Mixed,
    /// An instance that boots what is none of ours.
    Machine,
    /// The same, signed by a key that a policy names.
    MachineSigned,
    /// An instance that boots what a policy names, with a command line of its own.
    MachineBoot,
    /// An instance with all registers that a policy names, and none of ours.
    MachineUnexpected,
    /// One of our images, by its place among them.
    Ours(usize),
    /// Any document at all.
    Attested,
}

impl World {
    /// The worlds in which nobody may get anything, the easiest for an attacker first.
    pub(super) const FORBIDDEN: [Self; 14] = [
        Self::Unattested,
        Self::AnyImage,
        Self::Debug,
        Self::Instance,
        Self::Part(1),
        Self::Part(2),
        Self::Signed(1),
        Self::Signed(2),
        Self::Unexpected,
        Self::Mixed,
        Self::Machine,
        Self::MachineSigned,
        Self::MachineBoot,
        Self::MachineUnexpected,
    ];

    /// What it is if something is allowed in it.
    pub(super) fn rule(self) -> &'static Rule {
        match self {
            Self::Unattested | Self::Ours(_) | Self::Attested => &catalog::UNATTESTED_PLAINTEXT,
            Self::AnyImage | Self::Machine => &catalog::ANY_IMAGE,
            Self::Debug => &catalog::DEBUG_IMAGE,
            Self::Instance => &catalog::INSTANCE_ONLY,
            Self::Part(_) | Self::MachineBoot => &catalog::PARTIAL_IMAGE,
            Self::Signed(_) | Self::MachineSigned => &catalog::SIGNER_ONLY,
            Self::Unexpected | Self::Mixed | Self::MachineUnexpected => &catalog::UNEXPECTED_IMAGE,
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
            Self::Part(_) => "with a document of another image that shares PCR1 or PCR2",
            Self::Signed(_) => "with a document of another image, signed with the same certificate (PCR8)",
            Self::Unexpected | Self::Mixed => "with a document of an image that is not among those expected",
            Self::Machine => "with a NitroTPM document of any other instance",
            Self::MachineSigned => {
                "with a NitroTPM document of another instance under the same secure boot keys (PCR7)"
            }
            Self::MachineBoot => {
                "with a NitroTPM document of an instance that boots the same with another command line (PCR12)"
            }
            Self::MachineUnexpected => {
                "with a NitroTPM document of an instance that is not among those expected"
            }
            Self::Ours(_) | Self::Attested => "with a document of an expected image",
        }
    }

    /// Whose document it is; none where there is none.
    fn platform(self, images: &[Image]) -> Option<Platform> {
        match self {
            Self::Unattested => None,
            Self::Machine | Self::MachineSigned | Self::MachineBoot | Self::MachineUnexpected => {
                Some(Platform::NitroTpm)
            }
            Self::Ours(at) => images.get(at).map(|image| image.platform),
            _ => Some(Platform::Enclave),
        }
    }

    /// What a register may have in it, in a document of the world's platform.
    fn allows(self, register: u8, value: RegisterValue) -> bool {
        use RegisterValue::{Expected, Own, Written, Zero};
        let measured = value != Zero;
        match (self, register) {
            (Self::Unattested, _) => false,
            (Self::AnyImage, 3 | 4) => matches!(value, Own | Zero),
            (Self::AnyImage | Self::Instance | Self::Part(_), 8) => matches!(value, Own | Zero),
            (Self::AnyImage | Self::Instance, 0..=2) => value == Own,
            (Self::Debug, 0..=2 | 8) => value == Zero,
            (Self::Part(part) | Self::Signed(part), 1 | 2) if part == register => measured,
            (Self::Part(_) | Self::Signed(_), 0..=2) => value == Own,
            (Self::Unexpected, 0) => value == Written,
            (Self::Unexpected, 1 | 2) => measured,
            (Self::Mixed, 0) => value == Own,
            (Self::Mixed, 1 | 2) => matches!(value, Expected | Written),
            (Self::Ours(_), 0..=2) => measured,
            (Self::Machine, 4 | 7) | (Self::MachineSigned, 4) | (Self::MachineBoot, 7 | 12) => value == Own,
            (Self::MachineSigned, 7) | (Self::MachineBoot | Self::MachineUnexpected, 4) => {
                matches!(value, Written | Expected)
            }
            // Registers of the instance and such as whoever runs there extends himself.
            _ => true,
        }
    }
}

/// What a register holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegisterValue {
    /// Zeroes.
    Zero,
    /// One of our images'.
    Expected,
    /// A value that a policy names.
    Written,
    /// Whatever the attacker's own image has.
    Own,
}

/// The values of a register that make a difference, and whether they are all.
#[derive(Debug)]
struct RegisterValues {
    values: Vec<(String, RegisterValue)>,
    complete: bool,
}

/// The registers that documents ask for, and the values that make a difference.
#[derive(Debug)]
pub(super) struct Registers {
    registers: BTreeMap<(Platform, u8), RegisterValues>,
    images: Vec<Image>,
    /// What says that a document is of one of our images.
    ours: Vec<Vec<(String, String)>>,
}

impl Registers {
    pub(super) fn of(vocabulary: &Vocabulary<'_>, images: Vec<Image>) -> Self {
        let mut registers = BTreeMap::new();
        let zero = "0".repeat(DIGITS);
        for key in vocabulary.keys() {
            let Some((platform, register)) = register(&key) else { continue };
            let of_platform = images.iter().filter(|image| image.platform == platform);
            let expected: BTreeSet<String> = of_platform.filter_map(|image| image.get(register)).collect();
            let written = written(vocabulary, &key);
            let more: Vec<String> = expected.iter().chain(&written).cloned().chain([zero.clone()]).collect();
            let any = any_register();
            let bounds = Bounds { within: any.as_ref(), alphabet: Some(HEX), more: &more };
            let domain = vocabulary.domain(&key, &BTreeMap::new(), bounds);
            let kind = |text: &String| match text {
                _ if *text == zero => RegisterValue::Zero,
                _ if expected.contains(text) => RegisterValue::Expected,
                _ if written.contains(text) => RegisterValue::Written,
                _ => RegisterValue::Own,
            };
            let values = domain.present().map(|text| (text.clone(), kind(text))).collect();
            registers.insert((platform, register), RegisterValues { values, complete: domain.complete });
        }
        let ours = images.iter().flat_map(Image::identities).collect();
        Self { registers, images, ours }
    }

    /// Our images.
    pub(super) fn images(&self) -> &[Image] {
        &self.images
    }

    /// What makes a document one of ours, in any of these ways.
    pub(super) fn ours(&self) -> &[Vec<(String, String)>] {
        &self.ours
    }

    /// Whether a document of this world differs from those that are looked at beside it.
    pub(super) fn has(&self, world: World) -> bool {
        let known = |platform| self.registers.keys().any(|(of, _)| *of == platform);
        match world {
            World::Machine | World::MachineSigned | World::MachineBoot => known(Platform::NitroTpm),
            World::MachineUnexpected => known(Platform::NitroTpm) && !self.images.is_empty(),
            World::Unexpected | World::Mixed => !self.images.is_empty(),
            _ => true,
        }
    }

    /// The registers of one world, each with the values that it may have.
    pub(super) fn domains(&self, world: World) -> BTreeMap<String, Domain> {
        let platform = world.platform(&self.images);
        let image = match world {
            World::Ours(at) => self.images.get(at),
            _ => None,
        };
        let domain = |((of, register), known): (&(Platform, u8), &RegisterValues)| {
            let key = format!("{}{register}", of.prefix());
            let named = image.and_then(|image| image.get(*register)).filter(|_| platform == Some(*of));
            let may = |(text, kind): &&(String, RegisterValue)| {
                platform == Some(*of)
                    && world.allows(*register, *kind)
                    && named.as_ref().is_none_or(|named| named == text)
            };
            let present = known.values.iter().filter(may).map(|(text, _)| Choice::of(vec![text.clone()]));
            let mut choices: Vec<Choice> = present.collect();
            // Documents show sixteen registers; more are there once they were extended.
            if platform != Some(*of) || (*register >= 16 && named.is_none()) {
                choices.insert(0, Choice::of(Vec::new()));
            }
            (key, Domain { choices, complete: known.complete })
        };
        self.registers.iter().map(domain).collect()
    }
}

/// The register that a condition key, in lower case, stands for.
pub(super) fn register(key: &str) -> Option<(Platform, u8)> {
    [Platform::NitroTpm, Platform::Enclave].into_iter().find_map(|platform| {
        let digits = key.strip_prefix(platform.prefix())?;
        Some((platform, digits.parse().ok().filter(|index: &u8| index.to_string() == digits)?))
    })
}

/// The values that policies write for a register, as a document has them: 96 digits, lower case.
fn written(vocabulary: &Vocabulary<'_>, key: &str) -> BTreeSet<String> {
    let texts = vocabulary.conditions(key).iter().flat_map(|condition| &condition.texts);
    texts.filter_map(|(text, _)| measurement(text)).filter(|text| text.chars().any(|c| c != '0')).collect()
}

/// A value as a document has it: 96 digits, lower case.
pub(super) fn measurement(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    (text.len() == DIGITS && text.chars().all(|c| HEX.contains(c))).then_some(text)
}

fn any_register() -> Option<Text> {
    let syntax = Syntax { wildcards: true, variables: false };
    let pattern = Pattern::parse(&"?".repeat(DIGITS), syntax).ok()?;
    Some(Text { pattern, case: Case::Matters })
}
