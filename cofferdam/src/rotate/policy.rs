//! What a key policy says to the two images and to everybody else: decided by the evaluator, for
//! the two calls that an enclave makes, never read off the text.

use std::{collections::BTreeMap, path::Path};

use attestation::{Pcr, PcrIndex};
use clap::ValueEnum;
use kms_policies::{Arn, Caller, Decision, Policy, Request};
use protocol::{Deployment, Purpose};
use serde::Serialize;

use super::Images;
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    json::Unambiguous,
};

/// What an enclave asks of KMS.
const ACTIONS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];
const PURPOSES: [Purpose; 2] = [Purpose::Sweep, Purpose::Api];

/// How far the rotation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// The key policy allows both images
    Both,
    /// The key policy allows the new image alone
    New,
}

/// Who asks KMS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    /// An enclave of the new image.
    NewImage,
    /// An enclave of the old image.
    OldImage,
    /// An enclave of an image that is neither.
    OtherImage,
    /// Someone without an attestation document.
    Unattested,
}

/// What the policy says to one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Decided {
    pub(super) who: Who,
    pub(super) action: &'static str,
    pub(super) purpose: Purpose,
    /// Whether the phase wants it allowed.
    pub(super) expected: bool,
    pub(super) allowed: bool,
    /// The statement that decided; none where nothing allows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) statement: Option<String>,
}

/// The question: for which key, by which role.
pub(super) struct Subject<'a> {
    pub(super) key: &'a Arn,
    pub(super) role: &'a Arn,
    pub(super) deployment: &'a Deployment,
}

/// Reads a key policy: its own text, or what `aws kms get-key-policy` answers around it.
pub(super) fn read(file: &Path) -> Result<Policy, Error> {
    let text = input::read_text(file, MAX_TEXT)?;
    // What is ambiguous is no policy either: its reader says so.
    let wrapped = serde_json::from_str::<Unambiguous>(&text).ok();
    let inner = wrapped.as_ref().and_then(|answer| answer.0.get("Policy")?.as_str());
    Policy::parse(inner.unwrap_or(&text)).map_err(|error| Error::input(file.display(), error))
}

/// Decides every call that the phase says something of. IAM policies are taken to allow all: what
/// the key policy leaves to them is not denied.
pub(super) fn decide(
    policy: &Policy,
    subject: &Subject<'_>,
    images: &Images,
    phase: Phase,
) -> Result<Vec<Decided>, Error> {
    let caller = Caller::role_session(subject.role.as_str(), "rotation")
        .map_err(|error| Error::input("--role", error))?;
    let other = flipped(&images.to.registers);
    let cases = [
        (Who::NewImage, Some(&images.to.registers), true),
        (Who::OldImage, Some(&images.from.registers), phase == Phase::Both),
        (Who::OtherImage, Some(&other), false),
        (Who::Unattested, None, false),
    ];
    let mut decided = Vec::new();
    for (who, pcrs, expected) in cases {
        for action in ACTIONS {
            for purpose in PURPOSES {
                let context = [("deployment", subject.deployment.as_str()), ("purpose", purpose.as_str())];
                let request = Request::new(caller.clone(), action, subject.key.clone());
                let request = request.with_encryption_context(context);
                let request = match pcrs {
                    Some(pcrs) => request.with_attestation(pcrs),
                    None => request,
                };
                let decision = policy.evaluate(&request).decide(true);
                let allowed = decision.is_allowed();
                let statement = match decision {
                    Decision::Allow { sid } | Decision::ExplicitDeny { sid } => Some(sid),
                    Decision::ImplicitDeny => None,
                };
                decided.push(Decided { who, action, purpose, expected, allowed, statement });
            }
        }
    }
    Ok(decided)
}

/// The registers of no image: every bit of each is another one.
fn flipped(pcrs: &BTreeMap<PcrIndex, Pcr>) -> BTreeMap<PcrIndex, Pcr> {
    pcrs.iter().map(|(index, pcr)| (*index, Pcr::new(pcr.as_bytes().map(|byte| !byte)))).collect()
}

impl Who {
    /// In words.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NewImage => "the new image",
            Self::OldImage => "the old image",
            Self::OtherImage => "another image",
            Self::Unattested => "a caller without attestation",
        }
    }
}
