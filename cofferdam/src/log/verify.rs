//! `cofferdam log verify`: from the root, over every boot's attestation document, to the last
//! entry. Offline, at any later time, in memory that does not grow with the log.

use std::path::PathBuf;

use clap::Args;
use protocol::Deployment;

use super::{
    history::Stored,
    judge::{Judge, JudgeArgs},
    lineage::{self, Node},
    report::{BootReport, Summary},
};
use crate::{error::Error, output::Screen};

/// Arguments of `log verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The folder of the log, as the parent keeps it and object storage has it
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The deployment whose log it is: checkpoints are signed for it
    #[arg(long, value_name = "NAME", env = "COFFERDAM_DEPLOYMENT")]
    deployment: Deployment,
    #[command(flatten)]
    judge: JudgeArgs,
    /// How many boots may continue nothing: one for each parent whose logs are kept together
    #[arg(long, value_name = "N", default_value_t = 1)]
    allow_roots: usize,
    /// The checkpoint that the log must contain: the state file of `log watch`
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let judge = args.judge.load(&args.deployment)?;
    let stored = Stored::open(&args.folder, &judge, args.seen.as_deref())?;
    let reports = read_all(&stored, &judge, screen)?;
    let (read, empty): (Vec<&BootReport>, Vec<_>) = reports.iter().partition(|report| report.entries > 0);
    let nodes: Vec<Node> = read.iter().map(|report| report.node()).collect();
    let order = lineage::order(&nodes, args.allow_roots);
    // What holds is shown before what does not.
    let in_order = order.as_ref().map_or((0..read.len()).collect(), Clone::clone);
    for report in in_order.iter().filter_map(|at| read.get(*at)).chain(&empty) {
        screen.show(*report)?;
    }
    order?;
    screen.show(&Summary {
        verified: true,
        boots: reports.len(),
        entries: reports.iter().map(|report| report.entries).sum(),
        unsigned: reports.iter().map(|report| report.unsigned).sum(),
        witnessed: args.seen.is_some().then_some(true),
    })
}

/// Reads every boot; an error names what is wrong in the earliest.
fn read_all(stored: &Stored, judge: &Judge, screen: &Screen) -> Result<Vec<BootReport>, Error> {
    let mut reports = Vec::new();
    let mut first = None;
    for at in 0..stored.len() {
        match stored.verify(at, judge, &mut |_| Ok(()))? {
            Ok(report) => reports.push(report),
            Err(fault) => {
                screen.show(&fault)?;
                first = first.or(Some(fault.refused));
            }
        }
    }
    match first {
        None => Ok(reports),
        Some(refused) => {
            for report in &reports {
                screen.show(report)?;
            }
            Err(refused.into())
        }
    }
}
