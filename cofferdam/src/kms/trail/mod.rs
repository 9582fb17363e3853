//! `cofferdam kms trail`: every call on the KMS key that CloudTrail recorded is either one that an
//! enclave of ours made for something that is on its log, or a finding. What each finding means,
//! and what CloudTrail cannot show, is told in `docs/trail.md`.
//!
//! Files of CloudTrail are read as if somebody hostile had written them. That nothing was taken
//! out of them is what CloudTrail's own digests show, not this.

mod args;
mod books;
mod caller;
mod event;
mod files;
mod finding;
mod gzip;
mod intake;
mod judge;
mod key;
mod matching;
mod operation;
mod read;
mod recipient;
mod report;
mod windows;

#[cfg(test)]
mod tests;

use crate::{
    error::Error,
    log::{self, Judge},
    output::Screen,
};
use kms_policies::audit::Severity;

use self::{
    books::{Books, Call, Collector, Gap},
    finding::{Finding, id},
    intake::{Intake, Scope},
    judge::Expected,
    report::{Explained, Report},
};

pub(crate) use args::TrailArgs;

/// Does it.
pub(super) fn run(args: &TrailArgs, screen: &Screen) -> Result<(), Error> {
    let trust = args.trust.load()?;
    if args.since.zip(args.until).is_some_and(|(since, until)| since > until) {
        return Err(Error::input("--until", "a time after --since was expected"));
    }
    let found = files::find(&args.files)?;
    let scope = Scope { keys: &args.keys, since: args.since, until: args.until };
    let mut taken = Intake::default();
    let mut truncated = Vec::new();
    for file in &found.files {
        taken.counts.files += 1;
        let json = files::read(file)?;
        let more = read::events(&json, &mut |event| taken.take(&scope, event));
        if more.map_err(|error| Error::input(files::name(file), error))? {
            truncated.push(files::name(file));
        }
    }
    taken.finish();
    let (covered, asked) = covered(args, &taken);
    let books = if args.logs.is_empty() { None } else { Some(read_logs(args, &taken, covered)?) };
    let expected = Expected {
        trust: &trust,
        roles: &args.roles,
        admins: &args.admins,
        deployment: args.deployment.as_ref().map(protocol::Deployment::as_str),
        books: books.as_ref(),
        windows: args.windows(),
    };
    let verdicts = judge::decide(&taken, &expected);
    let mut findings = verdicts.findings;
    findings.extend(truncated.iter().map(|file| {
        let why = format!("{file} says that there are more events than it holds (NextToken)");
        Finding::new(id::TRUNCATED, Severity::Medium, why)
    }));
    findings.extend(books.iter().flat_map(gaps));
    let mut report = Report {
        verified: false,
        fail_on: args.fail_on,
        read: taken.counts,
        files_not_read: found.others,
        covered: covered.map(|(from, to)| report::span(from, to, asked)),
        explained: Explained { generate_data_key: verdicts.made, decrypt: verdicts.opened },
        boots: books.as_ref().map(|books| books.boots.len()),
        severities: Default::default(),
        not_compared: not_compared(args),
        findings,
    };
    report.arrange();
    screen.show(&report)?;
    if report.verified { Ok(()) } else { Err(Error::Told) }
}

/// The time that the events cover, and whether somebody said so. Without that, only what lies
/// between two events is sure: a trail that was turned off ends like one that was read early.
fn covered(args: &TrailArgs, taken: &Intake) -> (Option<(u64, u64)>, bool) {
    let from = args.since.or(taken.span.map(|(from, _)| from));
    let to = args.until.or(taken.span.map(|(_, to)| to));
    (from.zip(to).filter(|(from, to)| from <= to), args.since.is_some() || args.until.is_some())
}

fn read_logs(args: &TrailArgs, taken: &Intake, covered: Option<(u64, u64)>) -> Result<Books, Error> {
    let mut books = Books::default();
    let windows = args.windows();
    for folder in &args.logs {
        let deployment = args.deployment.clone();
        let deployment = deployment
            .ok_or_else(|| Error::input("--deployment", "the name of the deployment was expected"))?;
        let judge = Judge::new(args.trust.load()?, deployment);
        let mut collector = Collector::new(&taken.events, &windows, covered);
        let boots = log::read_history(folder, &judge, args.allow_roots, None, &mut |module, line| {
            collector.take(module, line)
        })?;
        books.add(collector.into_books(boots));
    }
    Ok(books)
}

/// What the log has and the events have not.
fn gaps(books: &Books) -> Vec<Finding> {
    let gap = |gap: &Gap| {
        let (what, call) = match gap.call {
            Call::Make => ("keys were made", "GenerateDataKey"),
            Call::Open => ("keys were used", "Decrypt"),
        };
        let why = format!(
            "{what}, from entry {} at {} on, without any {call} among the events: events are missing, or CloudTrail was turned off",
            gap.seq,
            crate::clock::format(gap.time)
        );
        Finding::new(id::GAP, Severity::High, why).in_boot(gap.boot).times(gap.count)
    };
    let mut findings: Vec<Finding> = books.gaps.iter().map(gap).collect();
    if books.uncovered > 0 {
        let why = "entries of the log whose calls lie outside of the time that the events are known to cover: name it with --since and --until";
        findings.push(Finding::new(id::UNCOVERED, Severity::Info, why).times(books.uncovered));
    }
    findings
}

fn not_compared(args: &TrailArgs) -> Vec<&'static str> {
    let mut what = Vec::new();
    if args.logs.is_empty() {
        what.push("calls with the log of the enclaves that made them: --log");
    }
    if args.deployment.is_none() {
        what.push("encryption contexts with the deployment: --deployment");
    }
    if args.roles.is_empty() {
        what.push("callers with the parent's role: --role");
    }
    if args.admins.is_empty() {
        what.push("who changed the key with its administrators: --admin");
    }
    what
}
