//! The key-value pairs that a PSBT is made of (BIP-174): a map is pairs up to an empty key. Keys
//! do not repeat within a map. Their order is free, as producers differ, and is kept.

use std::{collections::BTreeSet, fmt};

use data_encoding::HEXLOWER;

use super::names::{self, FIELD, Place};
use crate::{
    Refused,
    bitcoin::{
        codec::{malformed, put_bytes, put_compact_size, reader},
        script::shortened,
    },
    reader::Reader,
};

/// At most so many inputs, and so many outputs.
pub(super) const MOST: usize = 100;

/// One pair.
pub(super) struct Pair<'a> {
    place: Place,
    /// The key's type. All that are known fit one byte.
    pub(super) kind: u8,
    /// What follows the type in the key.
    pub(super) data: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Pair<'a> {
    /// The value of a key that is its type alone.
    pub(super) fn plain(&self) -> Result<&'a [u8], Refused> {
        self.check_key_data(0)?;
        Ok(self.value)
    }

    /// The key's data must be so long.
    pub(super) fn check_key_data(&self, length: usize) -> Result<(), Refused> {
        if self.data.len() == length {
            return Ok(());
        }
        Err(malformed(format!("{length} bytes of key data in {self}"), format!("{} bytes", self.data.len())))
    }

    /// The value of a plain key, of exactly `N` bytes.
    pub(super) fn array<const N: usize>(&self) -> Result<[u8; N], Refused> {
        let value = self.plain()?;
        value.try_into().map_err(|_| {
            malformed(format!("a value of {N} bytes in {self}"), format!("{} bytes", value.len()))
        })
    }

    /// The value of a plain key, a little-endian number.
    pub(super) fn u32(&self) -> Result<u32, Refused> {
        self.array().map(u32::from_le_bytes)
    }

    /// The value, for people.
    pub(super) fn shown_value(&self) -> String {
        shortened(self.value)
    }

    /// Refuses the pair for its type.
    pub(super) fn refused(&self) -> Refused {
        let (tag, allowed) = names::why_refused(self.place, self.kind);
        Refused::new(tag, allowed, self.to_string())
    }
}

impl fmt::Display for Pair<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match names::name(self.place, self.kind) {
            Some(name) => write!(f, "{name} in {}", self.place),
            None => write!(f, "a field of the unknown type {:#04x} in {}", self.kind, self.place),
        }
    }
}

/// The number of inputs or outputs, from one to [`MOST`].
pub(super) fn check_count(count: usize, tag: &'static str) -> Result<usize, Refused> {
    if (1..=MOST).contains(&count) {
        return Ok(count);
    }
    Err(Refused::new(tag, format!("1 to {MOST}"), count.to_string()))
}

/// A field of one kind of map.
pub(super) trait Field: Sized {
    /// Reads a pair.
    fn read(pair: &Pair<'_>) -> Result<Self, Refused>;

    /// Writes the pair that was read.
    fn put(&self, out: &mut Vec<u8>);
}

/// Reads a map to its end.
pub(super) fn read_map<F: Field>(reader: &mut Reader<'_>, place: Place) -> Result<Vec<F>, Refused> {
    let mut seen = BTreeSet::new();
    let mut fields = Vec::new();
    loop {
        let key = reader.bytes()?;
        if key.is_empty() {
            return Ok(fields);
        }
        if !seen.insert(key) {
            let found = format!("{} twice in {place}", HEXLOWER.encode(key.get(..40).unwrap_or(key)));
            return Err(Refused::new(FIELD, "each key once", found));
        }
        let mut within = self::reader(key);
        let kind = within.compact_size()?;
        let value = reader.bytes()?;
        let Ok(kind) = u8::try_from(kind) else {
            let found = format!("a field of the unknown type {kind:#x} in {place}");
            return Err(Refused::new(FIELD, names::KNOWN, found));
        };
        fields.push(F::read(&Pair { place, kind, data: within.rest(), value })?);
    }
}

/// Writes a map and its end.
pub(super) fn put_map<F: Field>(out: &mut Vec<u8>, fields: &[F]) {
    for field in fields {
        field.put(out);
    }
    out.push(0);
}

/// Writes a pair. Types are below 0xfd, so that a type's compact size is itself.
pub(super) fn put_pair(out: &mut Vec<u8>, kind: u8, data: &[u8], value: &[u8]) {
    put_compact_size(out, data.len().saturating_add(1));
    out.push(kind);
    out.extend(data);
    put_bytes(out, value);
}
