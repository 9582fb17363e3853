//! The template that a whole transaction must match to be a sweep: which inputs, which outputs,
//! and nothing else. Own scripts are made from the keys of the request, never taken from the PSBT.
//!
//! What an input spends must be known for certain, since the fee is what the outputs leave over.
//! Without the transaction that it spends from, all that a PSBT says of an input is a claim, its kind
//! included. What is signed then must be worth nothing if the claim is wrong:
//!
//! - A BIP-143 signature commits to the amount of its own input alone, and is valid however wrong
//!   the PSBT is about the others. So where one is made, every input brings its previous
//!   transaction, whose txid the signature commits to: nothing of that PSBT is a claim.
//! - A BIP-341 signature commits to the amounts and scripts of all inputs. Where all inputs are
//!   claimed as P2TR, nothing else is made, and if the PSBT is wrong about any input, none of it is
//!   valid on the chain.
//!
//! So each signature that is worth anything comes of a PSBT that was true, and counted with its true
//! fee: however many PSBTs of one transaction there are, and whatever each of them claims.

use std::collections::{BTreeMap, BTreeSet};

use k256::elliptic_curve::point::AffineCoordinates;

use super::{
    BitcoinNetwork, Sweep, Transaction,
    address::{key_hash, output_key},
    psbt::InputClaims,
    raw::{RawTransaction, TxIn, TxOut, money},
    script::{Script, describe},
    sighash::{ALL, DEFAULT},
    sweep::{Payment, Spend, Unlock},
};
use crate::{PublicKey, Refused};

/// The greatest locktime that is a block height; from the next on they are Unix times.
const LAST_HEIGHT: u32 = 499_999_999;

/// At most so many keys sign one transaction.
const MOST_KEYS: usize = 100;

/// Sequences that lock no input relative to its age (BIP-68): final, final with a locktime, and
/// replaceable (BIP-125), which is what wallets write.
const SEQUENCES: [u32; 3] = [0xffff_ffff, 0xffff_fffe, 0xffff_fffd];

impl Transaction {
    /// Matches the transaction with the template, for the keys that shall sign.
    ///
    /// Transaction version 1 or 2; a locktime that is a block height (one in the future only
    /// delays, as withholding the transaction would); one of three sequences. Every input spends
    /// a P2WPKH or P2TR (BIP-86) output of one of `keys`, every key owns at least one of them.
    /// P2WPKH inputs are signed with SIGHASH_ALL, P2TR inputs with SIGHASH_DEFAULT or SIGHASH_ALL.
    /// Every input has its previous transaction, inside the PSBT or beside it; where all are P2TR,
    /// `witness_utxo` is enough. Every output pays a script that has an address, none twice, and no
    /// less than the network relays.
    ///
    /// # Errors
    /// [`Refused`], with a tag `transaction.bitcoin.…`.
    pub fn sweep(&self, keys: &[PublicKey], network: BitcoinNetwork) -> Result<Sweep, Refused> {
        let owners = Owners::new(keys, network)?;
        check_frame(self.unsigned())?;
        let mut seen = BTreeSet::new();
        let mut spends = Vec::new();
        for (index, (input, claims)) in self.inputs().enumerate() {
            if !seen.insert(input.previous) {
                let found = format!("{} again in input {index}", input.previous);
                return Err(Refused::new("transaction.bitcoin.outpoint", "each output spent once", found));
            }
            spends.push(owners.spend(index, input, claims)?);
        }
        if let Some(idle) = (0..keys.len()).find(|key| spends.iter().all(|spend| spend.key != *key)) {
            return Err(Refused::new(
                "transaction.bitcoin.keys",
                "an input of every key of the request",
                format!("none of key {idle}"),
            ));
        }
        check_proven(&spends)?;
        let payments = payments(&self.unsigned().outputs, network)?;
        let fee = fee(&spends, &payments)?;
        Ok(Sweep::new(network, self.unsigned().clone(), spends, payments, fee))
    }
}

