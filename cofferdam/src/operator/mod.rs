//! What operators do: they hold keys, and sign policies, orders and activations in DSSE envelopes.
//! How many of them must sign is the measured configuration's matter.

mod delivery;
mod envelope;
mod quorum;
mod signer;

use std::path::PathBuf;

use clap::Subcommand;

use crate::{
    error::Error,
    keys::{
        Role,
        create::{self, CreateArgs},
        show::{self, ShowArgs},
    },
    output::Screen,
};

pub(crate) use delivery::{Delivery, DeliveryArgs, To, deliver};
pub(crate) use envelope::{Given, read, write_new};
pub(crate) use quorum::{Measured, QuorumArgs};
pub(crate) use signer::{Signed, SignerArgs};

/// What to do with operators' keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a key pair: KEY.pem (PKCS#8, mode 0600) and KEY.pem.pub. Never overwrites
    New {
        /// The private key's file; the public key is written beside it
        #[arg(long, value_name = "KEY.pem")]
        out: PathBuf,
        /// Whose key; a client's is named in the policy
        #[arg(long, default_value = "operator")]
        role: Role,
    },
    /// Show the public half of a key file, as the measured configuration spells it
    Show(ShowArgs),
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::New { out, role } => create::run(&CreateArgs::new(role, out), screen),
            Self::Show(args) => show::run(&args, screen),
        }
    }
}
