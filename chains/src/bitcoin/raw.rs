//! Transactions as the network writes them (BIP-144): read strictly, written back the same, and
//! named by their txid.

use sha2::{Digest, Sha256};

use super::codec::{malformed, put_bytes, put_compact_size, reader};
use crate::{Refused, reader::Reader};

/// 21 million bitcoin, in satoshis: no amount and no sum is greater (consensus rule).
pub(super) const MAX_MONEY: u64 = 2_100_000_000_000_000;

/// SHA-256 twice.
pub(super) fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A txid as people write it: the bytes of the hash in reverse, in hex.
pub(super) fn txid_text(txid: &[u8; 32]) -> String {
    let reversed: Vec<u8> = txid.iter().rev().copied().collect();
    data_encoding::HEXLOWER.encode(&reversed)
}

/// An output of an earlier transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OutPoint {
    /// In the order of the hash, not as people write it.
    pub(super) txid: [u8; 32],
    pub(super) index: u32,
}

impl OutPoint {
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.txid);
        out.extend(self.index.to_le_bytes());
    }
}

impl std::fmt::Display for OutPoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", txid_text(&self.txid), self.index)
    }
}

impl From<OutPoint> for crate::Outpoint {
    fn from(outpoint: OutPoint) -> Self {
        Self::new(&txid_text(&outpoint.txid), outpoint.index)
    }
}

/// What is paid, and the script that it is paid to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TxOut {
    /// Satoshis, at most [`MAX_MONEY`].
    pub(super) amount: u64,
    pub(super) script: Vec<u8>,
}

impl TxOut {
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Refused> {
        let amount = money(reader.u64()?)?;
        Ok(Self { amount, script: reader.bytes()?.to_vec() })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.amount.to_le_bytes());
        put_bytes(out, &self.script);
    }
}

/// The amount, if there can be so much.
pub(super) fn money(amount: u64) -> Result<u64, Refused> {
    if amount > MAX_MONEY {
        return Err(Refused::new(
            "transaction.bitcoin.amount",
            format!("at most {MAX_MONEY} satoshis"),
            amount.to_string(),
        ));
    }
    Ok(amount)
}

/// What a transaction spends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TxIn {
    pub(super) previous: OutPoint,
    pub(super) script_sig: Vec<u8>,
    pub(super) sequence: u32,
}

/// A whole transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawTransaction {
    pub(super) version: u32,
    pub(super) inputs: Vec<TxIn>,
    pub(super) outputs: Vec<TxOut>,
    /// The witnesses as they are written, one for each input; nothing where there are none.
    pub(super) witnesses: Vec<u8>,
    pub(super) lock_time: u32,
}

impl RawTransaction {
    /// Reads a transaction to the end of `bytes`, in the form with witnesses or in that without.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let mut reader = reader(bytes);
        let version = reader.u32()?;
        // A transaction has an input, so a count of zero can only be the marker of BIP-144.
        let mut count = reader.compact_size()?;
        let with_witnesses = count == 0;
        if with_witnesses {
            let flag = reader.u8()?;
            if flag != 1 {
                return Err(malformed("an input, or the flag 1 of BIP-144", format!("the flag {flag}")));
            }
            count = reader.compact_size()?;
        }
        if count == 0 {
            return Err(malformed("at least one input", "none"));
        }
        // The vectors grow with what is read: the counts are believed by nobody.
        let mut inputs = Vec::new();
        for _ in 0..count {
            let previous = OutPoint { txid: reader.array()?, index: reader.u32()? };
            let script_sig = reader.bytes()?.to_vec();
            inputs.push(TxIn { previous, script_sig, sequence: reader.u32()? });
        }
        let mut outputs = Vec::new();
        for _ in 0..reader.compact_size()? {
            outputs.push(TxOut::read(&mut reader)?);
        }
        let witnesses = if with_witnesses { read_witnesses(&mut reader, inputs.len())? } else { Vec::new() };
        let lock_time = reader.u32()?;
        reader.end("the transaction")?;
        Ok(Self { version, inputs, outputs, witnesses, lock_time })
    }

    /// As the network takes it.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.write(&self.witnesses)
    }

    /// The name of the transaction, in the order of the hash. Witnesses are no part of it.
    pub(super) fn txid(&self) -> [u8; 32] {
        sha256d(&self.write(&[]))
    }

    /// Bytes without witnesses: what counts fourfold in the weight, but for marker and flag.
    pub(super) fn stripped_size(&self) -> usize {
        self.write(&[]).len()
    }

    fn write(&self, witnesses: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.version.to_le_bytes());
        if !witnesses.is_empty() {
            out.extend([0, 1]);
        }
        put_compact_size(&mut out, self.inputs.len());
        for input in &self.inputs {
            input.previous.put(&mut out);
            put_bytes(&mut out, &input.script_sig);
            out.extend(input.sequence.to_le_bytes());
        }
        put_compact_size(&mut out, self.outputs.len());
        for output in &self.outputs {
            output.put(&mut out);
        }
        out.extend(witnesses);
        out.extend(self.lock_time.to_le_bytes());
        out
    }
}

/// Walks over the witnesses of so many inputs. Where all are empty the form without witnesses is
/// the one form (Bitcoin Core calls the other a superfluous witness record).
fn read_witnesses(reader: &mut Reader<'_>, inputs: usize) -> Result<Vec<u8>, Refused> {
    let all = reader.rest();
    let mut items = 0u64;
    for _ in 0..inputs {
        let count = reader.compact_size()?;
        for _ in 0..count {
            reader.bytes()?;
        }
        items = items.saturating_add(count);
    }
    if items == 0 {
        return Err(malformed("at least one witness after the flag of BIP-144", "none"));
    }
    let length = all.len().saturating_sub(reader.rest().len());
    Ok(all.get(..length).unwrap_or_default().to_vec())
}
