//! `cofferdam address`: verify certificates, and ask a parent for addresses.

mod bulk;
mod check;
mod create;
mod list;
mod orders;
mod rows;
#[cfg(test)]
pub(crate) mod sample;
mod verify;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

pub(crate) use bulk::{MAX_LINE, learn_folder};
pub(crate) use check::Checker;
pub(crate) use create::checker;
pub(crate) use rows::Rows;

/// What to do with addresses.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify, offline, that an address was made inside the attested enclave
    Verify(Box<verify::VerifyArgs>),
    /// Ask a parent for addresses. An address that exists is answered again
    Create(Box<create::CreateArgs>),
    /// List a user's addresses
    List(Box<list::ListArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Verify(args) => verify::run(&args, screen),
            Self::Create(args) => create::run(&args, screen).await,
            Self::List(args) => list::run(&args, screen).await,
        }
    }
}