/// Version, locktime and sequences.
fn check_frame(transaction: &RawTransaction) -> Result<(), Refused> {
    if !(1..=2).contains(&transaction.version) {
        let found = transaction.version.to_string();
        return Err(Refused::new("transaction.bitcoin.version", "a transaction of version 1 or 2", found));
    }
    if transaction.lock_time > LAST_HEIGHT {
        let found = format!("the time {}", transaction.lock_time);
        return Err(Refused::new("transaction.bitcoin.locktime", "a block height, or 0", found));
    }
    for (index, input) in transaction.inputs.iter().enumerate() {
        if !SEQUENCES.contains(&input.sequence) {
            return Err(Refused::new(
                "transaction.bitcoin.sequence",
                "ffffffff, fffffffe or fffffffd",
                format!("{:08x} in input {index}", input.sequence),
            ));
        }
    }
    Ok(())
}

/// The scripts of the request's keys.
struct Owners {
    network: BitcoinNetwork,
    scripts: BTreeMap<Script, (usize, k256::PublicKey)>,
}

impl Owners {
    fn new(keys: &[PublicKey], network: BitcoinNetwork) -> Result<Self, Refused> {
        let refused = |allowed: &str, found: String| Refused::new("transaction.bitcoin.keys", allowed, found);
        if !(1..=MOST_KEYS).contains(&keys.len()) {
            return Err(refused("1 to 100 keys", keys.len().to_string()));
        }
        let mut scripts = BTreeMap::new();
        for (index, key) in keys.iter().enumerate() {
            let PublicKey::Secp256k1(key) = key else {
                return Err(refused("keys of secp256k1", format!("another as key {index}")));
            };
            let output = output_key(key)
                .map_err(|_| refused("keys with a P2TR address", format!("key {index} without")))?;
            for script in [Script::P2wpkh(key_hash(key)), Script::P2tr(output)] {
                // Also the case for a key and its negative, which share their P2TR address.
                if scripts.insert(script, (index, *key)).is_some() {
                    return Err(refused("each key once", format!("key {index} again")));
                }
            }
        }
        Ok(Self { network, scripts })
    }

    /// The input, if it is one of ours and the PSBT says what it takes to sign it.
    fn spend(&self, index: usize, input: &TxIn, claims: InputClaims<'_>) -> Result<Spend, Refused> {
        let spent = spent_output(index, input, claims)?;
        let refused = || {
            Refused::new(
                "transaction.bitcoin.owner",
                "the P2WPKH or P2TR output of a key of the request",
                format!("{} in input {index}", describe(&spent.script, self.network)),
            )
        };
        let script = Script::parse(&spent.script).ok_or_else(refused)?;
        let (key, public) = self.scripts.get(&script).ok_or_else(refused)?;
        let unlock = match script {
            Script::P2wpkh(key_hash) => unlock_p2wpkh(index, key_hash, claims)?,
            Script::P2tr(output_key) => unlock_p2tr(index, output_key, public, claims)?,
            Script::P2pkh(_) | Script::P2sh(_) | Script::P2wsh(_) => return Err(refused()),
        };
        let proven = claims.previous.is_some();
        Ok(Spend { key: *key, public: *public, spent: spent.clone(), unlock, proven })
    }
}

fn unlock_p2wpkh(index: usize, key_hash: [u8; 20], claims: InputClaims<'_>) -> Result<Unlock, Refused> {
    if let Some(kind) = claims.sighash_type
        && kind != u32::from(ALL)
    {
        return Err(refused_sighash(index, "SIGHASH_ALL", kind));
    }
    if claims.internal_key.is_some() {
        return Err(refused_internal_key(index, "no internal key for a P2WPKH input"));
    }
    Ok(Unlock::P2wpkh { key_hash })
}

fn unlock_p2tr(
    index: usize,
    output_key: [u8; 32],
    public: &k256::PublicKey,
    claims: InputClaims<'_>,
) -> Result<Unlock, Refused> {
    let hash_type = match claims.sighash_type {
        None | Some(0) => DEFAULT,
        Some(1) => ALL,
        Some(kind) => return Err(refused_sighash(index, "SIGHASH_DEFAULT or SIGHASH_ALL", kind)),
    };
    let own: [u8; 32] = public.as_affine().x().into();
    if claims.internal_key.is_some_and(|claimed| *claimed != own) {
        return Err(refused_internal_key(index, "the key of the request as internal key"));
    }
    Ok(Unlock::P2tr { output_key, hash_type })
}

fn refused_sighash(index: usize, allowed: &str, kind: u32) -> Refused {
    Refused::new("transaction.bitcoin.sighash", allowed, format!("type {kind:#04x} in input {index}"))
}

