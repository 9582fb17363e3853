//! `cofferdam kms`: the policy of the key that wraps a deployment's data keys.

mod render;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

/// What to do with the key's policy.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the key policy of a deployment from a template; kms-policies/README.md explains each
    Render(Box<render::RenderArgs>),
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Render(args) => render::run(&args, screen),
        }
    }
}
