//! `cofferdam attestation`: verify, show and fetch attestation documents.

mod describe;
mod fetch;
mod show;
mod verify;

use clap::Subcommand;

use crate::{error::Error, output::Screen};

pub(crate) use fetch::{Live, ask, fresh};
pub(crate) use verify::check_config;

/// What to do with a document.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify a document: signature, certificates, time, image, and what the enclave bound
    Verify(Box<verify::VerifyArgs>),
    /// Show what a document says, without verifying anything
    Show(show::ShowArgs),
    /// Ask a parent for a fresh document, and verify it when an image is named
    Fetch(Box<fetch::FetchArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Verify(args) => verify::run(&args, screen),
            Self::Show(args) => show::run(&args, screen),
            Self::Fetch(args) => fetch::run(&args, screen).await,
        }
    }
}
