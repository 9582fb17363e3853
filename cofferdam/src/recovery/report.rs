//! What a drill measured. RPO: how much the replica lacks. RTO: how long until keys open again.

use std::time::{Duration, Instant};

use protocol::Deployment;
use serde::Serialize;
use serde_json::json;

use crate::{
    clock,
    log::Summary,
    output::{Sheet, Show},
    records::{Survey, Tally},
};

/// A drill.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) deployment: Deployment,
    pub(super) url: String,
    pub(super) started: u64,
    pub(super) declared: Option<u64>,
    /// Keys that are known.
    pub(super) keys: u64,
    /// Keys that were to be opened.
    pub(super) asked: u64,
    pub(super) all: bool,
    pub(super) log: Option<Summary>,
    pub(super) tally: Tally,
    pub(super) rpo: Rpo,
    pub(super) rto: Rto,
}

/// The recovery point: from when on something is missing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rpo {
    /// From the creation of the oldest missing key to the last thing that is known; 0 when nothing is
    /// missing; absent when nobody knows when the missing ones were made.
    pub(super) seconds: Option<f64>,
    /// Whether all keys were looked at. Else it is at least that.
    pub(super) exact: bool,
    /// Keys whose records are missing.
    pub(super) missing: u64,
    /// Of these, how many of unknown age.
    pub(super) undated: u64,
    /// `log`: up to its last entry. `addresses`: up to the newest address of the list.
    pub(super) measured_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) oldest_missing_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) known_until: Option<String>,
}

/// The recovery time, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Rto {
    /// Until the first key opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_key_seconds: Option<f64>,
    /// Until the last of those that were looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_key_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) keys_per_second: Option<f64>,
    /// Until all keys that are known would have opened, at that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) all_keys_seconds: Option<f64>,
}

impl Rpo {
    /// `last_entry`: when the log's last entry was written.
    pub(super) fn of(tally: &Tally, survey: &Survey, last_entry: Option<u64>) -> Self {
        let known_until = last_entry.or(survey.newest);
        let milliseconds = match (tally.missing, tally.oldest_missing, known_until) {
            (0, _, _) => Some(0),
            (_, Some(oldest), Some(until)) => Some(until.saturating_sub(oldest)),
            _ => None,
        };
        Self {
            seconds: milliseconds.map(|milliseconds| Duration::from_millis(milliseconds).as_secs_f64()),
            exact: survey.is_all() && tally.interrupted.is_none() && tally.missing_undated == 0,
            missing: tally.missing,
            undated: tally.missing_undated,
            measured_by: if last_entry.is_some() { "log" } else { "addresses" },
            oldest_missing_at: tally.oldest_missing.map(clock::format),
            known_until: known_until.map(clock::format),
        }
    }
}

impl Rto {
    /// `began`: the drill; `opening`: the first request. `waited`: milliseconds from the declaration to
    /// the drill's start.
    pub(super) fn of(tally: &Tally, keys: u64, began: Instant, opening: Instant, waited: u64) -> Self {
        let Some((first, last)) = tally.openings else {
            return Self {
                first_key_seconds: None,
                last_key_seconds: None,
                keys_per_second: None,
                all_keys_seconds: None,
            };
        };
        let waited = Duration::from_millis(waited);
        let after = |moment: Instant| (waited + moment.duration_since(began)).as_secs_f64();
        // Counts are far below 2^52.
        let rate = tally.opened as f64 / last.duration_since(opening).as_secs_f64().max(1e-6);
        Self {
            first_key_seconds: Some(after(first)),
            last_key_seconds: Some(after(last)),
            keys_per_second: Some(rate),
            all_keys_seconds: Some(after(opening) + keys as f64 / rate),
        }
    }
}

impl Report {
    /// Whether every key that was looked at opened as it should.
    pub(super) fn holds(&self) -> bool {
        self.tally.holds()
    }
}

impl Serialize for Report {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let measured_from = if self.declared.is_some() { "declared" } else { "start" };
        json!({
            "kind": "recovery-drill", "verified": self.holds(), "deployment": self.deployment,
            "url": self.url, "started": clock::format(self.started),
            "declared": self.declared.map(clock::format), "measured_from": measured_from,
            "keys": self.keys, "asked": self.asked, "all": self.all, "log": self.log,
            "records": self.tally, "rpo": self.rpo, "rto": self.rto,
        })
        .serialize(serializer)
    }
}

impl Show for Report {
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(format!("recovery drill of {} at {}", self.deployment, self.url));
        if let Some(log) = &self.log {
            sheet.good(format!("the log verified: {} entries of {} boots", log.entries, log.boots));
            if log.unsigned > 0 {
                sheet.warn(format!("not signed: {} of them", log.unsigned));
            }
        }
        self.tally.show(self.asked, sheet);
        if !self.all {
            sheet.warn(format!(
                "a sample: {} of {} keys, the newest among them; what is measured is a bound. --all is exact",
                self.asked, self.keys
            ));
        }
        sheet.plain("");
        let bound = if self.rpo.exact { "" } else { "at least " };
        sheet.row(
            "RPO",
            match self.rpo.seconds {
                Some(seconds) => {
                    format!("{bound}{seconds:.1} s: {bound}{} records missing", self.rpo.missing)
                }
                None => format!("unknown: {bound}{} records missing, of unknown age", self.rpo.missing),
            },
        );
        if let (Some(oldest), Some(until)) = (&self.rpo.oldest_missing_at, &self.rpo.known_until) {
            let end = if self.rpo.measured_by == "log" { "the log ends" } else { "the newest address is of" };
            sheet.note(format!("the oldest missing one was made {oldest}, {end} {until}"));
        }
        let from = if self.declared.is_some() { "the declaration" } else { "the drill's start" };
        let Rto { first_key_seconds, last_key_seconds, keys_per_second, all_keys_seconds } = &self.rto;
        if let (Some(first), Some(last), Some(rate), Some(all)) =
            (first_key_seconds, last_key_seconds, keys_per_second, all_keys_seconds)
        {
            sheet.row("RTO", format!("{first:.1} s to the first key, {last:.1} s to the last, from {from}"));
            sheet.row("rate", format!("{rate:.0} keys/s: {all:.0} s for all {} keys", self.keys));
        } else {
            sheet.row("RTO", "no key opened");
        }
    }
}
