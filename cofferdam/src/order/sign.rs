//! `cofferdam order sign`: one more operator's signature, after the order was shown.

use std::path::PathBuf;

use clap::Args;

use super::{
    give::Answer,
    show::{self, Shown},
};
use crate::{
    error::Error,
    input::STDIN,
    operator::{self, Signed, SignerArgs},
    output::Screen,
};

/// Arguments of `order sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The order's envelope
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// Where to write the envelope, in place of FILE itself; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &SignArgs, screen: &Screen) -> Result<(), Error> {
    let (mut given, order) = show::read(&args.file)?;
    let keys = args.signer.load(screen)?;
    let signed = Signed::with(&mut given.envelope, &keys)?;
    let out = args.out.clone().unwrap_or_else(|| args.file.clone());
    operator::write_new(&out, &given.envelope.to_json(), Some(&args.file), screen)?;
    if out.as_os_str() == STDIN {
        return Ok(());
    }
    screen.show(&Answer { order: Shown::of(&order), signed, out: Some(out), parents: Vec::new() })
}
