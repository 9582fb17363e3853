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
    pins::Place,
};
use verifier::json::Unambiguous;

/// What an enclave asks of KMS.
const ACTIONS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];
const PURPOSES: [Purpose; 2] = [Purpose::Sweep, Purpose::Secondary];

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

/// The question: for which key, by which role, from where.
pub(super) struct Subject<'a> {
    pub(super) key: &'a Arn,
    pub(super) role: &'a Arn,
    pub(super) deployment: &'a Deployment,
    /// Where the enclaves run, by the policy's pins.
    pub(super) places: Vec<Place>,
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
    let asked = cases.iter().flat_map(|case| subject.places.iter().map(move |place| (case, place)));
    for ((who, pcrs, expected), place) in asked {
        for action in ACTIONS {
            for purpose in PURPOSES {
                let context = [("deployment", subject.deployment.as_str()), ("purpose", purpose.as_str())];
                let request = Request::new(caller.clone(), action, subject.key.clone());
                let request = request.with_encryption_context(context);
                let request = match pcrs {
                    Some(pcrs) => request.with_attestation(pcrs),
                    None => request,
                };
                let request = place.of(request, pcrs.is_some());
                let decision = policy.evaluate(&request).decide(true);
                let allowed = decision.is_allowed();
                let statement = match decision {
                    Decision::Allow { sid } | Decision::ExplicitDeny { sid } => Some(sid),
                    Decision::ImplicitDeny => None,
                };
                decided.push(Decided { who: *who, action, purpose, expected: *expected, allowed, statement });
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

#[cfg(test)]
mod tests {
    use kms_policies::render::{Pins, Template, Values, render};
    use serde_json::json;

    use super::*;
    use crate::{pins::PinArgs, trust};

    const ROLE: &str = "arn:aws:iam::000000000000:role/parents";

    /// An image whose registers are all of one byte.
    fn image(folder: &Path, byte: u8) -> verifier::Image {
        let (file, pcr) = (folder.join("pcrs.json"), format!("{byte:02x}").repeat(48));
        let pcrs = json!({"Measurements": {"PCR0": pcr, "PCR1": pcr, "PCR2": pcr}});
        std::fs::write(&file, pcrs.to_string()).unwrap();
        trust::read_image(&file).unwrap()
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        pins: PinArgs,
    }

    fn pins(args: &[&str]) -> PinArgs {
        <Line as clap::Parser>::parse_from([&["x"], args].concat()).pins
    }

    #[test]
    fn a_pinned_policy_holds_for_enclaves_where_it_is_pinned_to_and_for_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let images = Images { from: image(folder.path(), 0xa0), to: image(folder.path(), 0xb0) };
        let of = |byte: u8| {
            let pcr = Pcr::new([byte; 48]);
            kms_policies::render::Image { pcr0: pcr, pcr1: pcr, pcr2: pcr }
        };
        let right = [
            "--instance-role",
            "arn:aws:iam::000000000000:role/nodes",
            "--instance",
            "i-0123456789abcdef0",
            "--instance",
            "i-0fedcba9876543210",
            "--endpoint",
            "vpce-0123456789abcdef0",
        ];
        let policy = |pins: Pins| {
            let values = Values {
                admins: vec!["arn:aws:iam::000000000000:role/operator".parse().unwrap()],
                enclave_role: Some(ROLE.parse().unwrap()),
                images: vec![of(0xb0), of(0xa0)],
                deployment: Some("laptop".into()),
                pins,
                ..Values::default()
            };
            Policy::parse(&render(Template::Rotation, &values).unwrap()).unwrap()
        };
        let key = "arn:aws:kms:eu-central-1:000000000000:key/mrk-1".parse().unwrap();
        let (role, deployment) = (ROLE.parse().unwrap(), "laptop".parse().unwrap());
        let decided = |policy: &Policy, pins: &PinArgs| {
            let subject = Subject { key: &key, role: &role, deployment: &deployment, places: pins.places() };
            decide(policy, &subject, &images, Phase::Both).unwrap()
        };
        let holds = |decided: &[Decided]| decided.iter().all(|one| one.allowed == one.expected);
        let pinned = policy(pins(&right).pins());
        // Four callers, two calls, two purposes; once for each instance.
        let asked = decided(&pinned, &pins(&right));
        assert_eq!((asked.len(), holds(&asked)), (32, true));
        assert!(!holds(&decided(&pinned, &PinArgs::default())), "an enclave anywhere");
        for at in [1, 3, 7] {
            let mut wrong = right;
            wrong[at] =
                ["arn:aws:iam::000000000000:role/x", "i-00000000000000000", "vpce-00000000000000000"][at / 3];
            assert!(!holds(&decided(&pinned, &pins(&wrong))), "{wrong:?}");
        }
        let open = policy(Pins::default());
        let asked = decided(&open, &PinArgs::default());
        assert_eq!((asked.len(), holds(&asked)), (16, true));
    }
}
