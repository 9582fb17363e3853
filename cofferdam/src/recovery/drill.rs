//! `cofferdam recovery drill`: opens records through the enclave of another region's replica, and
//! compares public keys and addresses with what the exchange or the log of the primary knows.

use std::{fs, path::PathBuf, time::Instant};

use clap::Args;

use super::report::{Report, Rpo, Rto};
use crate::{
    attest, clock,
    error::Error,
    output::Screen,
    parent::ParentArgs,
    records::{CoverageArgs, InventoryArgs, Runner},
    trust::TrustArgs,
};

/// Arguments of `recovery drill`.
#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    parent: ParentArgs,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    keys: InventoryArgs,
    #[command(flatten)]
    coverage: CoverageArgs,
    /// When the disaster was declared (RFC 3339): the recovery time is counted from then, in place of
    /// the drill's start
    #[arg(long, value_name = "TIME", value_parser = clock::parse)]
    declared: Option<u64>,
    /// Write the report to this file as well, in JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) async fn run(args: &DrillArgs, screen: &Screen) -> Result<(), Error> {
    let (began, started) = (Instant::now(), clock::now());
    if args.declared.is_some_and(|declared| declared > started) {
        return Err(Error::input("--declared", "a time that is not in the future was expected"));
    }
    let deployment = args.parent.deployment()?;
    let trust = args.trust.load()?;
    let client = args.parent.client()?;
    attest::fresh(&trust, &client, None).await?;
    let sample = args.coverage.sample();
    // What a replica lacks is what came last: the newest keys are always looked at.
    let known = args.keys.read(&args.trust, deployment, sample, sample.unwrap_or_default())?;
    let survey = &known.survey;
    let opening = Instant::now();
    let clients = [client];
    let mut runner = Runner::new(&clients, deployment, trust, args.coverage.in_flight());
    let tally = runner.run(survey, known.tells_unlisted()).await?;
    let rpo = Rpo::of(&tally, survey, known.last_entry);
    let waited = started.saturating_sub(args.declared.unwrap_or(started));
    let rto = Rto::of(&tally, survey.total, began, opening, waited);
    let report = Report {
        deployment: deployment.clone(),
        url: args.parent.shown_url(),
        started,
        declared: args.declared,
        keys: survey.total,
        asked: survey.count(),
        all: survey.is_all(),
        log: known.log,
        tally,
        rpo,
        rto,
    };
    if let Some(file) = &args.report {
        let json = serde_json::to_vec_pretty(&report).map_err(|error| Error::Failed(error.to_string()))?;
        let unwritable =
            |error| Error::input(file.display(), format_args!("a writable file was expected: {error}"));
        fs::write(file, [json.as_slice(), b"\n"].concat()).map_err(unwritable)?;
    }
    screen.show(&report)?;
    if report.holds() { Ok(()) } else { Err(Error::Told) }
}
