//! Sealed records: what parses is the one form of itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::{KeyId, Record, record::MAX_RECORD};
use wire::Refusal;

fuzz_target!(|bytes: &[u8]| {
    match Record::parse(bytes) {
        Ok(record) => {
            assert!(bytes.len() <= MAX_RECORD);
            assert_eq!(record.encode().expect("what was parsed encodes"), bytes, "a second form of a record");
            let header = record.header();
            assert_eq!(header.key_id, KeyId::derive(&header.deployment, &header.path()));
            assert_eq!(record.ciphertext().len(), 48);
            let aad = record.aad().expect("what was parsed encodes");
            assert!(aad.starts_with(b"\x83\x73cofferdam/record/v1"));
        }
        Err(error) => assert!(Refusal::from(error).code.as_str().starts_with("record.")),
    }
});
