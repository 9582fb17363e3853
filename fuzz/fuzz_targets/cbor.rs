//! The CBOR codec: whatever passes its gate has one deterministic form, and that form is read as
//! the same value.
#![no_main]

use std::collections::BTreeMap;

use attestation::cbor::{self, CborError};
use libfuzzer_sys::fuzz_target;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::{ByteArray, ByteBuf};
use serde_cbor::Value;

const LIMIT: usize = 4096;

/// A type with everything that ours have.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    n: u64,
    text: String,
    raw: ByteBuf,
    fixed: ByteArray<4>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    maybe: Option<bool>,
    kind: Kind,
    list: Vec<Sample>,
    result: Result<(u8, i64), String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    Unit,
    Newtype(u16),
    Tuple(u8, u8),
    Struct { name: String },
}

/// What is taken has one form, in which it is the same value again.
fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let strict = cbor::decode_deterministic::<T>(bytes, LIMIT);
    match cbor::decode::<T>(bytes, LIMIT) {
        Ok(value) => {
            let form = cbor::encode(&value).expect("what was decoded encodes");
            assert_eq!(strict.is_ok(), form == bytes);
            // Integers for bytes, or names for positions, can be shorter than the one form.
            let limit = form.len().max(LIMIT);
            assert_eq!(cbor::decode_deterministic::<T>(&form, limit).as_ref(), Ok(&value));
        }
        Err(error) => assert_eq!(strict.err(), Some(error)),
    }
}

fuzz_target!(|bytes: &[u8]| {
    check::<Value>(bytes);
    check::<Sample>(bytes);
    check::<Kind>(bytes);
    check::<(u8, ByteBuf, ByteBuf, String)>(bytes);
    check::<BTreeMap<String, Vec<u64>>>(bytes);
    check::<Option<Vec<String>>>(bytes);
    if bytes.len() > LIMIT {
        let refused = cbor::decode::<Value>(bytes, LIMIT);
        assert!(matches!(refused, Err(CborError::TooLong { .. })));
    }
});
