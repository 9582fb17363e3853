//! What was found, for people and for programs: a summary, then findings, the worst first.

use std::collections::BTreeMap;

use serde::Serialize;

use kms_policies::audit::Severity;

use super::{finding::Finding, intake::Counts};
use crate::{
    clock,
    output::{Paint, Sheet, Show},
};

/// How many findings of one id are shown to people; programs are told all.
const MOST_SHOWN: usize = 50;

/// The answer of `kms trail`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether no finding is as bad as `--fail-on`.
    pub(super) verified: bool,
    pub(super) fail_on: Severity,
    pub(super) read: Counts,
    /// Files in folders that are none of CloudTrail's by their names.
    pub(super) files_not_read: u64,
    pub(super) covered: Option<Span>,
    pub(super) explained: Explained,
    /// How many boots of how many logs calls were compared with.
    pub(super) boots: Option<usize>,
    /// How many findings of each severity.
    pub(super) severities: BTreeMap<Severity, u64>,
    /// What was not compared, because nothing was named to compare it with.
    pub(super) not_compared: Vec<&'static str>,
    /// The worst first.
    pub(super) findings: Vec<Finding>,
}

/// The time that the events cover, as they show or as was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    pub(super) from: String,
    pub(super) to: String,
    /// Whether somebody said so.
    pub(super) asked: bool,
}

/// How many calls are an enclave's of ours.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Explained {
    pub(super) generate_data_key: u64,
    pub(super) decrypt: u64,
}

impl Report {
    /// Sorts what was found, and counts it.
    pub(super) fn arrange(&mut self) {
        self.findings.sort_by(|a, b| {
            let time = |finding: &Finding| finding.event.as_ref().map(|event| event.time.clone());
            b.severity.cmp(&a.severity).then_with(|| a.id.cmp(b.id)).then_with(|| time(a).cmp(&time(b)))
        });
        self.severities = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
        for finding in &self.findings {
            *self.severities.entry(finding.severity).or_default() += 1;
        }
        self.verified = self.findings.iter().all(|finding| finding.severity < self.fail_on);
    }
}

/// As the log's reports write times.
pub(super) fn span(from: u64, to: u64, asked: bool) -> Span {
    Span { from: clock::format(from), to: clock::format(to), asked }
}

impl Show for Report {
    fn show(&self, sheet: &mut Sheet) {
        let Counts { files, events, repeated, outside, other_services, other_keys, on_key, keyless } =
            self.read;
        sheet.row("events", format!("{events} in {files} files, {repeated} of them again"));
        if outside > 0 {
            sheet.row("", format!("{outside} outside of the time that was asked for"));
        }
        sheet.row(
            "",
            format!("{other_services} of other services, {other_keys} on other keys, {keyless} on no key"),
        );
        sheet.row("on the key", on_key.to_string());
        let Explained { generate_data_key, decrypt } = self.explained;
        sheet.row(
            "explained",
            format!(
                "{} (GenerateDataKey {generate_data_key}, Decrypt {decrypt})",
                generate_data_key + decrypt
            ),
        );
        if let Some(boots) = self.boots {
            sheet.row("boots", format!("{boots} in the log, all verified"));
        }
        match &self.covered {
            Some(Span { from, to, asked }) => {
                let of = if *asked { "as asked for" } else { "first to last event" };
                sheet.row("time", format!("{from} to {to}, {of}"));
            }
            None => sheet.row("time", "no event"),
        }
        let counts: Vec<String> =
            self.severities.iter().rev().map(|(severity, count)| format!("{severity} {count}")).collect();
        sheet.row("findings", counts.join(", "));
        if self.files_not_read > 0 {
            sheet.warn(format!(
                "{} files in folders are not read: by their names they hold no events",
                self.files_not_read
            ));
        }
        for what in &self.not_compared {
            sheet.warn(format!("not compared: {what}"));
        }
        self.show_findings(sheet);
        sheet.plain("");
        let level = self.fail_on;
        if self.verified {
            sheet.good(format!("no finding is {level} or worse"));
        } else {
            let bad = self.findings.iter().filter(|finding| finding.severity >= level).count();
            sheet.bad(format!("{bad} findings are {level} or worse"));
        }
    }
}

impl Report {
    fn show_findings(&self, sheet: &mut Sheet) {
        let mut shown: BTreeMap<(Severity, &str), usize> = BTreeMap::new();
        for finding in &self.findings {
            let count = shown.entry((finding.severity, finding.id)).or_default();
            *count += 1;
            if *count <= MOST_SHOWN {
                sheet.plain("");
                show_finding(finding, sheet);
            }
        }
        for ((severity, id), count) in shown.iter().rev().filter(|(_, count)| **count > MOST_SHOWN) {
            sheet.plain("");
            sheet.warn(format!("{} more of {severity} {id}: --json shows all", count - MOST_SHOWN));
        }
    }
}

fn show_finding(finding: &Finding, sheet: &mut Sheet) {
    let paint = match finding.severity {
        Severity::Critical | Severity::High => Paint::Bad,
        Severity::Medium => Paint::Warn,
        Severity::Low => Paint::Plain,
        Severity::Info => Paint::Dim,
    };
    let times = if finding.count > 1 { format!(" ({} times)", finding.count) } else { String::new() };
    sheet.line(paint, &format!("{} {}{times}", finding.severity, finding.id));
    sheet.note(&finding.why);
    if let Some(event) = &finding.event {
        let failed = event.error.as_ref().map_or(String::new(), |error| format!(", failed: {error}"));
        sheet.row("event", format!("{} at {}{failed}", event.name, event.time));
        sheet.row("who", format!("{} from {}", event.who, event.source_ip));
        sheet.row("eventID", format!("{} in {}", event.event_id, event.region));
    }
    if let Some(boot) = &finding.boot {
        sheet.row("boot", boot.to_string());
    }
}
