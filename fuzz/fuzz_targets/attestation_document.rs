//! Attestation documents: only what AWS signed verifies under AWS's root, even for a verifier
//! that expects whatever the document itself says.
#![no_main]

use std::sync::LazyLock;

use attestation::{
    AttestationDoc, DocumentHash, Expectations, ExpectedPcrs, PcrIndex, TrustAnchor,
    document::MAX_DOCUMENT,
    verify::{Freshness, Match, verify},
};
use libfuzzer_sys::fuzz_target;

const REAL: [&[u8]; 2] = [
    include_bytes!("../../tests/vectors/attestation/nitro-2022-10-13.cose"),
    include_bytes!("../../tests/vectors/attestation/nitro-2025-01-06.cose"),
];

/// What AWS signed.
static SIGNED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    REAL.iter()
        .map(|real| AttestationDoc::parse(real).expect("a real document").signed_bytes().to_vec())
        .collect()
});
static ROOT: LazyLock<TrustAnchor> = LazyLock::new(|| TrustAnchor::aws_nitro_root_g1().expect("AWS's root"));

fuzz_target!(|bytes: &[u8]| {
    let Ok(doc) = AttestationDoc::parse(bytes) else { return };
    assert!(bytes.len() <= MAX_DOCUMENT + 1);
    assert_eq!(doc.hash(), DocumentHash::of(bytes));
    assert_eq!(doc.signature().len(), 96);
    for field in [doc.nonce(), doc.user_data(), doc.public_key()] {
        assert!(field.is_none_or(|field| field.len() <= 1024));
    }
    let Some(pcr0) = doc.pcr(PcrIndex::IMAGE) else { return };
    let Ok(pcrs) = ExpectedPcrs::new([(PcrIndex::IMAGE, pcr0)]) else { return };
    let expected = Expectations {
        root: &ROOT,
        pcrs: &pcrs,
        freshness: Freshness::Archived,
        nonce: Match::Anything,
        public_key: Match::Anything,
        user_data: Match::Anything,
    };
    if let Ok(verified) = verify(bytes, &expected) {
        assert!(SIGNED.iter().any(|signed| signed == verified.signed_bytes()), "a forged document verifies");
    }
});
