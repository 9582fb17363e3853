//! The fields of a PSBT, each with its type (BIP-174, 370, 371). A field is read from one
//! key-value pair and written back the same. There is no field for anything unknown, for anything
//! that a signature already made, nor for a script of an input: those pairs are refused.

use std::ops::RangeInclusive;

use super::pair::{Pair, put_pair};
use crate::{
    Refused,
    bitcoin::{
        codec::{Reader, malformed, put_compact_size},
        previous::Previous,
        raw::{RawTransaction, TxOut, money},
    },
};

/// The greatest locktime that is a block height; from the next on they are Unix times.
pub(in crate::bitcoin) const LAST_HEIGHT: u32 = 499_999_999;
const FIRST_TIME: u32 = 500_000_000;

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
        let mut reader = Reader::new(pair.value);
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
    /// 0x00, version 0 only.
    UnsignedTx(RawTransaction),
    /// 0x02, version 2 only, as the next four.
    TxVersion(u32),
    /// 0x03
    FallbackLockTime(u32),
    /// 0x04
    InputCount(usize),
    /// 0x05
    OutputCount(usize),
    /// 0x06, and no flag of it set: nobody may change what is signed.
    NotModifiable,
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
    /// 0x0e, version 2 only, as the next four.
    PreviousTxid([u8; 32]),
    /// 0x0f
    OutputIndex(u32),
    /// 0x10
    Sequence(u32),
    /// 0x11
    TimeLock(u32),
    /// 0x12
    HeightLock(u32),
    /// 0x17
    TapInternalKey([u8; 32]),
    /// 0x06, 0x16: how keys were derived.
    Ignored(Ignored),
}

/// What is said of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OutputField {
    /// 0x03, version 2 only, as the next.
    Amount(u64),
    /// 0x04
    Script(Vec<u8>),
    /// 0x00, 0x01, 0x02, 0x05, 0x06, 0x07: what the receiver's wallet knows of its script. The
    /// output's own script decides, and that is pinned.
    Ignored(Ignored),
}

impl InputField {
    pub(super) const fn is_of_version_2(&self) -> bool {
        matches!(
            self,
            Self::PreviousTxid(_)
                | Self::OutputIndex(_)
                | Self::Sequence(_)
                | Self::TimeLock(_)
                | Self::HeightLock(_)
        )
    }
}

impl OutputField {
    pub(super) const fn is_of_version_2(&self) -> bool {
        matches!(self, Self::Amount(_) | Self::Script(_))
    }
}

/// A field of one kind of map.
pub(super) trait Field: Sized {
    /// Reads a pair.
    fn read(pair: &Pair<'_>) -> Result<Self, Refused>;

    /// Writes the pair that was read.
    fn put(&self, out: &mut Vec<u8>);
}

impl Field for GlobalField {
    fn read(pair: &Pair<'_>) -> Result<Self, Refused> {
        Ok(match pair.kind {
            0x00 => Self::UnsignedTx(RawTransaction::parse(pair.plain()?)?),
            0x01 => Self::Ignored(Ignored::derivation(pair, 78)?),
            0x02 => Self::TxVersion(pair.u32()?),
            0x03 => Self::FallbackLockTime(pair.u32()?),
            0x04 => Self::InputCount(pair.count("transaction.bitcoin.inputs")?),
            0x05 => Self::OutputCount(pair.count("transaction.bitcoin.outputs")?),
            0x06 if pair.plain()? == [0] => Self::NotModifiable,
            0x06 => {
                let allowed = "PSBT_GLOBAL_TX_MODIFIABLE without a flag";
                return Err(Refused::new("transaction.bitcoin.modifiable", allowed, pair.shown_value()));
            }
            0xfb => Self::Version(pair.u32()?),
            _ => return Err(pair.refused()),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::UnsignedTx(transaction) => put_pair(out, 0x00, &[], &transaction.to_bytes()),
            Self::TxVersion(version) => put_pair(out, 0x02, &[], &version.to_le_bytes()),
            Self::FallbackLockTime(time) => put_pair(out, 0x03, &[], &time.to_le_bytes()),
            Self::InputCount(count) => put_pair(out, 0x04, &[], &compact_size(*count)),
            Self::OutputCount(count) => put_pair(out, 0x05, &[], &compact_size(*count)),
            Self::NotModifiable => put_pair(out, 0x06, &[], &[0]),
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
                let mut reader = Reader::new(pair.plain()?);
                let output = TxOut::read(&mut reader)?;
                reader.finish("the output")?;
                Self::WitnessUtxo(output)
            }
            0x03 => Self::SighashType(pair.u32()?),
            0x06 => Self::Ignored(Ignored::derivation(pair, 33)?),
            0x0e => Self::PreviousTxid(pair.array()?),
            0x0f => Self::OutputIndex(pair.u32()?),
            0x10 => Self::Sequence(pair.u32()?),
            0x11 => Self::TimeLock(lock(pair, FIRST_TIME..=u32::MAX)?),
            0x12 => Self::HeightLock(lock(pair, 1..=LAST_HEIGHT)?),
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
            Self::PreviousTxid(txid) => put_pair(out, 0x0e, &[], txid),
            Self::OutputIndex(index) => put_pair(out, 0x0f, &[], &index.to_le_bytes()),
            Self::Sequence(sequence) => put_pair(out, 0x10, &[], &sequence.to_le_bytes()),
            Self::TimeLock(time) => put_pair(out, 0x11, &[], &time.to_le_bytes()),
            Self::HeightLock(height) => put_pair(out, 0x12, &[], &height.to_le_bytes()),
            Self::TapInternalKey(key) => put_pair(out, 0x17, &[], key),
            Self::Ignored(ignored) => ignored.put(out),
        }
    }
}

impl Field for OutputField {
    fn read(pair: &Pair<'_>) -> Result<Self, Refused> {
        Ok(match pair.kind {
            0x00 | 0x01 | 0x06 => {
                pair.check_key_data(0)?;
                Self::Ignored(Ignored::new(pair))
            }
            0x02 => Self::Ignored(Ignored::derivation(pair, 33)?),
            0x03 => Self::Amount(money(u64::from_le_bytes(pair.array()?))?),
            0x04 => Self::Script(pair.plain()?.to_vec()),
            0x05 => {
                pair.array::<32>()?;
                Self::Ignored(Ignored::new(pair))
            }
            0x07 => Self::Ignored(Ignored::tap_derivation(pair)?),
            _ => return Err(pair.refused()),
        })
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Amount(amount) => put_pair(out, 0x03, &[], &amount.to_le_bytes()),
            Self::Script(script) => put_pair(out, 0x04, &[], script),
            Self::Ignored(ignored) => ignored.put(out),
        }
    }
}

/// A key's origin: the master key's fingerprint, and the indices of the path, 4 bytes each.
fn check_path(pair: &Pair<'_>, path: &[u8]) -> Result<(), Refused> {
    if path.is_empty() || !path.len().is_multiple_of(4) {
        return Err(malformed("a fingerprint and a path, 4 bytes each", pair.shown_value()));
    }
    Ok(())
}

/// A locktime of the kind that the field is for (BIP-370).
fn lock(pair: &Pair<'_>, allowed: RangeInclusive<u32>) -> Result<u32, Refused> {
    let value = pair.u32()?;
    if allowed.contains(&value) {
        return Ok(value);
    }
    let allowed = format!("a locktime from {} to {}", allowed.start(), allowed.end());
    Err(Refused::new("transaction.bitcoin.locktime", allowed, value.to_string()))
}

fn compact_size(value: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put_compact_size(&mut out, value);
    out
}
