//! Partially signed transactions: BIP-174 (version 0) and BIP-370 (version 2), read strictly.
//!
//! Every field is decoded into its type and encoded again; the result must be the input, byte for
//! byte. What a field's presence alone forbids is refused here: unknown and proprietary types,
//! signatures, scripts of inputs, fields of the other version. What the transaction does is the
//! template's matter.

mod fields;
mod lock_time;
mod names;
mod pair;

pub(super) use fields::LAST_HEIGHT;
use fields::{GlobalField, InputField, OutputField};
use lock_time::Required;
use pair::{FIELD, Place, check_count, put_map, read_map};

use super::{
    codec::{Reader, malformed},
    previous::{Beside, Previous},
    raw::{OutPoint, RawTransaction, TxIn, TxOut, txid_text},
};
use crate::Refused;

const MAGIC: [u8; 5] = *b"psbt\xff";

/// The longest PSBT, in bytes, and the most that previous transactions beside it take together. In
/// base64, with the names of 100 keys, it is as long as what asks for signatures may be.
pub const MAX_PSBT: usize = 544 * 1024;

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
    /// Reads a PSBT of either version. Base64 is not taken: the bytes are the PSBT.
    ///
    /// # Errors
    /// [`Refused`], with a tag `transaction.bitcoin.…`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > MAX_PSBT {
            return Err(malformed(format!("at most {MAX_PSBT} bytes"), format!("{} bytes", bytes.len())));
        }
        let mut reader = Reader::new(bytes);
        if reader.array().ok() != Some(MAGIC) {
            return Err(malformed("a PSBT, which begins with 70736274ff", "other bytes"));
        }
        let global: Vec<GlobalField> = read_map(&mut reader, Place::Global)?;
        let header = Header::read(&global)?;
        let (count_in, count_out) = header.counts()?;
        let mut inputs = Vec::new();
        for index in 0..count_in {
            inputs.push(read_map(&mut reader, Place::Input(index))?);
        }
        let mut outputs = Vec::new();
        for index in 0..count_out {
            outputs.push(read_map(&mut reader, Place::Output(index))?);
        }
        reader.finish("the PSBT")?;
        let unsigned = header.unsigned(&inputs, &outputs)?;
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

    /// The transaction's locktime; of a version 2 PSBT as BIP-370 determines it.
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

/// What the global map says, by version.
enum Header<'a> {
    V0(&'a RawTransaction),
    V2 { version: u32, fallback: Option<u32>, inputs: usize, outputs: usize },
}

impl<'a> Header<'a> {
    fn read(global: &'a [GlobalField]) -> Result<Self, Refused> {
        let (mut unsigned, mut tx_version, mut fallback, mut version) = (None, None, None, None);
        let (mut inputs, mut outputs, mut modifiable) = (None, None, false);
        for field in global {
            match field {
                GlobalField::UnsignedTx(transaction) => unsigned = Some(transaction),
                GlobalField::TxVersion(number) => tx_version = Some(*number),
                GlobalField::FallbackLockTime(time) => fallback = Some(*time),
                GlobalField::InputCount(count) => inputs = Some(*count),
                GlobalField::OutputCount(count) => outputs = Some(*count),
                GlobalField::NotModifiable => modifiable = true,
                GlobalField::Version(number) => version = Some(*number),
                GlobalField::Ignored(_) => {}
            }
        }
        match version {
            None | Some(0) => {
                let of_version_2 = tx_version.or(fallback).is_some() || inputs.or(outputs).is_some();
                only_in(2, of_version_2 || modifiable, "a global field")?;
                required(unsigned, "PSBT_GLOBAL_UNSIGNED_TX").map(Self::V0)
            }
            Some(2) => {
                only_in(0, unsigned.is_some(), "PSBT_GLOBAL_UNSIGNED_TX")?;
                Ok(Self::V2 {
                    version: required(tx_version, "PSBT_GLOBAL_TX_VERSION")?,
                    fallback,
                    inputs: required(inputs, "PSBT_GLOBAL_INPUT_COUNT")?,
                    outputs: required(outputs, "PSBT_GLOBAL_OUTPUT_COUNT")?,
                })
            }
            Some(other) => Err(Refused::new(
                "transaction.bitcoin.version",
                "a PSBT of version 0 or 2",
                other.to_string(),
            )),
        }
    }

