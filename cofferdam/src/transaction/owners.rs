//! Whose transaction it is. The signer knows the keys of a request; here they come from the command
//! line, or from the transaction as far as it names them. Every way ends in the very template that
//! the signer matches.

use chains::{BitcoinNetwork, Chain, Curve, PublicKey, Refused, SigningInput, Sweep, ToSign, Transaction};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::psbt;
use crate::error::Error;

/// A key of nobody's: the generator of secp256k1, whose private key is 1.
const STAND_IN: [u8; 33] = [
    0x02, 0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07,
    0x02, 0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
];

/// Where the keys come from, and so how much it means that the template matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeysFrom {
    /// `--public-key`: as the signer, with the keys of the request.
    Arguments,
    /// The transaction names them. Whether they are ours it cannot say.
    Transaction,
    /// It names only the account; the key that the account is of is not known.
    Account,
    /// It names nobody: the signature will say whose it is.
    Nobody,
}

/// A match, and whose it is.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) sweep: Sweep,
    /// What each key signs.
    pub(super) signing: Vec<SigningInput>,
    pub(super) from: KeysFrom,
    /// The keys of the match; none where a stand-in was used.
    pub(super) keys: Vec<PublicKey>,
    /// The account, where it is known without the key.
    pub(super) account: Option<String>,
}

/// Matches a transaction for these keys, or for those that it names.
pub(super) fn matching(
    transaction: &Transaction,
    bytes: &[u8],
    keys: Vec<PublicKey>,
    network: BitcoinNetwork,
) -> Result<Match, Error> {
    let with = |keys: Vec<PublicKey>, from| {
        let sweep = transaction.sweep(&keys, network)?;
        Ok::<_, Refused>(Match::new(sweep, from, keys))
    };
    if !keys.is_empty() {
        return Ok(with(keys, KeysFrom::Arguments)?);
    }
    match transaction {
        Transaction::Evm(_) => {
            let sweep = transaction.sweep(&[stand_in()?], network)?;
            Ok(Match::new(sweep, KeysFrom::Nobody, Vec::new()))
        }
        Transaction::Bitcoin(_) => match psbt::keys(bytes) {
            named if named.is_empty() => Err(Error::input(
                "--public-key",
                "the key of every input was expected: outputs on Bitcoin name a hash of it, and this PSBT \
                 names none (PSBT_IN_BIP32_DERIVATION, PSBT_IN_TAP_INTERNAL_KEY)",
            )),
            named => Ok(with(named, KeysFrom::Transaction)?),
        },
        Transaction::Solana(message) => {
            let signers = message.signers().iter().map(|signer| PublicKey::Ed25519(*signer.as_bytes()));
            let signers: Vec<PublicKey> = signers.collect();
            match with(signers.clone(), KeysFrom::Transaction) {
                // A fee payer that has signed already is none of the keys that shall.
                Err(refused) if refused.tag == "transaction.solana.signature" && signers.len() > 1 => {
                    Ok(with(signers.into_iter().skip(1).collect(), KeysFrom::Transaction)?)
                }
                matched => Ok(matched?),
            }
        }
        Transaction::Tron(_) => by_account(transaction, bytes, network),
    }
}

/// Tron names the account, which is a hash of the key. The template is matched with a key of nobody's
/// and the same transaction with that key's account in place of the owner's. Nothing else differs:
/// both have the same length, and only the owner's field decides whether it matches.
fn by_account(transaction: &Transaction, bytes: &[u8], network: BitcoinNetwork) -> Result<Match, Error> {
    let stand_in = [stand_in()?];
    let refused = match transaction.sweep(&stand_in, network) {
        Ok(sweep) => return Ok(Match::new(sweep, KeysFrom::Transaction, stand_in.into())),
        Err(refused) if refused.tag == "transaction.tron.owner" => refused,
        Err(refused) => return Err(refused.into()),
    };
    let account = |text: &str| text.parse::<chains::tron::TronAddress>().ok();
    let (Some(owner), Some(other)) = (account(&refused.found), account(&refused.allowed)) else {
        return Err(refused.into());
    };
    let changed = replaced(bytes, &owner.to_bytes(), &other.to_bytes());
    let sweep = Transaction::parse(Chain::Tron, &changed)?.sweep(&stand_in, network)?;
    let matched = Match::new(sweep, KeysFrom::Account, Vec::new());
    // What is signed is the transaction itself: SHA-256 of raw_data.
    let message = ToSign::Ecdsa(Sha256::digest(bytes).into());
    Ok(Match { signing: vec![SigningInput { key: 0, message }], account: Some(owner.to_string()), ..matched })
}

/// The first place of `old` becomes `new`.
fn replaced(bytes: &[u8], old: &[u8; 21], new: &[u8; 21]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let at = bytes.windows(old.len()).position(|window| window == old);
    let place = at.and_then(|at| changed.get_mut(at..)).and_then(|rest| rest.first_chunk_mut());
    if let Some(place) = place {
        *place = *new;
    }
    changed
}

impl Match {
    fn new(sweep: Sweep, from: KeysFrom, keys: Vec<PublicKey>) -> Self {
        let signing = sweep.signing_inputs();
        Self { sweep, signing, from, keys, account: None }
    }
}

fn stand_in() -> Result<PublicKey, Error> {
    PublicKey::from_bytes(Curve::Secp256k1, &STAND_IN).map_err(|error| Error::Failed(error.to_string()))
}
