//! `cofferdam transaction`: what a transaction says, read by the very code that reads it before it
//! is signed. Works without any server.

mod details;
mod input;
mod owners;
mod psbt;
mod psbt_v2;
mod split;
mod summary;
mod unsigned;
mod view;

use std::path::PathBuf;

use chains::{BitcoinNetwork, Chain, PublicKey};
use clap::{Args, Subcommand};

use crate::{
    error::Error,
    input::{Hex, hex},
    output::Screen,
};

pub(crate) use input::{MAX_FILE, text};
pub(crate) use summary::Summary;
pub(crate) use unsigned::Unsigned;
use view::{SplitView, View};

/// What to do with a transaction.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what the signer sees: kind, amounts, destinations, fee, and what is signed. A
    /// transaction that it would not sign under any policy is refused with its tag
    Inspect(Box<InspectArgs>),
    /// Take the previous transactions out of a PSBT: the first line is the PSBT without them, every
    /// other line one of them, each once and without its witness, as --previous and the API's
    /// `previous_transactions` take them. `sign` and `explain` do it by themselves where a PSBT is too
    /// long otherwise
    Split(SplitArgs),
    /// Make a PSBT of version 2 (BIP-370) one of version 0, which the signer reads: on the first line, and
    /// where it is too long for a request its previous transactions on the others, as `split` does. One
    /// of version 0 stays as it is. `sign`, `explain` and `inspect` do it by themselves
    Convert(SplitArgs),
}

/// Arguments of `transaction inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// evm, bitcoin, solana or tron
    #[arg(long)]
    chain: Chain,
    /// The unsigned transaction: EVM RLP in hexadecimal, a PSBT in base64, Solana in base64, Tron's
    /// raw_data in hexadecimal; @FILE is a file, - is standard input
    #[arg(value_name = "TRANSACTION")]
    input: String,
    /// The public key of an address that shall sign, as its certificate says it; once for each.
    /// Without any, those that the transaction names
    #[arg(long = "public-key", value_name = "HEX", value_parser = hex)]
    public_keys: Vec<Hex>,
    /// Bitcoin's network, which addresses are shown for: mainnet, testnet, signet or regtest
    #[arg(long, default_value = "mainnet", value_parser = network)]
    network: BitcoinNetwork,
    /// Bitcoin: a file with the transactions that the PSBT's inputs spend from, where it does not hold
    /// them itself, each in hexadecimal on a line of its own
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
}

/// Arguments of `transaction split` and `transaction convert`.
#[derive(Debug, Args)]
pub(crate) struct SplitArgs {
    /// The PSBT in base64; @FILE is a file, - is standard input
    #[arg(value_name = "PSBT")]
    input: String,
}

impl Command {
    pub(super) fn run(self, screen: &Screen) -> Result<(), Error> {
        match self {
            Self::Inspect(args) => inspect(&args, screen),
            Self::Split(args) => {
                let unsigned = Unsigned::read(Chain::Bitcoin, &args.input, None)?;
                let split = unsigned.split().ok_or_else(|| Error::input("PSBT", "a PSBT was expected"))?;
                screen.show(&SplitView::new(split.request(&[])))
            }
            Self::Convert(args) => {
                let unsigned = Unsigned::read(Chain::Bitcoin, &args.input, None)?;
                screen.show(&SplitView::new(unsigned.request(&[])))
            }
        }
    }
}

fn inspect(args: &InspectArgs, screen: &Screen) -> Result<(), Error> {
    let unsigned = Unsigned::read(args.chain, &args.input, args.previous.as_deref())?;
    let key = |hex: &Hex| {
        PublicKey::from_bytes(args.chain.curve(), &hex.0).map_err(|error| Error::input("--public-key", error))
    };
    let keys: Vec<PublicKey> = args.public_keys.iter().map(key).collect::<Result<_, _>>()?;
    let transaction = unsigned.parse()?;
    let matched = owners::matching(&transaction, unsigned.bytes(), keys, args.network)?;
    screen.show(&View::new(args.chain, &transaction, matched, args.network))
}

fn network(text: &str) -> Result<BitcoinNetwork, String> {
    BitcoinNetwork::ALL
        .into_iter()
        .find(|network| network.as_str() == text)
        .ok_or_else(|| "mainnet, testnet, signet or regtest was expected".to_owned())
}