    fn counts(&self) -> Result<(usize, usize), Refused> {
        match self {
            Self::V0(unsigned) => Ok((
                check_count(unsigned.inputs.len(), "transaction.bitcoin.inputs")?,
                check_count(unsigned.outputs.len(), "transaction.bitcoin.outputs")?,
            )),
            Self::V2 { inputs, outputs, .. } => Ok((*inputs, *outputs)),
        }
    }

    /// The transaction that is to be signed.
    fn unsigned(
        &self,
        inputs: &[Vec<InputField>],
        outputs: &[Vec<OutputField>],
    ) -> Result<RawTransaction, Refused> {
        match *self {
            Self::V0(unsigned) => {
                for fields in inputs {
                    only_in(2, fields.iter().any(InputField::is_of_version_2), "a field of an input")?;
                }
                for fields in outputs {
                    only_in(2, fields.iter().any(OutputField::is_of_version_2), "a field of an output")?;
                }
                let empty = unsigned.inputs.iter().all(|input| input.script_sig.is_empty());
                if !empty || !unsigned.witnesses.is_empty() {
                    return Err(Refused::new(
                        "transaction.bitcoin.signed",
                        "an unsigned transaction, with empty scriptSigs and without witnesses",
                        "one that is not empty",
                    ));
                }
                Ok(unsigned.clone())
            }
            Self::V2 { version, fallback, .. } => {
                let (mut tx_inputs, mut locks) = (Vec::new(), Vec::new());
                for fields in inputs {
                    let (input, lock) = input_of_version_2(fields)?;
                    tx_inputs.push(input);
                    locks.push(lock);
                }
                Ok(RawTransaction {
                    version,
                    inputs: tx_inputs,
                    outputs: outputs
                        .iter()
                        .map(|fields| output_of_version_2(fields))
                        .collect::<Result<_, _>>()?,
                    witnesses: Vec::new(),
                    lock_time: lock_time::determine(fallback, &locks)?,
                })
            }
        }
    }
}

fn input_of_version_2(fields: &[InputField]) -> Result<(TxIn, Required), Refused> {
    let (mut txid, mut index, mut lock) = (None, None, Required::default());
    // BIP-370: without the field, the sequence is final.
    let mut sequence = u32::MAX;
    for field in fields {
        match field {
            InputField::PreviousTxid(hash) => txid = Some(*hash),
            InputField::OutputIndex(number) => index = Some(*number),
            InputField::Sequence(number) => sequence = *number,
            InputField::TimeLock(time) => lock.time = Some(*time),
            InputField::HeightLock(height) => lock.height = Some(*height),
            _ => {}
        }
    }
    let previous = OutPoint {
        txid: required(txid, "PSBT_IN_PREVIOUS_TXID")?,
        index: required(index, "PSBT_IN_OUTPUT_INDEX")?,
    };
    Ok((TxIn { previous, script_sig: Vec::new(), sequence }, lock))
}

fn output_of_version_2(fields: &[OutputField]) -> Result<TxOut, Refused> {
    let (mut amount, mut script) = (None, None);
    for field in fields {
        match field {
            OutputField::Amount(satoshis) => amount = Some(*satoshis),
            OutputField::Script(bytes) => script = Some(bytes),
            OutputField::Ignored(_) => {}
        }
    }
    Ok(TxOut {
        amount: required(amount, "PSBT_OUT_AMOUNT")?,
        script: required(script, "PSBT_OUT_SCRIPT")?.clone(),
    })
}

fn required<T>(field: Option<T>, name: &str) -> Result<T, Refused> {
    field.ok_or_else(|| Refused::new(FIELD, name, "a map without it"))
}

fn only_in(version: u32, found: bool, what: &str) -> Result<(), Refused> {
    if found {
        let found = format!("{what} of version {version}");
        return Err(Refused::new(FIELD, "fields of the PSBT's own version only", found));
    }
    Ok(())
}
