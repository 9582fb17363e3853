//! `cofferdam recovery`: whether everything that is backed up can be brought back, shown by doing it.

mod drill;
mod report;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Open records through the enclave of a recovery deployment, and measure what would be lost and
    /// how long it takes
    Drill(Box<drill::DrillArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Drill(args) => drill::run(&args, screen).await,
        }
    }
}
