//! Partially signed transactions of version 0 (BIP-174), read strictly. One of version 2 (BIP-370) says the
//! same in other fields: whoever asks converts it before (`cofferdam transaction convert`).
//!
//! Every field is decoded into its type and encoded again; the result must be the input, byte for
//! byte. What a field's presence alone forbids is refused here: unknown and proprietary types,
//! signatures, scripts of inputs, fields of version 2. What the transaction does is the
//! template's matter.

mod fields;
mod names;
mod pair;

use fields::{GlobalField, InputField, OutputField};
use names::{FIELD, Place, VERSION_0};
use pair::{check_count, put_map, read_map};

use super::{
    codec::{MAX_PSBT, malformed, reader},
    previous::{Beside, Previous},
    raw::{RawTransaction, TxIn, TxOut, txid_text},
};
use crate::Refused;

const MAGIC: [u8; 5] = *b"psbt\xff";

/// A PSBT that nobody has signed yet. Its order of fields is kept, so that [`Transaction::to_bytes`]
/// is what was parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    global: Vec<GlobalField>,
    inputs: Vec<Vec<InputField>>,
    outputs: Vec<Vec<OutputField>>,
    unsigned: RawTransaction,
    beside: Beside,
}

/// What an input says of the output that it spends, and how it is to be signed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct InputClaims<'a> {
    pub(super) previous: Option<&'a Previous>,
    pub(super) spent: Option<&'a TxOut>,
    pub(super) sighash_type: Option<u32>,
    pub(super) internal_key: Option<&'a [u8; 32]>,
}

impl Transaction {
    /// Reads a PSBT. Base64 is not taken: the bytes are the PSBT.
    ///
    /// # Errors
    /// [`Refused`], with a tag `transaction.bitcoin.…`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > MAX_PSBT {
            return Err(malformed(format!("at most {MAX_PSBT} bytes"), format!("{} bytes", bytes.len())));
        }
        let mut reader = reader(bytes);
        if reader.array().ok() != Some(MAGIC) {
            return Err(malformed("a PSBT, which begins with 70736274ff", "other bytes"));
        }
        let global: Vec<GlobalField> = read_map(&mut reader, Place::Global)?;
        let unsigned = unsigned(&global)?.clone();
        let mut inputs = Vec::new();
        for index in 0..unsigned.inputs.len() {
            inputs.push(read_map(&mut reader, Place::Input(index))?);
        }
        let mut outputs = Vec::new();
        for index in 0..unsigned.outputs.len() {
            outputs.push(read_map(&mut reader, Place::Output(index))?);
        }
        reader.end("the PSBT")?;
        let this = Self { global, inputs, outputs, unsigned, beside: Beside::default() };
        if this.to_bytes() != bytes {
            return Err(malformed("the one encoding of what it says", "another"));
        }
        Ok(this)
    }

    /// Takes the previous transactions that came beside the PSBT, none of whose inputs has its own
    /// then: each as the network writes it without its witness, each once, each one that an input
    /// spends from. They count as if they were inside.
    ///
    /// # Errors
    /// [`Refused`], with a tag `transaction.bitcoin.…`.
    pub fn with_previous(mut self, previous: &[Vec<u8>]) -> Result<Self, Refused> {
        let inside = |fields: &Vec<InputField>| {
            fields.iter().any(|field| matches!(field, InputField::NonWitnessUtxo(_)))
        };
        if let Some(index) = self.inputs.iter().position(inside)
            && !previous.is_empty()
        {
            return Err(Beside::refuse_inside(index));
        }
        self.beside = Beside::parse(previous, &self.unsigned.inputs)?;
        Ok(self)
    }

    /// The PSBT that was parsed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_map(&mut out, &self.global);
        for input in &self.inputs {
            put_map(&mut out, input);
        }
        for output in &self.outputs {
            put_map(&mut out, output);
        }
        out
    }

    /// The txid, as people write it. Signatures do not change it: all inputs are segwit's.
    pub fn txid(&self) -> String {
        txid_text(&self.unsigned.txid())
    }

    /// The transaction's locktime.
    pub const fn lock_time(&self) -> u32 {
        self.unsigned.lock_time
    }

    pub(super) const fn unsigned(&self) -> &RawTransaction {
        &self.unsigned
    }

    /// The inputs of the transaction, each with what the PSBT says of it.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&TxIn, InputClaims<'_>)> {
        self.unsigned.inputs.iter().zip(&self.inputs).map(|(input, fields)| {
            let previous = self.beside.get(&input.previous.txid);
            let mut claims = InputClaims { previous, ..InputClaims::default() };
            for field in fields {
                match field {
                    InputField::NonWitnessUtxo(previous) => claims.previous = Some(previous),
                    InputField::WitnessUtxo(spent) => claims.spent = Some(spent),
                    InputField::SighashType(kind) => claims.sighash_type = Some(*kind),
                    InputField::TapInternalKey(key) => claims.internal_key = Some(key),
                    _ => {}
                }
            }
            (input, claims)
        })
    }
}

/// The transaction of the global map, whose version is 0.
fn unsigned(global: &[GlobalField]) -> Result<&RawTransaction, Refused> {
    let mut unsigned = None;
    for field in global {
        match field {
            GlobalField::UnsignedTx(transaction) => unsigned = Some(transaction),
            GlobalField::Version(0) | GlobalField::Ignored(_) => {}
            GlobalField::Version(other) => {
                return Err(Refused::new(
                    "transaction.bitcoin.version",
                    VERSION_0,
                    format!("version {other}"),
                ));
            }
        }
    }
    let unsigned =
        unsigned.ok_or_else(|| Refused::new(FIELD, "PSBT_GLOBAL_UNSIGNED_TX", "a map without it"))?;
    let empty = unsigned.inputs.iter().all(|input| input.script_sig.is_empty());
    if !empty || !unsigned.witnesses.is_empty() {
        return Err(Refused::new(
            "transaction.bitcoin.signed",
            "an unsigned transaction, with empty scriptSigs and without witnesses",
            "one that is not empty",
        ));
    }
    check_count(unsigned.inputs.len(), "transaction.bitcoin.inputs")?;
    check_count(unsigned.outputs.len(), "transaction.bitcoin.outputs")?;
    Ok(unsigned)
}
