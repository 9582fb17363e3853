//! What an audit found: the model that text, JSON and the page are written from. Nothing is left
//! out of it: a section that was not looked at is a section that says so.

use std::{collections::BTreeMap, path::PathBuf};

use clap::ValueEnum;
use serde::Serialize;

/// The format's name in JSON.
pub(crate) const FORMAT: &str = "cofferdam/audit-report/v1";

/// What came of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Everything that it asks was shown.
    Held,
    /// Something was not.
    NotHeld,
    /// Nothing is known.
    NotLookedAt,
}

impl Verdict {
    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Held => "Held",
            Self::NotHeld => "Did not hold",
            Self::NotLookedAt => "Not looked at",
        }
    }
}

/// What came of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Overall {
    /// Every section that was asked for held.
    Held,
    /// At least one did not.
    NotHeld,
    /// None failed, but at least one that was asked for could not be looked at.
    Incomplete,
}

/// The sections, in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SectionId {
    /// Attestation of the running enclave
    Enclave,
    /// The image, measured from a rebuilt file
    Image,
    /// The policy in force and who signed it
    Policy,
    /// Who may use the KMS key
    KeyPolicy,
    /// Who may change what is stored
    Bucket,
    /// The log, stored and running
    Log,
    /// Certificates of a random sample of addresses
    Addresses,
}

impl SectionId {
    /// All of them.
    pub(crate) const ALL: [Self; 7] =
        [Self::Enclave, Self::Image, Self::Policy, Self::KeyPolicy, Self::Bucket, Self::Log, Self::Addresses];

    /// As in JSON and on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enclave => "enclave",
            Self::Image => "image",
            Self::Policy => "policy",
            Self::KeyPolicy => "key-policy",
            Self::Bucket => "bucket",
            Self::Log => "log",
            Self::Addresses => "addresses",
        }
    }
}

/// How bad a finding is. From [`Severity::Medium`] on, its section does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// To be known; nothing is wrong.
    Info,
    /// Should be better.
    Low,
    /// A rule is broken.
    Medium,
    /// Records or control can be lost.
    High,
    /// Keys can be reached.
    Critical,
}

impl Severity {
    /// For people.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Stable, for programs.
    pub(crate) id: String,
    pub(crate) severity: Severity,
    /// In one line.
    pub(crate) title: String,
    /// The statement, file or entry at fault.
    pub(crate) statement: String,
    /// The witness: what was asked, and what came of it.
    pub(crate) detail: String,
    /// What to do.
    pub(crate) remedy: String,
    /// Which document says so.
    pub(crate) source: String,
}

/// A number, a hash or a time that the verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// Whether it is to be copied and compared, letter by letter.
    pub(crate) exact: bool,
}

/// Evidence with rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// How to see the same without this report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Repeat {
    pub(crate) what: &'static str,
    /// For a shell.
    pub(crate) command: String,
}

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Section {
    pub(crate) id: SectionId,
    pub(crate) title: &'static str,
    pub(crate) question: &'static str,
    pub(crate) verdict: Verdict,
    /// Whether it was asked for; no, where `--only` or `--skip` left it out.
    pub(crate) asked: bool,
    /// Why it did not hold, or was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// What was checked, in one sentence for everyone.
    pub(crate) checked: &'static str,
    /// What it does not show.
    pub(crate) limits: &'static str,
    pub(crate) evidence: Vec<Fact>,
    pub(crate) tables: Vec<Table>,
    pub(crate) findings: Vec<Finding>,
    pub(crate) repeat: Vec<Repeat>,
}

impl Section {
    /// The verdict for people, which tells what was left out from what is missing.
    pub(crate) const fn answer(&self) -> &'static str {
        match (self.verdict, self.asked) {
            (Verdict::NotLookedAt, false) => "Left out",
            (verdict, _) => verdict.text(),
        }
    }

    /// Something to be read.
    pub(crate) fn fact(&mut self, name: &'static str, value: impl Into<String>) {
        self.evidence.push(Fact { name, value: value.into(), exact: false });
    }

    /// Something to be copied and compared.
    pub(crate) fn exact(&mut self, name: &'static str, value: impl Into<String>) {
        self.evidence.push(Fact { name, value: value.into(), exact: true });
    }

    /// How to do the same by hand.
    pub(crate) fn repeat(&mut self, what: &'static str, command: impl Into<String>) {
        self.repeat.push(Repeat { what, command: command.into() });
    }
}

/// A file or folder that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Input {
    /// The option that named it.
    pub(crate) option: &'static str,
    pub(crate) path: PathBuf,
    /// Of a file, its length; of a folder, that of all its files.
    pub(crate) bytes: u64,
    /// Of a file, of its bytes; of a folder, of its list of `SHA-256  ./path`, by path.
    pub(crate) sha256: String,
    /// How many files; nothing for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<usize>,
}

