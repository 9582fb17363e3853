//! What a run came to, and what is now safe.

use std::collections::BTreeMap;

use protocol::KeyId;
use serde::Serialize;
use serde_json::json;

use super::batch::Outcome;
use crate::{
    error::Error,
    output::{Paint, Screen, Sheet, Show},
};
use client::Problem;

/// Counts of keys.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every key was verified under the KMS key.
    verified: bool,
    kms_key: String,
    /// How many there are.
    keys: usize,
    /// Sealed anew by this run, and opened again.
    rewrapped: usize,
    /// Under the KMS key before this run, and opened by it.
    current: usize,
    /// Verified by an earlier run.
    remembered: usize,
    /// How many were refused, by the code.
    refused: BTreeMap<String, usize>,
    /// Not asked for, because the run was interrupted.
    left: usize,
    #[serde(skip)]
    resumable: bool,
}

impl Report {
    /// Of so many keys, some of which an earlier run verified.
    pub(super) fn new(kms_key: &str, keys: usize, remembered: usize) -> Self {
        Self {
            verified: false,
            kms_key: kms_key.to_owned(),
            keys,
            rewrapped: 0,
            current: 0,
            remembered,
            refused: BTreeMap::new(),
            left: keys.saturating_sub(remembered),
            resumable: false,
        }
    }

    /// One more.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        self.left = self.left.saturating_sub(1);
        match outcome {
            Outcome::Current(_) => self.current = self.current.saturating_add(1),
            Outcome::Verified(_) => self.rewrapped = self.rewrapped.saturating_add(1),
            Outcome::Refused(problem) => {
                let count = self.refused.entry(code(problem).to_owned()).or_default();
                *count = count.saturating_add(1);
            }
        }
    }

    /// Shows it. Where the run failed, why is told after it.
    pub(super) fn finish(&mut self, screen: &Screen, failed: bool, resumable: bool) -> Result<(), Error> {
        self.resumable = resumable;
        self.verified = !failed && self.left == 0 && self.refused.is_empty();
        screen.show(self)
    }

    /// An error, told before, unless every key was verified.
    pub(super) fn verdict(&self) -> Result<(), Error> {
        if self.verified { Ok(()) } else { Err(Error::Told) }
    }
}

impl Show for Report {
    fn show(&self, sheet: &mut Sheet) {
        sheet.row("KMS key", &self.kms_key);
        sheet.row("keys", self.keys.to_string());
        sheet.row("re-sealed", self.rewrapped.to_string());
        sheet.row("current", self.current.to_string());
        sheet.row("remembered", self.remembered.to_string());
        for (code, count) in &self.refused {
            sheet.row("refused", format!("{count} {code}"));
        }
        if self.verified {
            sheet.good(format!("{} of {} keys opened under the new KMS key", self.keys, self.keys));
            sheet.note("Safe now: enclaves whose kms.keys has the new key alone, and then disabling the old");
            sheet.note("key, for these keys; others of the deployment were not looked at.");
            sheet.note(
                "Not safe: scheduling the old key's deletion. Disable it first, and wait: docs/rewrap.md.",
            );
            return;
        }
        if self.left > 0 {
            sheet.warn(format!("{} keys were not asked for", self.left));
        }
        sheet.bad("not every key opened under the new KMS key: leave the old one enabled");
        sheet.note(if self.resumable {
            "Run the same command again: it goes on with the rest. Nothing was changed or deleted."
        } else {
            "Run the same command again: what is done is found done. Nothing was changed or deleted."
        });
    }
}

/// Tells of a key that was refused: a line of JSON for programs.
pub(super) fn refused(screen: &Screen, key: &KeyId, problem: &Problem) -> Result<(), Error> {
    if screen.json() {
        return screen.json_line(&json!({"key_id": key.to_string(), "error": problem.to_json()}));
    }
    let detail = problem.detail.as_deref().unwrap_or_default();
    screen.remark(Paint::Bad, &format!("✗ {key}: {}: {detail}", code(problem)));
    Ok(())
}

fn code(problem: &Problem) -> &str {
    problem.code.as_deref().unwrap_or("unknown")
}
