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

use std::path::PathBuf;

use clap::{Args, Subcommand};
use protocol::{Deployment, log::Entry};

use crate::{error::Error, output::Screen};
use verifier::Trust;

pub(crate) use alarm::Alarm;
pub(crate) use history::{HistoryBoot, read as read_history};
pub(crate) use judge::Judge;
pub(crate) use made::made_keys;
pub(crate) use remote::Remote;
pub(crate) use report::{BootReport, Summary};
pub(crate) use state::existing as seen;
pub(crate) use verify::read;
pub(crate) use witness::follows;

/// A stored log that another command reads.
#[derive(Debug, Args)]
pub(crate) struct StoredLog {
    /// A stored log, verified as `cofferdam log verify` does
    #[arg(long = "log", value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Measurements of an image that boots of the log ran, beside those that are accepted now. May be
    /// given several times
    #[arg(long = "log-image", value_name = "FILE", requires = "folder")]
    pub(crate) log_images: Vec<PathBuf>,
    /// How many boots of the log may continue nothing: one for each parent whose logs are kept together
    #[arg(long, value_name = "N", default_value_t = 1)]
    allow_roots: usize,
    /// The checkpoint that the log must contain: the state file of `cofferdam log watch`
    #[arg(long, value_name = "FILE", requires = "folder")]
    seen: Option<PathBuf>,
}

impl StoredLog {
    /// Whether there is one.
    pub(crate) const fn is_given(&self) -> bool {
        self.folder.is_some()
    }

    /// Verifies it, and shows every entry to `observer`, in the order of the files; that the log
    /// holds is known only when this returns. Nothing where no log is given.
    pub(crate) fn read(
        &self,
        trust: Trust,
        deployment: &Deployment,
        observer: &mut dyn FnMut(&Entry) -> Result<(), Error>,
    ) -> Result<Option<Summary>, Error> {
        let Some(folder) = self.folder.clone() else { return Ok(None) };
        let judge = Judge::new(trust, deployment.clone());
        let mut failed = Ok(());
        let mut each = |entry: &Entry| {
            if failed.is_ok() {
                failed = observer(entry);
            }
        };
        let found = read(&folder, &judge, self.allow_roots, self.seen.as_deref(), &mut each)?;
        failed?;
        found.summary().map(Some)
    }
}

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
