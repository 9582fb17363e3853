//! `cofferdam kms`: the key that wraps a deployment's data keys, and what its policies allow.

mod audit;
mod render;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

/// What to do with the key's policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the key policy of a deployment from a template; kms-policies/README.md explains each
    Render(Box<render::RenderArgs>),
    /// Decide who can reach plaintext under a key policy, or change who can
    Audit(Box<audit::AuditArgs>),
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Render(args) => render::run(&args, screen),
            Self::Audit(args) => audit::run(&args, screen),
        }
    }
}
