//! The transactions that a sweep's inputs spend from: inside a PSBT (`PSBT_IN_NON_WITNESS_UTXO`),
//! or beside it. Inside, an input has its own copy, with the witness; beside, each stands once and
//! without its witness, which its txid does not cover.

use std::collections::BTreeMap;

use super::{
    codec::{MAX_PSBT, malformed},
    raw::{RawTransaction, TxIn, TxOut, txid_text},
};
use crate::Refused;

/// The tag of a list beside a PSBT that is not what it must be.
const PREVIOUS: &str = "transaction.bitcoin.previous";

/// A transaction, and its name: hashed once, however many inputs spend from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Previous {
    transaction: RawTransaction,
    txid: [u8; 32],
}

impl Previous {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let transaction = RawTransaction::parse(bytes)?;
        let txid = transaction.txid();
        Ok(Self { transaction, txid })
    }

    /// What was parsed.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.transaction.to_bytes()
    }

    /// The output of an outpoint's index, if the outpoint is this transaction's.
    pub(super) fn output(&self, index: u32) -> Option<&TxOut> {
        usize::try_from(index).ok().and_then(|index| self.transaction.outputs.get(index))
    }

    pub(super) const fn txid(&self) -> [u8; 32] {
        self.txid
    }
}

/// The previous transactions that came beside a PSBT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Beside(BTreeMap<[u8; 32], Previous>);

impl Beside {
    /// Reads them: each once, each one that an input spends from, none with a witness.
    pub(super) fn parse(list: &[Vec<u8>], inputs: &[TxIn]) -> Result<Self, Refused> {
        let refused = |allowed: &str, found: String| Refused::new(PREVIOUS, allowed, found);
        if list.len() > inputs.len() {
            let allowed = format!("at most {} previous transactions, one for each input", inputs.len());
            return Err(refused(&allowed, list.len().to_string()));
        }
        let length = list.iter().fold(0, |sum: usize, bytes| sum.saturating_add(bytes.len()));
        if length > MAX_PSBT {
            let allowed = format!("previous transactions of at most {MAX_PSBT} bytes together");
            return Err(malformed(allowed, format!("{length} bytes")));
        }
        let mut found = BTreeMap::new();
        for (index, bytes) in list.iter().enumerate() {
            let previous = Previous::parse(bytes)?;
            if !previous.transaction.witnesses.is_empty() {
                let found = format!("a witness in number {index}");
                return Err(refused("previous transactions without witnesses", found));
            }
            if previous.to_bytes() != *bytes {
                return Err(malformed("the one encoding of a transaction", "another"));
            }
            let txid = previous.txid;
            if !inputs.iter().any(|input| input.previous.txid == txid) {
                let found = format!("{}, number {index}", txid_text(&txid));
                return Err(refused("previous transactions that an input spends from", found));
            }
            if found.insert(txid, previous).is_some() {
                let found = format!("{} again, number {index}", txid_text(&txid));
                return Err(refused("each previous transaction once", found));
            }
        }
        Ok(Self(found))
    }

    /// Refuses an input that has its own inside: one place, so that nothing is said twice.
    pub(super) fn refuse_inside(index: usize) -> Refused {
        let allowed = "previous transactions inside the PSBT or beside it, not both";
        Refused::new(PREVIOUS, allowed, format!("both, one inside in input {index}"))
    }

    /// The transaction with this txid, in the order of the hash.
    pub(super) fn get(&self, txid: &[u8; 32]) -> Option<&Previous> {
        self.0.get(txid)
    }
}
