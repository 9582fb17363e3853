//! The fields of a PSBT, each with its type (BIP-174, BIP-371). A field is read from one
//! key-value pair and written back the same. There is no field for anything unknown, for anything
//! that a signature already made, nor for a script of an input: those pairs are refused.

use super::pair::{Field, Pair, put_pair};
use crate::{
    Refused,
    bitcoin::{
        codec::{malformed, reader},
        previous::Previous,
        raw::{RawTransaction, TxOut},
    },
};

/// A pair about somebody's keys or scripts that decides nothing: its shape was checked, nothing
/// reads it again, and it is written back as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ignored {
    kind: u8,
    data: Vec<u8>,
    value: Vec<u8>,
}

impl Ignored {
    fn new(pair: &Pair<'_>) -> Self {
        Self { kind: pair.kind, data: pair.data.to_vec(), value: pair.value.to_vec() }
    }

    /// Extended keys (78 bytes) and compressed keys (33 bytes), and how they were derived.
    fn derivation(pair: &Pair<'_>, key_length: usize) -> Result<Self, Refused> {
        pair.check_key_data(key_length)?;
        check_path(pair, pair.value)?;
        Ok(Self::new(pair))
    }

    /// x-only keys, the leaves that they are in, and how they were derived (BIP-371).
    fn tap_derivation(pair: &Pair<'_>) -> Result<Self, Refused> {
        pair.check_key_data(32)?;
        let mut reader = reader(pair.value);
        let leaves = reader.compact_size()?;
        reader.take(leaves.saturating_mul(32))?;
        check_path(pair, reader.rest())?;
        Ok(Self::new(pair))
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_pair(out, self.kind, &self.data, &self.value);
    }
}

/// What is said of the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GlobalField {
    /// 0x00
    UnsignedTx(RawTransaction),
    /// 0xfb
    Version(u32),
    /// 0x01: extended public keys.
    Ignored(Ignored),
}

/// What is said of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InputField {
    /// 0x00
    NonWitnessUtxo(Previous),
    /// 0x01
    WitnessUtxo(TxOut),
    /// 0x03
    SighashType(u32),
    /// 0x17
    TapInternalKey([u8; 32]),
    /// 0x06, 0x16: how keys were derived.
    Ignored(Ignored),
}

/// What is said of an output: 0x00, 0x01, 0x02, 0x05, 0x06, 0x07, what the receiver's wallet knows of its
/// script. The output's own script decides, and that is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputField(Ignored);

impl Field for GlobalField {
    fn read(pair: &Pair<'_>) -> Result<Self, Refused> {
        Ok(match pair.kind {
            0x00 => Self::UnsignedTx(RawTransaction::parse(pair.plain()?)?),
            0x01 => Self::Ignored(Ignored::derivation(pair, 78)?),
            0xfb => Self::Version(pair.u32()?),
            _ => return Err(pair.refused()),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::UnsignedTx(transaction) => put_pair(out, 0x00, &[], &transaction.to_bytes()),
            Self::Version(version) => put_pair(out, 0xfb, &[], &version.to_le_bytes()),
            Self::Ignored(ignored) => ignored.put(out),
        }
    }
}

impl Field for InputField {
    fn read(pair: &Pair<'_>) -> Result<Self, Refused> {
        Ok(match pair.kind {
            0x00 => Self::NonWitnessUtxo(Previous::parse(pair.plain()?)?),
            0x01 => {
                let mut reader = reader(pair.plain()?);
                let output = TxOut::read(&mut reader)?;
                reader.end("the output")?;
                Self::WitnessUtxo(output)
            }
            0x03 => Self::SighashType(pair.u32()?),
            0x06 => Self::Ignored(Ignored::derivation(pair, 33)?),
            0x16 => Self::Ignored(Ignored::tap_derivation(pair)?),
            0x17 => Self::TapInternalKey(pair.array()?),
            _ => return Err(pair.refused()),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::NonWitnessUtxo(previous) => put_pair(out, 0x00, &[], &previous.to_bytes()),
            Self::WitnessUtxo(output) => {
                let mut value = Vec::new();
                output.put(&mut value);
                put_pair(out, 0x01, &[], &value);
            }
            Self::SighashType(kind) => put_pair(out, 0x03, &[], &kind.to_le_bytes()),
            Self::TapInternalKey(key) => put_pair(out, 0x17, &[], key),
            Self::Ignored(ignored) => ignored.put(out),
        }
    }
}

impl Field for OutputField {
    fn read(pair: &Pair<'_>) -> Result<Self, Refused> {
        Ok(Self(match pair.kind {
            0x00 | 0x01 | 0x06 => {
                pair.check_key_data(0)?;
                Ignored::new(pair)
            }
            0x02 => Ignored::derivation(pair, 33)?,
            0x05 => {
                pair.array::<32>()?;
                Ignored::new(pair)
            }
            0x07 => Ignored::tap_derivation(pair)?,
            _ => return Err(pair.refused()),
        }))
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }
}

/// A key's origin: the master key's fingerprint, and the indices of the path, 4 bytes each.
fn check_path(pair: &Pair<'_>, path: &[u8]) -> Result<(), Refused> {
    if path.is_empty() || !path.len().is_multiple_of(4) {
        return Err(malformed("a fingerprint and a path, 4 bytes each", pair.shown_value()));
    }
    Ok(())
}
