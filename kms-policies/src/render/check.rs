//! What may be put into a template. A value that would loosen the policy is refused.

use attestation::Pcr;

use super::{Image, Pins, Recovery, RenderError, Template, Values};
use crate::arn::Arn;

pub(super) fn check(template: Template, values: &Values) -> Result<(), RenderError> {
    let Values { admins, enclave_role, images, signers, deployment, recovery, pins } = values;
    if admins.is_empty() || repeated(admins) || !admins.iter().all(|arn| is(arn, "role") || is(arn, "user")) {
        return Err(RenderError::Admin);
    }
    if let Some(role) = enclave_role
        && (!is(role, "role") || admins.contains(role))
    {
        return Err(RenderError::EnclaveRole);
    }
    let measured = images.iter().chain(recovery.iter().map(|recovery| &recovery.image));
    if measured.flat_map(registers).any(|pcr| pcr.is_zero()) {
        return Err(RenderError::Images);
    }
    if signers.iter().any(Pcr::is_zero) {
        return Err(RenderError::Signers);
    }
    if repeated(images) || repeated(signers) {
        return Err(RenderError::Count("every image and every certificate was expected only once"));
    }
    if deployment.as_ref().is_some_and(|name| !plain(name)) {
        return Err(RenderError::Deployment);
    }
    if let Some(Recovery { role, image, replica_region }) = recovery {
        if !is(role, "role") || admins.contains(role) || enclave_role.as_ref() == Some(role) {
            return Err(RenderError::RecoveryRole);
        }
        // With the production's image, recovery would be production under another name.
        if images.contains(image) {
            return Err(RenderError::Count("an image of its own was expected for recovery"));
        }
        if replica_region.as_ref().is_some_and(|region| !is_region(region)) {
            return Err(RenderError::Region);
        }
    }
    check_pins(pins)?;
    let everyone = || {
        let roles = enclave_role.iter().chain(recovery.iter().map(|r| &r.role)).chain(&pins.instance_roles);
        admins.iter().chain(roles)
    };
    let home = |arn: &Arn| (arn.partition().to_owned(), arn.account().clone());
    if everyone().any(|arn| everyone().any(|other| home(arn) != home(other))) {
        return Err(RenderError::Accounts);
    }
    needs(template, values)
}

/// A pin that nothing can match would lock everybody out.
fn check_pins(pins: &Pins) -> Result<(), RenderError> {
    let Pins { instance_roles, instances, endpoints } = pins;
    if repeated(instance_roles) || !instance_roles.iter().all(|arn| is(arn, "role")) {
        return Err(RenderError::InstanceRole);
    }
    if repeated(instances) || !instances.iter().all(|id| is_id(id, "i-")) {
        return Err(RenderError::Instance);
    }
    if repeated(endpoints) || !endpoints.iter().all(|id| is_id(id, "vpce-")) {
        return Err(RenderError::Endpoint);
    }
    Ok(())
}

/// What the template cannot do without.
fn needs(template: Template, values: &Values) -> Result<(), RenderError> {
    if template == Template::Freeze {
        return Ok(());
    }
    let count = values.images.len();
    match template {
        Template::Signed if values.signers.is_empty() => return Err(RenderError::Signers),
        Template::Production | Template::Rotation | Template::Recovery if count == 0 => {
            return Err(RenderError::Images);
        }
        Template::Production if count > 1 => {
            return Err(RenderError::Count("one image was expected: several are the template rotation"));
        }
        Template::Rotation if count < 2 => {
            return Err(RenderError::Count("two images were expected: one is the template production"));
        }
        Template::Recovery if values.recovery.is_none() => return Err(RenderError::Recovery),
        // Whoever recovers does so elsewhere: a pin of production would keep them from it.
        Template::Recovery if values.pins != Pins::default() => return Err(RenderError::PinnedRecovery),
        _ => {}
    }
    if values.enclave_role.is_none() {
        return Err(RenderError::EnclaveRole);
    }
    if values.deployment.is_none() { Err(RenderError::Deployment) } else { Ok(()) }
}

/// `arn:…:iam::account:kind/…`
fn is(arn: &Arn, kind: &str) -> bool {
    arn.is_iam(kind) && arn.region().is_empty()
}

/// An id of EC2: 8 hexadecimal digits, or 17 since 2016.
fn is_id(text: &str, kind: &str) -> bool {
    let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    text.strip_prefix(kind).is_some_and(|id| [8, 17].contains(&id.len()) && id.bytes().all(digit))
}

fn registers(image: &Image) -> [Pcr; 3] {
    [image.pcr0, image.pcr1, image.pcr2]
}

fn repeated<T: PartialEq>(items: &[T]) -> bool {
    items.iter().enumerate().any(|(at, item)| items.iter().take(at).any(|other| other == item))
}

fn plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

/// `eu-west-1`, `us-gov-east-1`: parts between hyphens, the last of them a number.
fn is_region(text: &str) -> bool {
    let mut parts: Vec<&str> = text.split('-').collect();
    let number = parts.pop().unwrap_or_default();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    text.len() <= 32
        && parts.len() >= 2
        && parts.iter().all(letters)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}
