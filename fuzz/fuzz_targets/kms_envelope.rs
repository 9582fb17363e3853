//! KMS's envelope: what parses has the shape that KMS writes, and what was not made for a key
//! does not open under it.
#![no_main]

use std::sync::LazyLock;

use attestation::{RecipientKey, envelope::EnvelopedData};
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<RecipientKey> = LazyLock::new(|| RecipientKey::generate().expect("a key"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = EnvelopedData::parse(bytes) {
        assert_eq!(envelope.encrypted_key().len(), 256);
        let content = envelope.encrypted_content();
        assert!(!content.is_empty() && content.len() % 16 == 0 && content.len() < bytes.len());
        assert!(KEY.open(bytes).is_err(), "an envelope for another key opens");
    }
});
