//! Decides of every event on the key: an enclave of ours explains it, or it is a finding.
//!
//! A call of an enclave is explained when everything holds: KMS verified that it is one of our
//! images, the log has its boot, the call lies within that boot, it was made with the parent's role
//! and for our deployment, and a signed entry accounts for it. The first that does not hold is
//! the finding.

use kms_policies::audit::Severity;
use protocol::Purpose;

use super::{
    books::{Books, Boot, Call},
    caller::Principal,
    event::Event,
    finding::{Finding, id},
    intake::Intake,
    matching::{self, Candidate},
    operation::Kind,
    recipient::Recipient,
    windows::{CLOCKS, DRAIN, Windows},
};
use verifier::Trust;

/// What is expected. What is nothing here is not compared.
pub(super) struct Expected<'x> {
    pub(super) trust: &'x Trust,
    pub(super) roles: &'x [Principal],
    pub(super) admins: &'x [Principal],
    pub(super) deployment: Option<&'x str>,
    pub(super) books: Option<&'x Books>,
    pub(super) windows: Windows,
}

/// What was decided.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    pub(super) findings: Vec<Finding>,
    /// How many calls of each kind are explained.
    pub(super) made: u64,
    pub(super) opened: u64,
}

/// What an event is, before entries were compared.
enum Step<'b> {
    Found(Box<Finding>),
    Call(Call, Option<&'b Boot>),
    /// Refused, without an enclave that is shown: perhaps an enclave's.
    Refused(Call),
}

/// Decides everything that was taken.
pub(super) fn decide(taken: &Intake, expected: &Expected<'_>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let mut candidates = Vec::new();
    let mut refused = Vec::new();
    for event in &taken.events {
        match expected.step(event) {
            Step::Found(finding) => verdicts.findings.push(*finding),
            Step::Call(call, Some(boot)) => candidates.push(Candidate { event, call, boot }),
            // There is no log to compare with.
            Step::Call(call, None) => verdicts.explain(call),
            Step::Refused(call) => refused.push((event, call)),
        }
    }
    let (explained, found) = matching::explain(&candidates, expected.windows);
    explained.into_iter().for_each(|call| verdicts.explain(call));
    verdicts.findings.extend(found);
    let boots = expected.books.map_or(&[][..], |books| &books.boots);
    verdicts.findings.extend(matching::refusals(&refused, boots, expected.windows));
    verdicts.findings.extend(others(taken));
    verdicts
}

/// What is found beside the calls that use the key.
fn others(taken: &Intake) -> impl Iterator<Item = Finding> {
    let reads = taken.reads.values().map(|reads| {
        let why = "reads about the key, and uses it not";
        Finding::of(&reads.first, id::READ, Severity::Info, why).times(reads.count)
    });
    let stops = taken.stops.iter().map(|event| {
        let (severity, why) = if event.succeeded() {
            (
                Severity::High,
                "CloudTrail was told to stop, or to record something else: see whether KMS is still recorded",
            )
        } else {
            (Severity::Medium, "somebody tried to change what CloudTrail records, and was refused")
        };
        Finding::of(event, id::STOPPED, severity, why)
    });
    let unnamed = taken.unnamed.iter().map(|event| {
        let why = "no key is named: it cannot be told whether it was on this one";
        let severity = if event.succeeded() { Severity::Medium } else { Severity::Low };
        Finding::of(event, id::NO_KEY, severity, why)
    });
    let conflicts = taken.conflicts.iter().map(|event| {
        let why = "another event has the same eventID and says something else: one of the two was changed";
        Finding::of(event, id::CONFLICT, Severity::High, why)
    });
    reads.chain(stops).chain(unnamed).chain(conflicts)
}

impl Verdicts {
    fn explain(&mut self, call: Call) {
        match call {
            Call::Make => self.made += 1,
            Call::Open => self.opened += 1,
        }
    }
}

