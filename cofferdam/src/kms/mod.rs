//! `cofferdam kms`: the key that wraps a deployment's data keys: what its policies allow, and what was done
//! with it.

pub(crate) mod audit;
mod decide;
mod render;
mod trail;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

/// What to do with the key's policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the key policy of a deployment from a template; kms-policies/README.md explains each
    Render(Box<render::RenderArgs>),
    /// Decide who can reach plaintext under a key policy, or change who can
    Audit(Box<audit::AuditArgs>),
    /// Decide one request under a key policy, and name the statement that decides
    Decide(Box<decide::DecideArgs>),
    /// Read CloudTrail's events, and report every call on the key that no enclave of yours explains
    Trail(Box<trail::TrailArgs>),
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Render(args) => render::run(&args, screen),
            Self::Audit(args) => audit::run(&args, screen),
            Self::Decide(args) => decide::run(&args, screen),
            Self::Trail(args) => trail::run(&args, screen),
        }
    }
}