fn refused_internal_key(index: usize, allowed: &str) -> Refused {
    Refused::new("transaction.bitcoin.internal_key", allowed, format!("another in input {index}"))
}

/// Where one input is P2WPKH, the previous transaction of every input must be there.
fn check_proven(spends: &[Spend]) -> Result<(), Refused> {
    let only_claimed = spends.iter().position(|spend| !spend.proven);
    let p2wpkh = spends.iter().position(|spend| matches!(spend.unlock, Unlock::P2wpkh { .. }));
    let (Some(index), Some(p2wpkh)) = (only_claimed, p2wpkh) else { return Ok(()) };
    Err(Refused::new(
        "transaction.bitcoin.utxo",
        format!("the previous transaction of every input (non_witness_utxo), as input {p2wpkh} is P2WPKH"),
        format!("none of input {index}"),
    ))
}

/// The output that an input spends: of the transaction with the input's txid where that is there,
/// otherwise as the PSBT claims.
fn spent_output<'a>(index: usize, input: &TxIn, claims: InputClaims<'a>) -> Result<&'a TxOut, Refused> {
    let refused = |allowed: String, found: &str| {
        Refused::new("transaction.bitcoin.utxo", allowed, format!("{found} in input {index}"))
    };
    let output = match (claims.previous, claims.spent) {
        (None, None) => return Err(refused("non_witness_utxo or witness_utxo".into(), "neither")),
        (None, Some(claimed)) => claimed,
        (Some(previous), claimed) => {
            if previous.txid() != input.previous.txid {
                let allowed = format!("non_witness_utxo with the txid of {}", input.previous);
                return Err(refused(allowed, "another transaction"));
            }
            let Some(output) = previous.output(input.previous.index) else {
                let allowed = format!("an output of index {}", input.previous.index);
                return Err(refused(allowed, "no such output"));
            };
            if claimed.is_some_and(|claimed| claimed != output) {
                let allowed = "witness_utxo as in the previous transaction".into();
                return Err(refused(allowed, "another amount or script"));
            }
            output
        }
    };
    if output.amount == 0 {
        let found = format!("0 in input {index}");
        return Err(Refused::new("transaction.bitcoin.amount", "inputs of more than 0 satoshis", found));
    }
    Ok(output)
}

/// The outputs, no two of them to one destination: whoever reads an address and an amount has read
/// all that it is paid.
fn payments(outputs: &[TxOut], network: BitcoinNetwork) -> Result<Vec<Payment>, Refused> {
    let mut seen = BTreeSet::new();
    let mut payments = Vec::new();
    for (index, output) in outputs.iter().enumerate() {
        let payment = payment(index, output, network)?;
        if !seen.insert(payment.script) {
            let found = format!("{} again in output {index}", payment.script.address(network));
            return Err(Refused::new("transaction.bitcoin.destination", "each destination once", found));
        }
        payments.push(payment);
    }
    Ok(payments)
}

/// An output that may be made at all; whether this one may be is the policy's matter.
fn payment(index: usize, output: &TxOut, network: BitcoinNetwork) -> Result<Payment, Refused> {
    let Some(script) = Script::parse(&output.script) else {
        return Err(Refused::new(
            "transaction.bitcoin.output",
            "a script with an address",
            format!("{} in output {index}", describe(&output.script, network)),
        ));
    };
    if output.amount < script.dust_limit() {
        return Err(Refused::new(
            "transaction.bitcoin.dust",
            format!("at least {} satoshis", script.dust_limit()),
            format!("{} in output {index}", output.amount),
        ));
    }
    Ok(Payment { script, amount: output.amount })
}

/// What the outputs leave over.
fn fee(spends: &[Spend], payments: &[Payment]) -> Result<u64, Refused> {
    let inputs = sum("inputs", spends.iter().map(|spend| spend.spent.amount))?;
    let outputs = sum("outputs", payments.iter().map(|payment| payment.amount))?;
    inputs.checked_sub(outputs).ok_or_else(|| {
        let allowed = format!("outputs of at most {inputs} satoshis");
        Refused::new("transaction.bitcoin.amount", allowed, outputs.to_string())
    })
}

fn sum(what: &str, mut amounts: impl Iterator<Item = u64>) -> Result<u64, Refused> {
    amounts
        .try_fold(0u64, u64::checked_add)
        .ok_or_else(|| Refused::new("transaction.bitcoin.amount", "a sum below 2^64", what))
        .and_then(money)
}
