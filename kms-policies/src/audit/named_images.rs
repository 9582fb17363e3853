//! The images that the documents themselves name, which are taken for ours where the auditor names none.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{Pcr, PcrIndex};

use super::{
    condition_keys::canonical,
    image::{Image, Platform},
    world::{measurement, register},
};
use crate::{
    condition::{Comparison, Condition, Quantifier},
    effect::Effect,
    policy::{Policy, Statement},
};

/// Values of registers that stand beside each other.
type NamedRegisters = BTreeMap<u8, BTreeSet<Pcr>>;
/// More images than that are not told apart.
const MAX_IMAGES: usize = 4096;

/// The images that Allow statements ask for and that Deny statements leave alone.
pub(super) fn named_images<'a>(policies: impl Iterator<Item = &'a Policy> + Clone) -> Vec<Image> {
    let mut images: BTreeSet<Image> = BTreeSet::new();
    for platform in [Platform::Enclave, Platform::NitroTpm] {
        // A key is for enclaves or for instances: whoever means both says so.
        if !images.is_empty() {
            break;
        }
        let mut spared = NamedRegisters::new();
        for statement in policies.clone().flat_map(Policy::statements) {
            let named = named(statement, platform);
            match statement.effect() {
                Effect::Allow => images.extend(whole(platform, &named)),
                // Denials hold together.
                Effect::Deny => named.into_iter().for_each(|(register, values)| {
                    spared.entry(register).or_default().extend(values);
                }),
            }
        }
        if images.is_empty() {
            images.extend(whole(platform, &spared));
        }
    }
    images.into_iter().collect()
}

/// The registers that a statement lets through, each with its values.
fn named(statement: &Statement, platform: Platform) -> NamedRegisters {
    let mut named = NamedRegisters::new();
    for condition in statement.conditions.iter().filter(|condition| lets_through(statement, condition)) {
        let Some((of, index)) = register(canonical(&condition.key)) else { continue };
        let values = condition.texts.iter().filter_map(|(text, _)| measurement(text)?.parse::<Pcr>().ok());
        // Zeroes are of debug mode, or of what is not used.
        let values = values.filter(|pcr| !pcr.is_zero() || platform == Platform::NitroTpm);
        if of == platform {
            named.entry(index).or_default().extend(values);
        }
    }
    named.retain(|_, values| !values.is_empty());
    named
}

fn lets_through(statement: &Statement, condition: &Condition) -> bool {
    let operator = condition.operator;
    let text = matches!(
        operator.comparison,
        Comparison::Text | Comparison::TextWithoutCase | Comparison::Like | Comparison::Arn
    );
    let one = operator.quantifier == Quantifier::Single || operator.quantifier == Quantifier::Any;
    text && one && operator.negated == (statement.effect() == Effect::Deny)
}

/// The images of a statement's registers, where they say which image it is.
fn whole(platform: Platform, named: &NamedRegisters) -> Vec<Image> {
    let registers: &[u8] = match platform {
        Platform::Enclave if named.contains_key(&0) => &[0],
        Platform::Enclave if named.contains_key(&1) && named.contains_key(&2) => &[1, 2],
        Platform::NitroTpm if named.contains_key(&4) && named.contains_key(&12) => &[4, 12],
        Platform::NitroTpm if named.contains_key(&4) && named.contains_key(&7) => &[4, 7],
        _ => return Vec::new(),
    };
    let mut images: Vec<BTreeMap<PcrIndex, Pcr>> = vec![BTreeMap::new()];
    for register in registers {
        let (Ok(index), Some(values)) = (PcrIndex::new(*register), named.get(register)) else { continue };
        let with = |image: &BTreeMap<PcrIndex, Pcr>| {
            let image = image.clone();
            values.iter().map(move |value| image.clone().into_iter().chain([(index, *value)]).collect())
        };
        images = images.iter().flat_map(with).take(MAX_IMAGES).collect();
    }
    // What stands beside it once is the same image's.
    let known: &[u8] = match platform {
        Platform::Enclave => &[0, 1, 2, 8],
        Platform::NitroTpm => &[4, 7, 12],
    };
    let beside = named.iter().filter(|(register, values)| {
        values.len() == 1 && known.contains(register) && !registers.contains(register)
    });
    let beside: Vec<(PcrIndex, Pcr)> = beside
        .filter_map(|(register, values)| Some((PcrIndex::new(*register).ok()?, *values.first()?)))
        .collect();
    let one = images.len() == 1;
    let mut images: Vec<Image> = images.into_iter().map(|registers| Image { platform, registers }).collect();
    if let (Some(image), true) = (images.first_mut(), one) {
        image.registers.extend(beside);
    }
    images
}
