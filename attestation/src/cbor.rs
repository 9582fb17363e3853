//! The one CBOR codec of the trusted code (RFC 8949): `serde_cbor` behind a strict gate.
//!
//! [`decode`] walks the bytes before `serde_cbor` sees them: definite lengths only, no tags, no
//! floats, bounded size and depth, every length within what is left, nothing trailing.
//! [`encode`] writes the core deterministic encoding (RFC 8949 §4.2.1: shortest forms, sorted
//! keys), so that what is hashed or signed has one form. To replace `serde_cbor`, replace this
//! file. It must never put a decoded value into an error: values may be users' data.

use serde::{Serialize, de::DeserializeOwned};

/// Why bytes are not the CBOR that was expected. Carries positions, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// More bytes than the caller allows.
    #[error("CBOR of at most {limit} bytes was expected, found {found}")]
    TooLong {
        /// The most that was allowed.
        limit: usize,
        /// What was there.
        found: usize,
    },
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("CBOR nested at most {MAX_DEPTH} deep was expected")]
    TooDeep,
    /// The input ends within an item.
    #[error("CBOR ends early, at byte {at}")]
    Truncated {
        /// Offset of the item that is cut.
        at: usize,
    },
    /// Bytes remain after the item.
    #[error("one CBOR item was expected, found more after byte {at}")]
    Trailing {
        /// Offset of the first byte too many.
        at: usize,
    },
    /// A form that this codec refuses: indefinite length, tag, float, reserved value, or an
    /// integer that is not in its shortest form.
    #[error("CBOR in shortest forms, without tags and floats, was expected, found byte {found:#04x} at {at}")]
    Form {
        /// Offset of the initial byte.
        at: usize,
        /// That byte.
        found: u8,
    },
    /// Well-formed, but of another shape than what was asked for.
    #[error("CBOR of another shape than {expected} near byte {at}")]
    Shape {
        /// What was expected: a Rust type, or in words.
        expected: &'static str,
        /// Where decoding stopped.
        at: u64,
    },
    /// Well-formed and of the right shape, but not in the one deterministic form.
    #[error("CBOR in its deterministic form was expected")]
    NotDeterministic,
    /// A value that CBOR cannot carry; a fault of the caller's type, not of any input.
    #[error("a value that CBOR can carry was expected")]
    Unencodable,
}

/// How deep arrays and maps may nest.
pub const MAX_DEPTH: usize = 8;

/// Decodes one item of at most `limit` bytes.
///
/// # Errors
/// Any [`CborError`] but [`CborError::NotDeterministic`] and [`CborError::Unencodable`].
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, CborError> {
    check(bytes, limit)?;
    serde_cbor::from_slice(bytes)
        .map_err(|error| CborError::Shape { expected: std::any::type_name::<T>(), at: error.offset() })
}

/// Decodes one item that must be exactly what [`encode`] writes for it.
///
/// # Errors
/// Those of [`decode`], and [`CborError::NotDeterministic`] for unsorted, repeated or unknown keys.
pub fn decode_deterministic<T: DeserializeOwned + Serialize>(
    bytes: &[u8],
    limit: usize,
) -> Result<T, CborError> {
    let value: T = decode(bytes, limit)?;
    if encode(&value)? == bytes { Ok(value) } else { Err(CborError::NotDeterministic) }
}

/// Encodes in the core deterministic form. A type whose fields stand in the order of their keys is
/// written at once; any other is sorted first, which takes several times as long.
///
/// # Errors
/// [`CborError::Unencodable`] when the type's `Serialize` fails.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CborError> {
    let bytes = serde_cbor::to_vec(&value).map_err(|_| CborError::Unencodable)?;
    if is_sorted(&bytes) {
        return Ok(bytes);
    }
    serde_cbor::value::to_value(value)
        .and_then(|sorted| serde_cbor::to_vec(&sorted))
        .map_err(|_| CborError::Unencodable)
}

