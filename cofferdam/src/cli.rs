//! The command line as a whole.

use clap::{Parser, Subcommand};

use crate::{address, attest, dev, error::Error, keys, output::Screen};

/// Verifies, from the outside, what a Cofferdam enclave says of itself; makes keys; asks for
/// addresses; runs everything on a laptop.
///
/// Exit code 0: everything verified. 1: something did not verify or could not be done. 2: the
/// input could not be used.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version)]
pub(crate) struct Cli {
    /// Answer in JSON; lists are JSON Lines
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Attestation documents: what runs in an enclave
    #[command(subcommand)]
    Attestation(attest::Command),
    /// Deposit addresses and their certificates
    #[command(subcommand)]
    Address(address::Command),
    /// Ed25519 keys of operators and clients
    #[command(subcommand)]
    Keys(keys::Command),
    /// The whole stack on this machine, with simulated hardware and a local KMS
    Dev(dev::DevArgs),
    /// Starts a program that ends with this one
    #[command(hide = true)]
    DevExec(dev::ExecArgs),
}

impl Command {
    /// Does it.
    pub(crate) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Attestation(command) => command.run(screen).await,
            Self::Address(command) => command.run(screen).await,
            Self::Keys(command) => command.run(screen),
            Self::Dev(args) => dev::run(args, screen).await,
            Self::DevExec(args) => dev::exec(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
