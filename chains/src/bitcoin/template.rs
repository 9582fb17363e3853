//! The template that a whole transaction must match to be a sweep: which inputs, which outputs,
//! and nothing else. Own scripts are made from the keys of the request, never taken from the PSBT.
//!
//! What an input spends must be known for certain, since the fee is what the outputs leave over.
//! BIP-143 commits to the amount of the signed input alone: with two PSBTs of one transaction,
//! each wrong about another input, signatures could be collected that together pay a fee nobody
//! allowed. So every P2WPKH input brings the transaction that it spends from, whose txid the
//! signature commits to. BIP-341 commits to the amounts and scripts of *all* inputs: where the
//! PSBT is wrong about any input, the signatures of all P2TR inputs are void, and so is the
//! transaction, which needs each of them. That holds for a transaction of both kinds as well: its
//! P2WPKH inputs are proven, and where a P2TR input is claimed wrongly, nothing that this PSBT
//! yields completes the transaction; what would is a signature of the same transaction with every
//! claim true, whose true fee was then checked. So `witness_utxo` suffices on P2TR inputs.

use std::collections::{BTreeMap, BTreeSet};

use k256::elliptic_curve::point::AffineCoordinates;

use super::{
    BitcoinNetwork, Sweep, Transaction,
    address::{key_hash, output_key},
    psbt::{InputClaims, LAST_HEIGHT},
    raw::{RawTransaction, TxIn, TxOut, money},
    script::{Script, describe},
    sighash::{ALL, DEFAULT},
    sweep::{Payment, Spend, Unlock},
};
use crate::{PublicKey, Refused};

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
    /// P2WPKH inputs carry `non_witness_utxo`, and are signed with SIGHASH_ALL; P2TR inputs carry
    /// that or `witness_utxo`, and are signed with SIGHASH_DEFAULT or SIGHASH_ALL. Every output
    /// pays a script that has an address, and no less than the network relays.
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
        let payments = self
            .unsigned()
            .outputs
            .iter()
            .enumerate()
            .map(|(index, output)| payment(index, output, network))
            .collect::<Result<Vec<_>, _>>()?;
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
        Ok(Spend { key: *key, public: *public, spent: spent.clone(), unlock })
    }
}

fn unlock_p2wpkh(index: usize, key_hash: [u8; 20], claims: InputClaims<'_>) -> Result<Unlock, Refused> {
    if claims.previous.is_none() {
        return Err(Refused::new(
            "transaction.bitcoin.utxo",
            "non_witness_utxo for a P2WPKH input",
            format!("none in input {index}"),
        ));
    }
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

/// The output that an input spends: of the transaction with the input's txid where the PSBT has
/// it, otherwise as the PSBT claims.
fn spent_output<'a>(index: usize, input: &TxIn, claims: InputClaims<'a>) -> Result<&'a TxOut, Refused> {
    let refused = |allowed: String, found: &str| {
        Refused::new("transaction.bitcoin.utxo", allowed, format!("{found} in input {index}"))
    };
    let Some(previous) = claims.previous else {
        return claims.spent.ok_or_else(|| refused("non_witness_utxo or witness_utxo".into(), "neither"));
    };
    if previous.txid() != input.previous.txid {
        let allowed = format!("non_witness_utxo with the txid of {}", input.previous);
        return Err(refused(allowed, "another transaction"));
    }
    let output = usize::try_from(input.previous.index).ok().and_then(|at| previous.outputs.get(at));
    let Some(output) = output else {
        return Err(refused(format!("an output of index {}", input.previous.index), "no such output"));
    };
    if claims.spent.is_some_and(|claimed| claimed != output) {
        return Err(refused("witness_utxo as in non_witness_utxo".into(), "another amount or script"));
    }
    Ok(output)
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
