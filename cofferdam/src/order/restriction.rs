//! What an order does, as the command line names it.

use chains::{Chain, Outpoint, Spends, solana};
use clap::{ArgGroup, Args};
use protocol::{Index, KeyId, KeyPath, Label, NewKey, Purpose, UserRef, order::Restriction};

use crate::error::Error;

/// Arguments that name a restriction.
pub(super) trait Restricts {
    /// The restriction.
    fn restriction(&self) -> Result<Restriction, Error>;
}

/// What `order freeze` is told.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("frozen").required(true).args(["all", "chain", "user", "key_id"]))]
pub(crate) struct FreezeArgs {
    /// Everything
    #[arg(long)]
    all: bool,
    /// A chain: evm, bitcoin, solana or tron
    #[arg(long)]
    chain: Option<Chain>,
    /// A user's keys
    #[arg(long)]
    user: Option<UserRef>,
    /// One key
    #[arg(long)]
    key_id: Option<KeyId>,
}

/// What `order pause-crediting` is told.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// On this chain alone, in place of all
    #[arg(long)]
    chain: Option<Chain>,
}

/// What `order retire` is told.
#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    /// The key
    #[arg(long)]
    key_id: KeyId,
    /// The user of the key that replaces it, who is the retired key's
    #[arg(long, value_name = "USER", requires_all = ["chain", "index"])]
    replacement_user: Option<UserRef>,
    /// Its chain
    #[arg(long, requires = "replacement_user")]
    chain: Option<Chain>,
    /// Its purpose, sweep unless given
    #[arg(long, requires = "replacement_user")]
    purpose: Option<Purpose>,
    /// Its index: the retired key's next
    #[arg(long, requires = "replacement_user", value_parser = index)]
    index: Option<Index>,
    /// Its note; a secondary wallet must have one
    #[arg(long, requires = "replacement_user")]
    label: Option<Label>,
}

/// What `order void` is told: what the log's entry of the signature says under `spends`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("spent").required(true).args(["nonce", "outpoints", "nonce_account"]))]
pub(crate) struct VoidArgs {
    /// The key that signed
    #[arg(long)]
    key_id: KeyId,
    /// EVM: the chain id
    #[arg(long, requires = "nonce")]
    chain_id: Option<u64>,
    /// EVM: the nonce
    #[arg(long, requires = "chain_id")]
    nonce: Option<u64>,
    /// Bitcoin: an outpoint of this key's, txid and index: …:0. May be given several times
    #[arg(long = "outpoint", value_name = "TXID:INDEX")]
    outpoints: Vec<Outpoint>,
    /// Solana: the nonce account
    #[arg(long, requires = "nonce_value")]
    nonce_account: Option<solana::SolanaAddress>,
    /// Solana: the value that the transaction has for its blockhash
    #[arg(long, requires = "nonce_account")]
    nonce_value: Option<solana::SolanaAddress>,
}

impl Restricts for FreezeArgs {
    fn restriction(&self) -> Result<Restriction, Error> {
        let Self { all, chain, user, key_id } = self;
        match (all, *chain, user.clone(), *key_id) {
            (true, None, None, None) => Ok(Restriction::FreezeAll),
            (false, Some(chain), None, None) => Ok(Restriction::FreezeChain { chain }),
            (false, None, Some(user), None) => Ok(Restriction::FreezeUser { user }),
            (false, None, None, Some(key_id)) => Ok(Restriction::FreezeKey { key_id }),
            // The argument parser's group excludes it.
            _ => Err(Error::input("--all", "one of --all, --chain, --user and --key-id was expected")),
        }
    }
}

impl Restricts for PauseArgs {
    fn restriction(&self) -> Result<Restriction, Error> {
        Ok(Restriction::PauseCrediting { chain: self.chain })
    }
}

impl Restricts for RetireArgs {
    fn restriction(&self) -> Result<Restriction, Error> {
        let Self { key_id, replacement_user, chain, purpose, index, label } = self;
        let replacement = match (replacement_user.clone(), *chain, *index) {
            (None, ..) => None,
            (Some(user), Some(chain), Some(index)) => {
                let path = KeyPath { user, chain, purpose: purpose.unwrap_or_default(), index };
                Some(NewKey::new(path, label.clone()))
            }
            (Some(_), ..) => return Err(Error::input("--chain and --index", "both were expected")),
        };
        Ok(Restriction::RetireKey { key_id: *key_id, replacement })
    }
}

impl Restricts for VoidArgs {
    fn restriction(&self) -> Result<Restriction, Error> {
        let Self { key_id, chain_id, nonce, outpoints, nonce_account, nonce_value } = self;
        let spends = match (*chain_id, *nonce, *nonce_account, *nonce_value) {
            (Some(chain_id), Some(nonce), None, None) => Spends::Nonce { chain_id, nonce },
            (None, None, Some(account), Some(value)) => Spends::NonceAccount { account, value },
            _ => Spends::outpoints(outpoints.iter().cloned())
                .map_err(|error| Error::input("--outpoint", error))?,
        };
        Ok(Restriction::Void { key_id: *key_id, spends })
    }
}

fn index(text: &str) -> Result<Index, String> {
    let number: u64 = text.parse().map_err(|_| protocol::NameError::Index.to_string())?;
    Index::try_from(number).map_err(|error| error.to_string())
}