/// Who made the report, when, of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct About {
    pub(crate) program: &'static str,
    pub(crate) version: &'static str,
    pub(crate) began: String,
    pub(crate) ended: String,
    pub(crate) deployment: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) root: Option<Root>,
}

/// Where trust begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Root {
    pub(crate) name: &'static str,
    pub(crate) sha256: String,
    /// Whether it is AWS's own.
    pub(crate) aws: bool,
}

/// The whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    pub(crate) format: &'static str,
    /// Whether everything that was asked for held.
    pub(crate) verified: bool,
    pub(crate) verdict: Overall,
    pub(crate) summary: String,
    #[serde(flatten)]
    pub(crate) about: About,
    pub(crate) sections: Vec<Section>,
    pub(crate) inputs: Vec<Input>,
    /// How many findings of each severity.
    pub(crate) findings: BTreeMap<Severity, usize>,
}

impl Report {
    /// Adds it up.
    pub(crate) fn new(about: About, sections: Vec<Section>, inputs: Vec<Input>) -> Self {
        let (verdict, summary) = overall(&sections);
        let mut findings = BTreeMap::new();
        for finding in sections.iter().flat_map(|section| &section.findings) {
            *findings.entry(finding.severity).or_default() += 1;
        }
        let verified = verdict == Overall::Held;
        Self { format: FORMAT, verified, verdict, summary, about, sections, inputs, findings }
    }

    /// The section.
    pub(crate) fn section(&self, id: SectionId) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == id)
    }
}

/// The verdict, and what a reader of one sentence should know.
fn overall(sections: &[Section]) -> (Overall, String) {
    let asked: Vec<&Section> = sections.iter().filter(|section| section.asked).collect();
    let with = |verdict| asked.iter().filter(|section| section.verdict == verdict).count();
    let (held, failed, open) = (with(Verdict::Held), with(Verdict::NotHeld), with(Verdict::NotLookedAt));
    let left_out = match sections.len().saturating_sub(asked.len()) {
        0 => String::new(),
        1 => " 1 check was left out on purpose, and nothing is known of it.".to_owned(),
        count => format!(" {count} checks were left out on purpose, and nothing is known of them."),
    };
    let all = asked.len();
    let (verdict, text) = match (failed, open) {
        (0, 0) if all == 0 => (Overall::Incomplete, "Nothing was checked.".to_owned()),
        (0, 0) => (Overall::Held, format!("{held} of {all} checks held.")),
        (0, open) => {
            (Overall::Incomplete, format!("{held} of {all} checks held; {open} could not be looked at."))
        }
        (failed, 0) => (Overall::NotHeld, format!("{failed} of {all} checks did not hold.")),
        (failed, open) => (
            Overall::NotHeld,
            format!("{failed} of {all} checks did not hold, and {open} could not be looked at."),
        ),
    };
    (verdict, text + &left_out)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::audit::words;

    /// A section with this verdict and nothing else.
    pub(crate) fn section(id: SectionId, verdict: Verdict) -> Section {
        Section { verdict, ..words::section(id) }
    }

    fn of(verdicts: [Verdict; 3], asked: [bool; 3]) -> (Overall, String) {
        let ids = [SectionId::Enclave, SectionId::Log, SectionId::Bucket];
        let sections: Vec<Section> =
            (0..3).map(|at| Section { asked: asked[at], ..section(ids[at], verdicts[at]) }).collect();
        overall(&sections)
    }

    #[test]
    fn what_was_not_looked_at_is_not_held() {
        use Verdict::{Held, NotHeld, NotLookedAt};
        assert_eq!(of([Held; 3], [true; 3]), (Overall::Held, "3 of 3 checks held.".into()));
        assert_eq!(of([Held, NotLookedAt, Held], [true; 3]).0, Overall::Incomplete);
        assert_eq!(of([Held, NotLookedAt, NotHeld], [true; 3]).0, Overall::NotHeld);
        let (verdict, text) = of([Held, NotLookedAt, Held], [true, false, true]);
        assert_eq!(verdict, Overall::Held);
        assert_eq!(text, "2 of 2 checks held. 1 check was left out on purpose, and nothing is known of it.");
        assert_eq!(of([NotLookedAt; 3], [false; 3]).0, Overall::Incomplete);
    }

    #[test]
    fn names_are_those_of_json_and_the_command_line() {
        for id in SectionId::ALL {
            assert_eq!(serde_json::to_value(id).unwrap(), id.name());
            assert_eq!(SectionId::from_str(id.name(), false), Ok(id));
        }
    }
}
