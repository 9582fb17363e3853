//! `cofferdam sign` and `cofferdam explain`: asks the enclave to sign a transaction, or what it would
//! say if it were asked.

mod answer;
mod batch;
mod explain;

use std::path::{Path, PathBuf};

use chains::Chain;
use clap::Args;
use protocol::{
    KeyId,
    api::{Expected, ExpectedKey, MAX_SIGNING_BODY, TransactionToSign},
};

use crate::{error::Error, output::Screen, parent::ParentArgs, transaction::Unsigned};
use client::{Signed, encode};

/// What the JSON around the requests of a batch takes.
const FRAME: usize = 64;

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
    /// What a key is expected to be, as KEY_ID=ADDRESS or KEY_ID=PUBLIC_KEY (hexadecimal), one option for
    /// each key; where its record is another key's, nothing is signed
    #[arg(long = "expect", value_name = "KEY_ID=ADDRESS", value_parser = expected_key)]
    expected: Vec<ExpectedKey>,
    /// The unsigned transaction, as `transaction inspect` takes it: text, @FILE, or -
    #[arg(value_name = "TRANSACTION", required_unless_present = "batch")]
    transaction: Option<String>,
    /// Bitcoin: a file with the transactions that the PSBT's inputs spend from, as `transaction inspect`
    /// takes it
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    /// A JSON Lines file of {"chain", "keys", "transaction"} and, on Bitcoin, {"previous_transactions"};
    /// standard input is -. One request's signature is for up to 256 of them. Those that are refused do
    /// not stop the others
    #[arg(long, value_name = "FILE", conflicts_with_all = ["chain", "keys", "transaction", "previous", "expected"])]
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
    /// What a key is expected to be, as KEY_ID=ADDRESS or KEY_ID=PUBLIC_KEY (hexadecimal), one option for
    /// each key; where its record is another key's, nothing would be signed
    #[arg(long = "expect", value_name = "KEY_ID=ADDRESS", value_parser = expected_key)]
    expected: Vec<ExpectedKey>,
    /// The unsigned transaction, as `transaction inspect` takes it: text, @FILE, or -
    #[arg(value_name = "TRANSACTION")]
    transaction: String,
    /// Bitcoin: a file with the transactions that the PSBT's inputs spend from, as `transaction inspect`
    /// takes it
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// The request, in the API's text.
fn request(
    chain: Chain,
    keys: &[KeyId],
    expected: &[ExpectedKey],
    argument: &str,
    previous: Option<&Path>,
) -> Result<TransactionToSign, Error> {
    let request = Unsigned::read(chain, argument, previous)?.request(keys);
    let request = TransactionToSign { expected: expected.to_vec(), ..request };
    check_length(&request).map_err(|error| Error::input("TRANSACTION", error))?;
    Ok(request)
}

/// `KEY_ID=ADDRESS` or `KEY_ID=PUBLIC_KEY`.
fn expected_key(text: &str) -> Result<ExpectedKey, String> {
    let (key_id, expected) = text
        .split_once('=')
        .ok_or_else(|| format!("KEY_ID=ADDRESS or KEY_ID=PUBLIC_KEY was expected, found {text}"))?;
    let key_id = key_id.parse().map_err(|error: protocol::NameError| error.to_string())?;
    let expected = Expected::read(expected).map_err(|error| error.to_string())?;
    Ok(ExpectedKey { key_id, expected })
}

/// Whether the API has room for a request.
fn check_length(request: &TransactionToSign) -> Result<(), String> {
    let length = encode(request).map_err(|error| error.to_string())?.len();
    if length.saturating_add(FRAME) <= MAX_SIGNING_BODY {
        return Ok(());
    }
    let most = MAX_SIGNING_BODY.saturating_sub(FRAME);
    Err(format!(
        "a request of at most {most} bytes was expected, found {length}: sweep fewer outputs at once"
    ))
}

/// Runs `sign`.
pub(crate) async fn run(args: &SignArgs, screen: &Screen) -> Result<(), Error> {
    let client = args.parent.client()?;
    match (&args.batch, args.chain, &args.transaction) {
        (Some(file), ..) => batch::run(&client, file, screen).await,
        (None, Some(chain), Some(transaction)) => {
            let request = request(chain, &args.keys, &args.expected, transaction, args.previous.as_deref())?;
            let signed: Signed = client.post(&["signatures"], &request).await?;
            screen.show(&signed)
        }
        _ => Err(Error::input("TRANSACTION", "a transaction was expected, or --batch")),
    }
}
