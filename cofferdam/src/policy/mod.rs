//! `cofferdam policy`: made, read by people, compared, signed by operators, verified, and brought to
//! a parent. The format is specified in `docs/policy.md`.

mod activate;
mod changes;
mod contents;
mod document;
mod facts;
mod new;
mod show;
mod sign;
mod table;
mod transfer;
mod verify;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

pub(crate) use verify::signed;

/// What to do with a policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a policy that denies everything, to be edited
    New(new::NewArgs),
    /// Show what a policy says, and what another one would relax and tighten
    Show(show::ShowArgs),
    /// Check a policy and sign it, or add a signature to an envelope
    Sign(sign::SignArgs),
    /// Verify that the operators signed a policy, and that it is one that an enclave takes
    Verify(verify::VerifyArgs),
    /// Bring a signed policy to a parent
    Put(transfer::PutArgs),
    /// Fetch the policy that a parent has
    Get(transfer::GetArgs),
    /// Sign that one boot may sign, where the measured configuration asks for a quorum
    Activate(activate::ActivateArgs),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::New(args) => new::run(&args, screen),
            Self::Show(args) => show::run(&args, screen),
            Self::Sign(args) => sign::run(&args, screen),
            Self::Verify(args) => verify::run(&args, screen),
            Self::Put(args) => transfer::put(&args, screen).await,
            Self::Get(args) => transfer::get(&args, screen).await,
            Self::Activate(args) => activate::run(&args, screen).await,
        }
    }
}
