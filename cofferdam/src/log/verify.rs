//! `cofferdam log verify`: from the root, over every boot's attestation document, to the last
//! entry. Offline, at any later time, in memory that does not grow with the log.

use std::{collections::HashMap, path::PathBuf};

use attestation::DocumentHash;
use clap::Args;
use protocol::Deployment;

use super::{
    boot::{self, Pin},
    folder::{self, BootFolder, Peek},
    judge::{Judge, JudgeArgs},
    lineage::{self, Node},
    report::{BootReport, Summary},
    state,
};
use crate::{
    error::{Error, Refused},
    output::Screen,
};

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
    let mut boots: Vec<(BootFolder, Option<Peek>)> =
        folder::boots(&args.folder)?.into_iter().map(peeked).collect();
    if boots.is_empty() {
        return Err(Refused::new("missing", "at least one boot was expected, found an empty folder").into());
    }
    boots.sort_by_key(|(_, peek)| peek.map(|peek| peek.time));
    let mut pins = named_by_later_boots(&boots);
    if let Some(file) = &args.seen {
        let seen = state::read(file)?
            .ok_or_else(|| Error::input(file.display(), "the state file of a witness was expected"))?;
        let boot = boots.iter().map(|(folder, _)| folder).find(|folder| folder.boot == seen.head.boot);
        let Some(boot) = boot else {
            let text = format!(
                "the boot {} is missing: the witness saw its entry {}",
                seen.head.boot, seen.head.seq
            );
            return Err(Refused::new("missing", text).into());
        };
        let identity = judge.identity(boot.boot, &boot.document()?)?;
        judge.checkpoint(&seen, &identity).map_err(|error| Error::input(file.display(), error))?;
        pins.entry(boot.boot).or_default().push(Pin { head: seen.head, by: "the witness".to_owned() });
    }
    let reports = read_all(&boots, &judge, &pins, screen)?;
    let (read, empty): (Vec<&BootReport>, Vec<_>) = reports.iter().partition(|report| report.entries > 0);
    let nodes: Vec<Node> = read
        .iter()
        .map(|report| Node { boot: report.boot, previous: report.previous, signed: report.signed })
        .collect();
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

fn peeked(folder: BootFolder) -> (BootFolder, Option<Peek>) {
    let peek = folder.peek();
    (folder, peek)
}

/// The entries that first entries name. They are checked where they are read.
fn named_by_later_boots(boots: &[(BootFolder, Option<Peek>)]) -> HashMap<DocumentHash, Vec<Pin>> {
    let mut pins: HashMap<DocumentHash, Vec<Pin>> = HashMap::new();
    for (folder, peek) in boots {
        if let Some(head) = peek.and_then(|peek| peek.previous) {
            pins.entry(head.boot).or_default().push(Pin { head, by: format!("boot {}", folder.boot) });
        }
    }
    pins
}

/// Reads every boot; an error names what is wrong in the earliest.
fn read_all(
    boots: &[(BootFolder, Option<Peek>)],
    judge: &Judge,
    pins: &HashMap<DocumentHash, Vec<Pin>>,
    screen: &Screen,
) -> Result<Vec<BootReport>, Error> {
    let mut reports = Vec::new();
    let mut first = None;
    for (folder, peek) in boots {
        let pins = pins.get(&folder.boot).map_or(&[][..], Vec::as_slice);
        match boot::verify(folder, judge, pins)? {
            // The entry that was pinned elsewhere is the one that was read now.
            Ok(report) if report.previous == peek.and_then(|peek| peek.previous) => reports.push(report),
            Ok(_) => {
                return Err(Error::input(
                    folder.boot,
                    "files that do not change while they are read were expected",
                ));
            }
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
