//! `cofferdam order`: operators' orders that count at once. Built here, signed here, read by people
//! before they sign; submitted by a client with the role for it. Specified in `docs/policy.md`.

mod give;
mod list;
mod restriction;
mod show;
mod sign;
mod submit;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

/// What to do with orders.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stop signing: with everything, on a chain, with a user's keys, or with one key
    Freeze(Box<give::GiveArgs<restriction::FreezeArgs>>),
    /// Say that deposits are not to be credited
    PauseCrediting(Box<give::GiveArgs<restriction::PauseArgs>>),
    /// Retire a key, and name the key that replaces it
    Retire(Box<give::GiveArgs<restriction::RetireArgs>>),
    /// Let a key sign a transaction that moves nothing, so that one it signed before can never be mined
    Void(Box<give::GiveArgs<restriction::VoidArgs>>),
    /// Add a signature to an order
    Sign(sign::SignArgs),
    /// Show what an order says, and with operators named, whether they signed it
    Show(show::ShowArgs),
    /// List the orders that a parent has
    List(list::ListArgs),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Freeze(args) => give::run(&args, screen).await,
            Self::PauseCrediting(args) => give::run(&args, screen).await,
            Self::Retire(args) => give::run(&args, screen).await,
            Self::Void(args) => give::run(&args, screen).await,
            Self::Sign(args) => sign::run(&args, screen),
            Self::Show(args) => show::run(&args, screen),
            Self::List(args) => list::run(&args, screen).await,
        }
    }
}
