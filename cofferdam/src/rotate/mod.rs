//! `cofferdam rotate`: one enclave image replaces another. The procedure is told in
//! `docs/rotation.md`; `plan` prints it with a deployment's values, `check` says at each phase
//! whether the next one may begin.

mod check;
mod judgement;
mod old;
mod plan;
mod policy;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use client::Url;
use kms_policies::Arn;

use crate::{error::Error, output::Screen, trust};
use verifier::Image;

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the procedure with this deployment's values, step by step
    Plan(Box<plan::PlanArgs>),
    /// Whether a phase holds: the running enclaves, every sampled record, the key policy
    Check(Box<check::CheckArgs>),
}

impl Command {
    pub(super) async fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Plan(args) => plan::run(&args, screen),
            Self::Check(args) => check::run(&args, screen).await,
        }
    }
}

/// The image that goes and the image that comes.
#[derive(Debug, Args)]
struct ImageArgs {
    /// Measurements of the image that runs now, from your own build
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Measurements of the image that replaces it, from your own build
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Both images, which differ.
struct Images {
    from: Image,
    to: Image,
}

impl ImageArgs {
    fn load(&self) -> Result<Images, Error> {
        let (from, to) = (trust::read_image(&self.from)?, trust::read_image(&self.to)?);
        if from.registers == to.registers {
            return Err(Error::input(
                "--from and --to",
                "two images were expected, found the same registers",
            ));
        }
        Ok(Images { from, to })
    }
}

/// Parses the ARN of a KMS key.
fn key_arn(text: &str) -> Result<Arn, String> {
    let arn: Option<Arn> = text.parse().ok();
    arn.filter(|arn: &Arn| arn.service() == "kms" && arn.resource().starts_with("key/"))
        .ok_or_else(|| "arn:aws:kms:REGION:ACCOUNT:key/ID was expected".to_owned())
}

/// Parses the ARN of a role.
fn role_arn(text: &str) -> Result<Arn, String> {
    let arn: Option<Arn> = text.parse().ok();
    arn.filter(|arn: &Arn| arn.service() == "iam" && arn.resource().starts_with("role/"))
        .ok_or_else(|| "arn:aws:iam::ACCOUNT:role/NAME was expected".to_owned())
}

/// A URL as it is typed: without the slash that only the type needs.
fn shown(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
