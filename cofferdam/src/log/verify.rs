//! `cofferdam log verify`: from the root, over every boot's attestation document, to the last
//! entry. Offline, at any later time, in memory that does not grow with the log.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::{Deployment, log::Entry};
use verifier::log::LogLine;

use super::{
    history::Stored,
    judge::{Judge, JudgeArgs},
    lineage::{self, Node},
    report::{BootFault, BootReport, Summary},
};
use crate::{error::Error, output::Screen};
use verifier::Refused;

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

/// What was read of a log.
pub(crate) struct Found {
    /// The boots, each after the one that it continues; then those without entries.
    pub(crate) boots: Vec<BootReport>,
    /// What is wrong within boots.
    pub(crate) faults: Vec<BootFault>,
    /// What is wrong first; nothing where everything held.
    pub(crate) refused: Option<Refused>,
    /// Whether a witness's checkpoint was looked for.
    pub(crate) witnessed: bool,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let judge = args.judge.load(&args.deployment)?;
    let found = read(&args.folder, &judge, args.allow_roots, args.seen.as_deref(), &mut |_| {})?;
    found.faults.iter().try_for_each(|fault| screen.show(fault))?;
    // What holds is shown before what does not.
    found.boots.iter().try_for_each(|boot| screen.show(boot))?;
    screen.show(&found.summary()?)
}

impl Found {
    /// The log as a whole.
    ///
    /// # Errors
    /// What is wrong first.
    pub(crate) fn summary(self) -> Result<Summary, Error> {
        match self.refused {
            Some(refused) => Err(refused.into()),
            None => Ok(Summary {
                verified: true,
                boots: self.boots.len(),
                entries: self.boots.iter().map(|boot| boot.entries).sum(),
                unsigned: self.boots.iter().map(|boot| boot.unsigned).sum(),
                witnessed: self.witnessed.then_some(true),
            }),
        }
    }
}

/// Reads and verifies a whole log. `each` sees every entry before it is known whether it holds.
pub(crate) fn read(
    folder: &Path,
    judge: &Judge,
    allow_roots: usize,
    seen: Option<&Path>,
    each: &mut dyn FnMut(&Entry),
) -> Result<Found, Error> {
    let stored = Stored::open(folder, judge, seen)?;
    let (mut reports, mut faults) = (Vec::new(), Vec::new());
    for at in 0..stored.len() {
        let mut sink = |line: &LogLine| {
            if let LogLine::Entry(entry) = line {
                each(entry);
            }
            Ok(())
        };
        match stored.verify(at, judge, &mut sink)? {
            Ok(report) => reports.push(report),
            Err(fault) => faults.push(fault),
        }
    }
    let first = faults.first().map(|fault| fault.refused.clone());
    let (boots, refused) = in_line(reports, first, allow_roots);
    Ok(Found { boots, faults, refused, witnessed: seen.is_some() })
}

/// Puts the boots into their order, unless something was found already.
fn in_line(
    reports: Vec<BootReport>,
    first: Option<Refused>,
    allow_roots: usize,
) -> (Vec<BootReport>, Option<Refused>) {
    if first.is_some() {
        return (reports, first);
    }
    let (read, empty): (Vec<BootReport>, Vec<_>) = reports.into_iter().partition(|report| report.entries > 0);
    let nodes: Vec<Node> = read.iter().map(BootReport::node).collect();
    let (order, refused) = match lineage::order(&nodes, allow_roots) {
        Ok(order) => (order, None),
        Err(refused) => ((0..read.len()).collect(), Some(refused)),
    };
    let mut read: Vec<Option<BootReport>> = read.into_iter().map(Some).collect();
    let line = order.iter().filter_map(|at| read.get_mut(*at)?.take());
    (line.chain(empty).collect(), refused)
}