/// Whether bytes of this codec have the keys of every map in ascending order, none twice. When in
/// doubt, no.
fn is_sorted(bytes: &[u8]) -> bool {
    /// An array or map whose items are still to come.
    #[derive(Clone, Copy)]
    struct Level<'b> {
        left: u64,
        map: bool,
        key: &'b [u8],
    }
    let mut open = [Level { left: 0, map: false, key: &[] }; MAX_DEPTH];
    let mut depth = 0usize;
    let mut level = Level { left: 1, map: false, key: &[] };
    let mut at = 0usize;
    loop {
        while level.left == 0 {
            let Some(parent) = depth.checked_sub(1) else { return at == bytes.len() };
            depth = parent;
            let Some(above) = open.get(depth) else { return false };
            level = *above;
        }
        // Keys and values take turns, and both are counted.
        let is_key = level.map && level.left.is_multiple_of(2);
        level.left = level.left.saturating_sub(1);
        let Ok(head) = Head::read(bytes, at) else { return false };
        at = head.end;
        if matches!(head.major, 2 | 3) {
            at = at.saturating_add(usize::try_from(head.argument).unwrap_or(usize::MAX));
        }
        let container = matches!(head.major, 4 | 5);
        if is_key {
            match bytes.get(head.start..at) {
                Some(key) if !container && level.key < key => level.key = key,
                _ => return false,
            }
        }
        if container {
            let map = head.major == 5;
            let Some(here) = open.get_mut(depth) else { return false };
            *here = level;
            depth = depth.saturating_add(1);
            level = Level { left: head.argument.saturating_mul(if map { 2 } else { 1 }), map, key: &[] };
        }
    }
}

/// Checks form, size and depth without allocating and without recursion.
fn check(bytes: &[u8], limit: usize) -> Result<(), CborError> {
    if bytes.len() > limit {
        return Err(CborError::TooLong { limit, found: bytes.len() });
    }
    // Items still to come at each open level; the outermost level holds one.
    let mut open = [0u64; MAX_DEPTH];
    let mut depth = 0usize;
    let mut left = 1u64;
    let mut at = 0usize;
    loop {
        while left == 0 {
            let Some(parent) = depth.checked_sub(1) else {
                return if at == bytes.len() { Ok(()) } else { Err(CborError::Trailing { at }) };
            };
            depth = parent;
            left = open.get(depth).copied().unwrap_or(0);
        }
        left = left.saturating_sub(1);
        let head = Head::read(bytes, at)?;
        at = head.end;
        let remaining = (bytes.len() as u64).saturating_sub(at as u64);
        let children = match head.major {
            2 | 3 => {
                if head.argument > remaining {
                    return Err(CborError::Truncated { at: head.start });
                }
                at = at.saturating_add(head.argument as usize);
                continue;
            }
            4 => head.argument,
            5 => head.argument.saturating_mul(2),
            _ => continue,
        };
        // Every child takes at least one byte.
        if children > remaining {
            return Err(CborError::Truncated { at: head.start });
        }
        *open.get_mut(depth).ok_or(CborError::TooDeep)? = left;
        depth = depth.saturating_add(1);
        left = children;
    }
}

/// The initial byte of an item and its argument (RFC 8949 §3): of a form that is read, not
/// indefinite, and the shortest.
pub(crate) struct Head {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) major: u8,
    pub(crate) argument: u64,
}

impl Head {
    pub(crate) fn read(bytes: &[u8], start: usize) -> Result<Self, CborError> {
        let truncated = CborError::Truncated { at: start };
        let first = *bytes.get(start).ok_or(truncated.clone())?;
        let form = CborError::Form { at: start, found: first };
        let (major, low) = (first >> 5, first & 0x1f);
        // Major 6 is a tag. Of major 7 only false, true and null are data here.
        if major == 6 || (major == 7 && !(20..=22).contains(&low)) {
            return Err(form);
        }
        let width = match low {
            0..=23 => 0usize,
            24 => 1,
            25 => 2,
            26 => 4,
            27 => 8,
            _ => return Err(form),
        };
        let body = start.saturating_add(1);
        let end = body.saturating_add(width);
        let digits = bytes.get(body..end).ok_or(truncated)?;
        let argument = match width {
            0 => u64::from(low),
            _ => digits.iter().fold(0u64, |value, digit| (value << 8) | u64::from(*digit)),
        };
        let shortest = match width {
            0 => true,
            1 => argument > 23,
            2 => argument > 0xff,
            4 => argument > 0xffff,
            _ => argument > 0xffff_ffff,
        };
        if shortest { Ok(Self { start, end, major, argument }) } else { Err(form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        #[serde(with = "serde_bytes")]
        raw: Vec<u8>,
        n: Option<u64>,
    }

    #[test]
    fn keys_are_written_sorted_whatever_the_order_of_the_fields() {
        let bytes = encode(&Sample { name: "x".into(), raw: vec![1], n: None }).unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&bytes),
            "a3616ef663726177 4101 646e616d656178".replace(' ', "")
        );
        assert!(decode_deterministic::<Sample>(&bytes, 100).is_ok());
    }

