//! What a check of a rotation found, and what may be done next.

use serde::Serialize;
use serde_json::json;

use super::{
    old::Old,
    policy::{Decided, Phase, Who},
};
use crate::{
    clock,
    log::Summary,
    output::{Sheet, Show},
    records::Tally,
};

/// A parent whose enclave must run the new image.
#[derive(Debug, Serialize)]
pub(super) struct Enclave {
    pub(super) url: String,
    /// It attested the new image, for a fresh nonce.
    pub(super) new: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Everything that was checked.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) phase: Phase,
    pub(super) at: u64,
    pub(super) decided: Vec<Decided>,
    pub(super) enclaves: Vec<Enclave>,
    /// Keys that are known.
    pub(super) keys: u64,
    /// Keys that were to be opened.
    pub(super) asked: u64,
    pub(super) all: bool,
    pub(super) log: Option<Summary>,
    pub(super) tally: Tally,
    pub(super) old: Option<Old>,
}

impl Judgement {
    fn policy_holds(&self) -> bool {
        self.decided.iter().all(|decided| decided.allowed == decided.expected)
    }

    fn enclaves_hold(&self) -> bool {
        !self.enclaves.is_empty() && self.enclaves.iter().all(|enclave| enclave.new)
    }

    fn old_holds(&self) -> bool {
        self.old.as_ref().is_none_or(|old| old.refused)
    }

    /// Whether the phase holds.
    pub(super) fn holds(&self) -> bool {
        self.policy_holds() && self.enclaves_hold() && self.tally.holds() && self.old_holds()
    }

    fn next(&self) -> &'static str {
        match (self.phase, self.holds()) {
            (Phase::Both, true) => {
                "the new image opens what was opened here: let it soak, then the policy may name it alone"
            }
            (Phase::Both, false) => {
                "do not go on: both images must stay in the policy; the old one can serve as before"
            }
            (Phase::New, true) => "the rotation is done: the old image opens nothing any more",
            (Phase::New, false) if !self.enclaves_hold() || !self.tally.holds() => {
                "put the policy with both images back, and the old image where the new one fails"
            }
            (Phase::New, false) if !self.policy_holds() => {
                "the rotation is not done: put the policy that names the new image alone, and check again"
            }
            (Phase::New, false) => {
                "the rotation is not done: wait until the old enclave has forgotten its data keys, or stop it"
            }
        }
    }
}

impl Serialize for Judgement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "kind": "rotation-check", "verified": self.holds(), "phase": self.phase,
            "at": clock::format(self.at),
            "policy": {"verified": self.policy_holds(), "decided": self.decided},
            "enclaves": self.enclaves,
            "keys": self.keys, "asked": self.asked, "all": self.all, "log": self.log,
            "records": self.tally, "old": self.old, "next": self.next(),
        })
        .serialize(serializer)
    }
}

impl Show for Judgement {
    fn show(&self, sheet: &mut Sheet) {
        self.show_policy(sheet);
        for enclave in &self.enclaves {
            match &enclave.error {
                None => sheet.good(format!("{} runs the new image", enclave.url)),
                Some(error) => sheet.bad(format!("{}: {error}", enclave.url)),
            }
        }
        if let Some(log) = &self.log {
            sheet.good(format!("the log verified: {} entries of {} boots", log.entries, log.boots));
            if log.unsigned > 0 {
                sheet.warn(format!("not signed: {} of them", log.unsigned));
            }
        }
        self.tally.show(self.asked, sheet);
        if !self.all {
            sheet.warn(format!("a sample: {} of {} keys", self.asked, self.keys));
        }
        match &self.old {
            Some(old) if old.refused => {
                sheet.good(format!("{} runs the old image, and KMS refused it {} times", old.url, old.asked));
            }
            Some(old) => {
                sheet.bad(format!("{}: {}", old.url, old.found.as_deref().unwrap_or("it was not asked")));
            }
            None if self.phase == Phase::New => {
                sheet.note("no enclave of the old image was asked: --old-url");
            }
            None => {}
        }
        sheet.plain("");
        if self.holds() { sheet.good(self.next()) } else { sheet.bad(self.next()) }
    }
}

impl Judgement {
    fn show_policy(&self, sheet: &mut Sheet) {
        for who in [Who::NewImage, Who::OldImage, Who::OtherImage, Who::Unattested] {
            let of = || self.decided.iter().filter(move |decided| decided.who == who);
            let Some(first) = of().next() else { continue };
            let wanted = if first.expected { "is allowed" } else { "is refused" };
            if of().all(|decided| decided.allowed == decided.expected) {
                sheet.good(format!("key policy: {} {wanted}", who.text()));
                continue;
            }
            sheet.bad(format!("key policy: that {} {wanted} was expected", who.text()));
            for decided in of().filter(|decided| decided.allowed != decided.expected) {
                let Decided { action, purpose, allowed, statement, .. } = decided;
                let found = if *allowed { "is allowed" } else { "is refused" };
                let by = statement.as_deref().map_or(String::new(), |sid| format!(" by {sid}"));
                sheet.note(format!("{action} for {} {found}{by}", purpose.as_str()));
            }
        }
    }
}
