//! `cofferdam log`: verify a stored log offline, witness a running one from outside, read it.
//! The format and what each check proves are told in `docs/log.md`.

mod alarm;
mod boot;
mod folder;
mod history;
mod judge;
mod lineage;
mod lines;
mod made;
mod remote;
mod report;
mod state;
mod tail;
mod verify;
mod watch;
mod witness;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

pub(crate) use alarm::Alarm;
pub(crate) use history::{HistoryBoot, read as read_history};
pub(crate) use judge::Judge;
pub(crate) use made::made_keys;
pub(crate) use remote::Remote;
pub(crate) use report::BootReport;
pub(crate) use state::existing as seen;
pub(crate) use verify::read;
pub(crate) use witness::follows;

/// What to do with a log.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify a stored log, offline: every entry of every boot, and that the boots follow each other
    Verify(Box<verify::VerifyArgs>),
    /// Be a witness: remember the last checkpoint seen, and alarm when the log does not extend it
    Watch(Box<watch::WatchArgs>),
    /// Print the last entries of a running log, each verified up to a signed checkpoint
    Tail(Box<tail::TailArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Verify(args) => verify::run(&args, screen),
            Self::Watch(args) => watch::run(&args, screen).await,
            Self::Tail(args) => tail::run(&args, screen).await,
        }
    }
}
