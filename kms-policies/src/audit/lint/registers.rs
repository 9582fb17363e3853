//! Conditions on the registers of an enclave: their values, and how they are compared.
//! Source: KMS Developer Guide, "Condition keys for Nitro Enclaves".

use attestation::Pcr;
use data_encoding::BASE64;

use super::Written;
use crate::{
    audit::{
        Finding, Severity,
        catalog::{
            MIXED_TYPES, PCR_BASE64, PCR_CASE, PCR_IF_EXISTS, PCR_LENGTH, PCR_NEGATED_ALLOW, PCR_PATTERN,
            PCR_ZERO,
        },
        condition_keys::canonical,
        image::Platform,
        world::register,
    },
    condition::{Comparison, Condition},
    effect::Effect,
    error::Position,
};

/// The register that a condition key, given in lower case, stands for.
pub(super) fn of_key(key: &str) -> Option<(Platform, u8)> {
    register(canonical(key))
}

pub(super) fn lint(here: &Written<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for condition in &here.statement.conditions {
        let Some(register) = of_key(&condition.key) else { continue };
        match condition.operator.comparison {
            Comparison::Null => {}
            Comparison::Text | Comparison::TextWithoutCase | Comparison::Like => {
                findings.extend(operator(here, condition));
                for ((text, at), read) in condition.texts.iter().zip(&condition.values) {
                    // Known when a request is made. In the version of 2008 there are no variables.
                    let variable = read.variables().next().is_some();
                    findings.extend(value(here, condition, text, *at).filter(|_| !variable));
                    findings.extend(zero(here, condition, register, text, *at));
                }
            }
            _ => findings.push(here.of_condition(
                &MIXED_TYPES,
                condition,
                "a register is a text of 96 hexadecimal digits, and only String operators compare texts",
            )),
        }
    }
    findings
}

fn operator(here: &Written<'_>, condition: &Condition) -> Option<Finding> {
    let (operator, allow) = (condition.operator, here.statement.effect == Effect::Allow);
    if operator.if_exists {
        let mut finding = here.of_condition(
            &PCR_IF_EXISTS,
            condition,
            match (allow, operator.negated) {
                (true, _) => "a request without a document is let in",
                (false, true) => {
                    "IfExists changes nothing here, since a negated operator holds without a document"
                }
                (false, false) => "a request without a document is denied as well",
            },
        );
        if !allow {
            finding.severity = Severity::Low;
        }
        return Some(finding);
    }
    (allow && operator.negated)
        .then(|| here.of_condition(&PCR_NEGATED_ALLOW, condition, "a request without a document is let in"))
}

/// What is wrong with a value as KMS would compare it.
fn value(here: &Written<'_>, condition: &Condition, text: &str, at: Position) -> Option<Finding> {
    let (comparison, key) = (condition.operator.comparison, &condition.key_name);
    let like = comparison == Comparison::Like;
    if like && text.contains(['*', '?']) {
        // More images are let in by an Allow, or left out by a Deny.
        let opens = (here.statement.effect == Effect::Allow) != condition.operator.negated;
        let severity = if opens { Severity::High } else { Severity::Low };
        let message = format!("{key}: {text} matches more than one image");
        return Some(here.graded(&PCR_PATTERN, severity, at, message));
    }
    let hexadecimal = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if text.len() == 96 && hexadecimal {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        if upper && comparison != Comparison::TextWithoutCase {
            let message = format!("{key}: {} minds upper and lower case", condition.operator_name);
            // Beside the same in lower case it opens nothing and closes nothing.
            let beside = condition.texts.iter().any(|(other, _)| *other == text.to_lowercase());
            let severity = if beside { Severity::Info } else { PCR_CASE.severity };
            return Some(here.graded(&PCR_CASE, severity, at, message));
        }
        return like.then(|| {
            let message = format!("{key}: the value is compared as a pattern, though it holds no wildcard");
            here.graded(&PCR_PATTERN, Severity::Low, at, message)
        });
    }
    // KMS Developer Guide, "Condition keys for NitroTPM": up to 96 digits.
    if of_key(&condition.key).is_some_and(|(platform, _)| platform == Platform::NitroTpm) {
        return None;
    }
    if !hexadecimal && BASE64.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 48) {
        return Some(here.finding(&PCR_BASE64, at, format!("{key}: 48 bytes in base64")));
    }
    let found = match (text.len(), hexadecimal) {
        (length, true) => format!("{length} hexadecimal digits"),
        _ if text.starts_with("0x") || text.starts_with("0X") => "digits behind 0x".to_owned(),
        _ => "something else".to_owned(),
    };
    Some(here.finding(&PCR_LENGTH, at, format!("{key}: 96 hexadecimal digits were expected, found {found}")))
}

/// A register of zeroes that an Allow wants, or that a Deny leaves out.
fn zero(
    here: &Written<'_>,
    condition: &Condition,
    register: (Platform, u8),
    text: &str,
    at: Position,
) -> Option<Finding> {
    let accepts = (here.statement.effect == Effect::Allow) != condition.operator.negated;
    let all_zero = text.parse().is_ok_and(|pcr: Pcr| pcr.is_zero());
    // Zero in every image that is not signed: right where the image is pinned beside it.
    let unsigned = register.1 == 8 && pins_image(here);
    (accepts && all_zero && matches!(register, (Platform::Enclave, 0..=2 | 8)) && !unsigned).then(|| {
        let message = format!("{}: zeroes are every enclave in debug mode", condition.key_name);
        here.finding(&PCR_ZERO, at, message)
    })
}

/// Whether the statement names an image that is not of debug mode.
fn pins_image(here: &Written<'_>) -> bool {
    here.statement.conditions.iter().any(|condition| {
        of_key(&condition.key) == Some((Platform::Enclave, 0))
            && condition.texts.iter().all(|(text, _)| text.parse().is_ok_and(|pcr: Pcr| !pcr.is_zero()))
    })
}