    #[test]
    fn what_is_not_sorted_is_seen() {
        let sorted = |hex: &str| is_sorted(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
        for hex in ["01", "80", "a0", "a10102", "a201020304", "a2616101626162a1616101", "82a1616101a1616101"]
        {
            assert!(sorted(hex), "{hex}");
        }
        for (hex, why) in [
            ("a203020104", "descending"),
            ("a201020103", "twice"),
            ("a262616201616101", "longer keys come later"),
            ("81a1a0a201020102", "an array and a map in which a key is a map"),
            ("a161 61a203020104", "within a value"),
            ("bfff", "of unknown length"),
            ("a101", "cut"),
            ("0101", "two"),
            ("", "none"),
        ] {
            assert!(!sorted(&hex.replace(' ', "")), "{why}");
        }
        assert!(!is_sorted(&[vec![0x81; MAX_DEPTH + 1], vec![1]].concat()), "too deep");
    }

    #[test]
    fn forms_that_have_a_second_spelling_are_refused() {
        for (hex, what) in [
            ("9fff", "indefinite array"),
            ("5f4101ff", "indefinite bytes"),
            ("bfff", "indefinite map"),
            ("d28401", "tag"),
            ("f90000", "float"),
            ("1801", "long 1"),
            ("190001", "longer 1"),
            ("f7", "undefined"),
            ("f820", "simple value"),
            ("1c", "reserved"),
        ] {
            let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert!(matches!(check(&bytes, 100), Err(CborError::Form { .. })), "{what}");
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_refused_before_anything_is_allocated() {
        for hex in ["5bffffffffffffffff", "9bffffffffffffffff", "bbffffffffffffffff", "43 0102", "8201"] {
            let bytes = data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes()).unwrap();
            assert!(matches!(check(&bytes, 100), Err(CborError::Truncated { .. })), "{hex}");
        }
    }

    #[test]
    fn depth_size_and_trailing_bytes_are_bounded() {
        let nested = |n: usize| [vec![0x81; n], vec![0x01]].concat();
        assert_eq!(check(&nested(MAX_DEPTH), 100), Ok(()));
        assert_eq!(check(&nested(MAX_DEPTH + 1), 100), Err(CborError::TooDeep));
        assert_eq!(check(&[1, 1], 100), Err(CborError::Trailing { at: 1 }));
        assert_eq!(check(&[1, 1], 1), Err(CborError::TooLong { limit: 1, found: 2 }));
        assert_eq!(check(&[], 1), Err(CborError::Truncated { at: 0 }));
    }

    #[test]
    fn repeated_and_unsorted_keys_are_not_deterministic() {
        for hex in ["a2616101616102", "a2616201616101"] {
            let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert_eq!(
                decode_deterministic::<BTreeMap<String, u8>>(&bytes, 100),
                Err(CborError::NotDeterministic)
            );
        }
    }

    #[test]
    fn an_error_never_repeats_the_value() {
        let bytes = encode(&"a user's secret").unwrap();
        let text = decode::<u64>(&bytes, 100).unwrap_err().to_string();
        assert!(!text.contains("secret"), "{text}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<Sample>(&bytes, 200);
            let _ = decode::<BTreeMap<u8, Vec<String>>>(&bytes, 200);
        }

        /// Values as a map of any order: what is written at once is what sorting writes.
        #[test]
        fn at_once_or_sorted_it_is_the_same(pairs: Vec<(String, Vec<(u16, bool)>)>) {
            struct Unsorted<'p>(&'p [(String, Vec<(u16, bool)>)]);
            impl Serialize for Unsorted<'_> {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
                }
            }
            let sorted = serde_cbor::to_vec(&serde_cbor::value::to_value(Unsorted(&pairs)).unwrap()).unwrap();
            prop_assert_eq!(encode(&Unsorted(&pairs)).unwrap(), sorted);
        }

        #[test]
        fn what_is_encoded_decodes_to_the_same(name: String, raw: Vec<u8>, n: Option<u64>) {
            let sample = Sample { name, raw, n };
            let bytes = encode(&sample).unwrap();
            prop_assert_eq!(decode_deterministic::<Sample>(&bytes, 1 << 20).unwrap(), sample);
        }
    }
}
