//! Collection wallets of a laptop: a key for each chain, in `collection.json` and in plain sight. The
//! policy pins their addresses.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use chains::{BitcoinNetwork, Chain, Curve, PublicKey, addresses};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use k256::elliptic_curve::sec1::ToSec1Point;
use rand::{TryRng, rngs::SysRng};
use serde_json::{Map, Value, json};

use super::folder::Folder;
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

impl Folder {
    /// Makes the wallets, once.
    pub(super) fn prepare_wallets(&self) -> Result<(), Error> {
        let file = self.collection_file();
        if file.exists() { Ok(()) } else { write_private(&file, &format!("{:#}\n", wallets()?)) }
    }

    /// Where sweeps on a chain go.
    pub(super) fn collection(&self, chain: Chain) -> Result<String, Error> {
        let wallets = self.collection_wallets()?;
        let address = wallets.get(chain.as_str()).and_then(|wallet| wallet.get("address"));
        address.and_then(Value::as_str).map(str::to_owned).ok_or_else(|| {
            Error::input(self.collection_file().display(), format_args!("{chain}.address was expected"))
        })
    }

    /// All wallets.
    pub(super) fn collection_wallets(&self) -> Result<Value, Error> {
        let file = self.collection_file();
        serde_json::from_str(&input::read_text(&file, MAX_TEXT)?)
            .map_err(|_| Error::input(file.display(), "the collection wallets were expected"))
    }

    fn collection_file(&self) -> PathBuf {
        self.at("collection.json")
    }
}

/// A wallet for each chain. Their keys are random, in plain sight, and for tests.
fn wallets() -> Result<Value, Error> {
    let mut wallets = Map::new();
    wallets.insert("note".to_owned(), "test keys of this laptop: whoever reads this file has them".into());
    for chain in Chain::ALL {
        let (private, public) = key_pair(chain.curve())?;
        let public = PublicKey::from_bytes(chain.curve(), &public)
            .map_err(|error| Error::Failed(error.to_string()))?;
        // The simulated enclave's network, by its configuration.
        let places = addresses(chain, &public, BitcoinNetwork::Mainnet)
            .map_err(|error| Error::Failed(error.to_string()))?;
        let mut wallet = json!({
            "private_key": HEXLOWER.encode(&private), "public_key": HEXLOWER.encode(&public.to_bytes()),
            "address": places.address,
        });
        if let (Some(taproot), Some(fields)) = (places.taproot, wallet.as_object_mut()) {
            fields.insert("taproot_address".to_owned(), taproot.into());
        }
        wallets.insert(chain.to_string(), wallet);
    }
    Ok(wallets.into())
}

/// A new file that only its owner reads.
fn write_private(file: &Path, text: &str) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(file);
    written
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Error::input(file.display(), format_args!("a writable file was expected: {error}")))
}

fn key_pair(curve: Curve) -> Result<([u8; 32], Vec<u8>), Error> {
    loop {
        let mut secret = [0; 32];
        SysRng
            .try_fill_bytes(&mut secret)
            .map_err(|error| Error::Failed(format!("the system's random numbers were expected: {error}")))?;
        match curve {
            Curve::Ed25519 => {
                return Ok((secret, SigningKey::from_bytes(&secret).verifying_key().to_bytes().to_vec()));
            }
            // Nearly every number is a key; the others are tried again.
            Curve::Secp256k1 => {
                if let Ok(key) = k256::SecretKey::from_slice(&secret) {
                    return Ok((secret, key.public_key().to_sec1_point(true).as_bytes().to_vec()));
                }
            }
        }
    }
}
