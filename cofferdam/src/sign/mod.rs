//! `cofferdam sign` and `cofferdam explain`: asks the enclave to sign a transaction, or what it would
//! say if it were asked.

mod answer;
mod batch;
mod explain;

use std::path::PathBuf;

use chains::Chain;
use clap::Args;
use protocol::{KeyId, api::SignatureRequest};

use crate::{
    client::{Client, ParentArgs},
    error::Error,
    output::Screen,
    transaction,
};

pub(crate) use answer::Signed;
pub(crate) use explain::run as explain;

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// evm, bitcoin, solana or tron
    #[arg(long, required_unless_present = "batch")]
    chain: Option<Chain>,
    /// A key that shall sign; on Bitcoin up to 100, one option for each
    #[arg(long = "key-id", value_name = "KEY_ID", required_unless_present = "batch")]
    keys: Vec<KeyId>,
    /// The unsigned transaction, as `transaction inspect` takes it: text, @FILE, or -
    #[arg(value_name = "TRANSACTION", required_unless_present = "batch")]
    transaction: Option<String>,
    /// A JSON Lines file of {"chain", "keys", "transaction"}; - is standard input. One request's
    /// signature is for up to 256 of them. Those that are refused do not stop the others
    #[arg(long, value_name = "FILE", conflicts_with_all = ["chain", "keys", "transaction"])]
    batch: Option<PathBuf>,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// evm, bitcoin, solana or tron
    #[arg(long)]
    chain: Chain,
    /// A key that would sign; on Bitcoin up to 100, one option for each
    #[arg(long = "key-id", value_name = "KEY_ID", required = true)]
    keys: Vec<KeyId>,
    /// The unsigned transaction, as `transaction inspect` takes it: text, @FILE, or -
    #[arg(value_name = "TRANSACTION")]
    transaction: String,
}

/// The request, in the API's text.
fn request(chain: Chain, keys: &[KeyId], argument: &str) -> Result<SignatureRequest, Error> {
    let bytes = transaction::read(chain, argument)?;
    Ok(SignatureRequest { chain, keys: keys.to_vec(), transaction: transaction::text(chain, &bytes) })
}

/// Runs `sign`.
pub(crate) async fn run(args: &SignArgs, screen: &Screen) -> Result<(), Error> {
    let client = Client::new(&args.parent)?;
    match (&args.batch, args.chain, &args.transaction) {
        (Some(file), ..) => batch::run(&client, file, screen).await,
        (None, Some(chain), Some(transaction)) => {
            let request = request(chain, &args.keys, transaction)?;
            let signed: Signed = client.post(&["signatures"], &request).await?;
            screen.show(&signed)
        }
        _ => Err(Error::input("TRANSACTION", "a transaction was expected, or --batch")),
    }
}