impl Expected<'_> {
    fn step(&self, event: &Event) -> Step<'_> {
        let found = |id, severity, why: &str| Step::Found(Box::new(Finding::of(event, id, severity, why)));
        let kind = Kind::of(&event.name);
        match kind {
            Kind::Make => self.call(event, kind, Some(Call::Make)),
            Kind::Open => self.call(event, kind, Some(Call::Open)),
            Kind::Use(_) => self.call(event, kind, None),
            Kind::Control(severity) => Step::Found(Box::new(self.control(event, severity))),
            // Reads that succeeded are counted together.
            Kind::Read => {
                found(id::DENIED, Severity::Low, "somebody wanted to read about the key, and was refused")
            }
            Kind::Service(severity) if event.by_aws => {
                let why = match severity {
                    Severity::Info => "AWS KMS did this by itself, as it does",
                    _ => "AWS KMS did this by itself: the key, or its material, is gone",
                };
                found(id::SERVICE, severity, why)
            }
            Kind::Service(_) | Kind::Unknown | Kind::Keyless if event.by_aws => {
                found(id::SERVICE, Severity::Medium, "something that AWS did by itself, of an unknown name")
            }
            _ => found(id::UNKNOWN, Severity::Medium, "an operation of an unknown name, on the key"),
        }
    }

    fn control(&self, event: &Event, severity: Severity) -> Finding {
        let admin = event.caller.is_one_of(self.admins);
        match (event.succeeded(), admin) {
            (true, true) => {
                Finding::of(event, id::CONTROL, Severity::Info, "an administrator changed the key")
            }
            (true, false) => {
                let why = "somebody who is no administrator changed the key, or who may use it";
                Finding::of(event, id::CONTROL, severity, why)
            }
            (false, _) => {
                let low = admin || severity <= Severity::Medium;
                let why = "a change of the key, or of who may use it, was refused";
                Finding::of(event, id::DENIED, if low { Severity::Low } else { Severity::Medium }, why)
            }
        }
    }

    /// A call that uses the key. `call` is nothing where no enclave of ours makes such a call.
    fn call(&self, event: &Event, kind: Kind, call: Option<Call>) -> Step<'_> {
        let worst = |severity| if event.succeeded() { severity } else { Severity::Medium.min(severity) };
        let found =
            |id, severity, why: String| Step::Found(Box::new(Finding::of(event, id, worst(severity), why)));
        let recipient = match (&event.recipient, call) {
            (Some(recipient), _) => recipient,
            (None, Some(call)) if !event.succeeded() && event.caller.is_one_of(self.roles) => {
                return Step::Refused(call);
            }
            (None, _) => {
                let why = if event.succeeded() {
                    "the key was used without an attestation document: not by an enclave"
                } else {
                    "somebody tried to use the key without an attestation document, and was refused"
                };
                return found(id::UNATTESTED, kind.unattested(), why.to_owned());
            }
        };
        let recipient = match recipient {
            Ok(recipient) => recipient,
            Err(expected) => {
                let why = format!("the attestation is not an enclave's: {expected} was expected");
                return found(id::OTHER_IMAGE, Severity::Critical, why);
            }
        };
        if let Some(index) = recipient.zero() {
            let why = format!("PCR{index} is zero: an enclave in debug mode, whose memory the host reads");
            return found(id::DEBUG_IMAGE, Severity::Critical, why);
        }
        if !self.trust.is_image(&recipient.pcrs) {
            let why = format!("an enclave of another image: {}", registers(recipient));
            return found(id::OTHER_IMAGE, Severity::Critical, why);
        }
        let Some(call) = call else {
            let why = "an enclave of our image, which makes no such call".to_owned();
            return found(id::OPERATION, Severity::High, why);
        };
        let boot = match self.books.map(|books| boot_of(books, recipient, event.time)) {
            None => None,
            Some(Ok(boot)) => Some(boot),
            Some(Err((id, why))) => return found(id, Severity::High, why),
        };
        if !self.roles.is_empty() && !event.caller.is_one_of(self.roles) {
            let why = "an enclave of ours with the credentials of somebody else than the parent's role";
            return found(id::CALLER, Severity::High, why.to_owned());
        }
        if let Some(deployment) = self.deployment
            && !is_context(event, deployment)
        {
            let why =
                format!("the encryption context of the deployment {deployment} with a purpose was expected");
            return found(id::ENCRYPTION_CONTEXT, Severity::High, why);
        }
        if let Some(error) = &event.error {
            let why = format!("KMS refused an enclave of ours: {error}");
            return found(id::DENIED, Severity::Low, why);
        }
        Step::Call(call, boot)
    }
}

/// The boot that a call was made in.
fn boot_of<'b>(
    books: &'b Books,
    recipient: &Recipient,
    time: u64,
) -> Result<&'b Boot, (&'static str, String)> {
    let of_module = books.of_module(&recipient.module);
    if of_module.is_empty() {
        let why = format!("no boot in the log is of the module {}", recipient.module);
        return Err((id::UNKNOWN_BOOT, why));
    }
    let begun = of_module.partition_point(|boot| boot.started <= time.saturating_add(CLOCKS));
    let Some(boot) = of_module.get(..begun).and_then(<[Boot]>::last) else {
        return Err((id::OUTSIDE_BOOT, "the call was before the enclave of the log booted".to_owned()));
    };
    if recipient.image() != Some(boot.pcr0) {
        let why = format!("the boot of the module {} in the log is of another image", recipient.module);
        return Err((id::UNKNOWN_BOOT, why));
    }
    if boot.replaced.is_some_and(|replaced| time > replaced.saturating_add(DRAIN)) {
        let why = format!("a later boot had taken the place of boot {}, which called", boot.boot);
        return Err((id::OUTSIDE_BOOT, why));
    }
    Ok(boot)
}

/// Whether the encryption context is exactly the deployment's, with a known purpose.
fn is_context(event: &Event, deployment: &str) -> bool {
    let Some(context) = &event.context else { return false };
    let purpose = context.get("purpose").is_some_and(|purpose| purpose.parse::<Purpose>().is_ok());
    context.len() == 2 && context.get("deployment").map(String::as_str) == Some(deployment) && purpose
}

fn registers(recipient: &Recipient) -> String {
    let shown = recipient.pcrs.iter().take(3).map(|(index, pcr)| format!("PCR{index} {pcr}"));
    shown.collect::<Vec<_>>().join(", ")
}
