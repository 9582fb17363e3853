//! The command line as a whole.

use clap::{Parser, Subcommand};

use crate::{
    address, attest, audit, dev, eif, error::Error, keys, kms, log, operator, order, output::Screen, policy,
    recovery, rewrap, rotate, sign, transaction,
};

/// Verifies, from the outside, what a Cofferdam enclave says of itself; makes keys; asks for
/// addresses; runs everything on a laptop.
///
/// Exit code 0: everything verified. 1: something did not verify or could not be done. 2: the
/// input could not be used. 3: the witness of the log found a fork or a rollback.
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
    /// Operators' keys
    #[command(subcommand)]
    Operator(operator::Command),
    /// Policies: who may ask for what, and where deposits may go
    #[command(subcommand)]
    Policy(policy::Command),
    /// Orders: freeze, pause, retire. They restrict at once, and only a new policy lifts them
    #[command(subcommand)]
    Order(order::Command),
    /// The log: verify it, watch it from outside, read it
    #[command(subcommand)]
    Log(log::Command),
    /// Transactions: what they say, without any server
    #[command(subcommand)]
    Transaction(transaction::Command),
    /// Ask for a transaction's signature; prints what can be broadcast
    Sign(Box<sign::SignArgs>),
    /// Ask whether a transaction would be signed, and why: every check of the policy
    Explain(Box<sign::ExplainArgs>),
    /// Have keys sealed anew under another KMS key, and verify what is then stored. Deletes nothing
    Rewrap(Box<rewrap::RewrapArgs>),
    /// One enclave image replaces another: the procedure, and whether each phase of it holds
    #[command(subcommand)]
    Rotate(rotate::Command),
    /// Recovery from another region's replica: the drill
    #[command(subcommand)]
    Recovery(recovery::Command),
    /// Enclave images: build, measure, verify
    #[command(subcommand)]
    Eif(eif::Command),
    /// The KMS key: its policy, who could reach plaintext, and what was done with it
    #[command(subcommand)]
    Kms(kms::Command),
    /// Everything that an auditor asks of a deployment, in one report
    Audit(Box<audit::AuditArgs>),
    /// Ed25519 keys of operators and clients; the replacement of deposit keys
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
            Self::Operator(command) => command.run(screen),
            Self::Policy(command) => command.run(screen).await,
            Self::Order(command) => command.run(screen).await,
            Self::Log(command) => command.run(screen).await,
            Self::Transaction(command) => command.run(screen),
            Self::Sign(args) => sign::run(&args, screen).await,
            Self::Explain(args) => sign::explain(&args, screen).await,
            Self::Rewrap(args) => rewrap::run(&args, screen).await,
            Self::Rotate(command) => command.run(screen).await,
            Self::Recovery(command) => command.run(screen).await,
            Self::Eif(command) => command.run(screen),
            Self::Audit(args) => audit::run(args, screen).await,
            Self::Keys(command) => command.run(screen).await,
            Self::Kms(command) => command.run(screen),
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
