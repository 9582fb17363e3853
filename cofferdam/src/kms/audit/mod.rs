//! `cofferdam kms audit`: who can reach plaintext under a KMS key, or change who can, from the
//! documents alone.

mod account;
mod document;
pub(crate) mod folder;
mod html;
mod json;
mod matrix;
mod organisation;
pub(super) mod reading;
mod sarif;
pub(super) mod subject;
mod text;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use kms_policies::audit::{Report, Severity};

use self::subject::{File, Loaded, SubjectArgs};
use crate::{
    error::Error,
    output::{Screen, Sheet},
    visible::visible_json,
};

/// Arguments of `kms audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Exit code 1 for a finding at least this bad: info, low, medium, high or critical
    #[arg(long, value_name = "LEVEL", default_value = "medium")]
    fail_on: Severity,
    /// How many seconds the search may take; what it did not come to is said to be undecided
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// How the answer is written; json is also what --json asks for
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where the answer is written, in place of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How the answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, on a terminal
    Text,
    /// For programs
    Json,
    /// For code scanners: SARIF 2.1.0
    Sarif,
    /// For people: one page that needs nothing else
    Html,
}

/// What was found, and what is needed to tell it.
struct Answer {
    report: Report,
    fail_on: Severity,
    /// The file of each document that a finding can name.
    files: BTreeMap<String, File>,
}

impl Answer {
    fn passed(&self) -> bool {
        !self.report.reaches(self.fail_on)
    }

    /// How many findings there are of each severity, the worst first.
    fn counts(&self) -> Vec<(Severity, usize)> {
        let of = |severity: Severity| self.report.findings.iter().filter(|f| f.severity == severity).count();
        Severity::ALL.into_iter().rev().map(|severity| (severity, of(severity))).collect()
    }

    /// The verdict in a sentence.
    fn verdict(&self) -> String {
        let counts: Vec<String> = self
            .counts()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        let reach = self.report.findings.iter().filter(|finding| finding.severity >= self.fail_on).count();
        let found = if counts.is_empty() { "nothing at all".to_owned() } else { counts.join(", ") };
        match reach {
            0 => format!("no finding reaches {}: {found}", self.fail_on),
            1 => format!("1 finding reaches {}: {found}", self.fail_on),
            _ => format!("{reach} findings reach {}: {found}", self.fail_on),
        }
    }
}

pub(super) fn run(args: &AuditArgs, screen: &Screen) -> Result<(), Error> {
    let Loaded { mut subject, files } = args.subject.load()?;
    subject.time = Duration::from_secs(args.timeout);
    let report =
        kms_policies::audit::audit(&subject).map_err(|error| Error::input("the documents", error))?;
    let answer = Answer { report, fail_on: args.fail_on, files };
    let format = args.format.unwrap_or(if screen.json() { Format::Json } else { Format::Text });
    match &args.out {
        None if format == Format::Text => screen.sheet(&text::sheet(&answer))?,
        // As text of others it goes to a terminal.
        None if format == Format::Html => screen.bytes(html::page(&answer).as_bytes())?,
        None => screen.bytes(visible_json(&written(&answer, format)?).as_bytes())?,
        Some(file) => {
            let unwritable =
                |error| Error::input(file.display(), format_args!("a writable file was expected: {error}"));
            fs::write(file, written(&answer, format)?).map_err(unwritable)?;
            if !screen.json() {
                let mut sheet = Sheet::default();
                text::verdict(&answer, &mut sheet);
                screen.sheet(&sheet)?;
            }
        }
    }
    if answer.passed() { Ok(()) } else { Err(Error::Told) }
}

fn written(answer: &Answer, format: Format) -> Result<String, Error> {
    let line = |value: serde_json::Value| format!("{value}\n");
    Ok(match format {
        Format::Text => text::sheet(answer).render(false),
        Format::Json => line(json::value(answer)?),
        Format::Sarif => line(sarif::value(answer)),
        Format::Html => html::page(answer),
    })
}
