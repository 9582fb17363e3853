//! What asks for signatures fits a frame together with the records of its keys, and a PSBT of the
//! largest size fits what asks for signatures.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]

use attestation::{DocumentHash, Pcr};
use chains::{BitcoinNetwork, Chain, PublicKey, addresses, bitcoin::MAX_PSBT};
use cofferdam_protocol::{
    AddressClaims, Index, KeyId, KeyPath, Purpose, Record, RecordError, RecordHeader,
    api::{MAX_PREVIOUS, MAX_SIGNING_BODY, MAX_SIGNING_KEYS, SignaturesRequest, TransactionToSign},
    certificate::Issuer,
    record::LONGEST,
    request::MAX_BODY,
};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_bytes::{ByteArray, ByteBuf};

/// A record with the longest names, whose certificate escapes every character of them, under the
/// longest ARN of AWS's partitions, with a wrapped data key as long as KMS makes them.
fn longest_record() -> Vec<u8> {
    let point = data_encoding::HEXLOWER
        .decode(b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
        .unwrap();
    let key = PublicKey::from_bytes(Chain::Bitcoin.curve(), &point).unwrap();
    let own = addresses(Chain::Bitcoin, &key, BitcoinNetwork::Regtest).unwrap();
    let deployment = "d".repeat(63).parse().unwrap();
    let path = KeyPath {
        user: "\"".repeat(128).parse().unwrap(),
        chain: Chain::Bitcoin,
        purpose: Purpose::Sweep,
        index: Index::try_from(u64::from(Index::MAX)).unwrap(),
    };
    let header = RecordHeader {
        key_id: KeyId::derive(&deployment, &path),
        deployment,
        user: path.user,
        chain: path.chain,
        purpose: path.purpose,
        index: path.index,
        label: Some("\"".repeat(128).parse().unwrap()),
        public_key: ByteBuf::from(point),
        address: own.address,
        taproot_address: own.taproot,
        created: u64::MAX,
        kms_key: format!("arn:aws-us-gov:kms:ap-southeast-11:000000000000:key/mrk-{}", "0".repeat(32)),
        data_key: ByteBuf::from(vec![1; 200]),
        nonce: ByteArray::new([2; 12]),
    };
    let claims = AddressClaims::from_record(&header, Pcr::new([1; 48]), DocumentHash::of(b"document"));
    let certificate = Issuer::new(&SigningKey::from_bytes(&[9; 32])).unwrap().issue(&claims).unwrap();
    let record = Record::seal::<RecordError>(header, certificate, |_| Ok(vec![3; 48])).unwrap();
    record.encode().unwrap()
}

#[test]
fn no_record_is_longer_than_a_request_leaves_room_for() {
    let record = longest_record();
    Record::parse(&record).unwrap();
    assert!((LONGEST - 100..=LONGEST).contains(&record.len()), "{}", record.len());
}

#[test]
fn a_psbt_of_the_largest_size_fits_with_a_hundred_keys() {
    let deployment = "laptop".parse().unwrap();
    let key = |index: u64| {
        let path = KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Bitcoin,
            purpose: Purpose::Sweep,
            index: Index::try_from(index).unwrap(),
        };
        KeyId::derive(&deployment, &path)
    };
    let request = |bytes: usize| TransactionToSign {
        chain: Chain::Bitcoin,
        keys: (0..MAX_SIGNING_KEYS as u64).map(key).collect(),
        transaction: BASE64.encode(&vec![0xff; bytes]),
        previous_transactions: Vec::new(),
        expected: Vec::new(),
    };
    let batch = |bytes| serde_json::to_vec(&SignaturesRequest { signatures: vec![request(bytes)] }).unwrap();
    assert!(batch(MAX_PSBT).len() <= MAX_SIGNING_BODY);
    assert!(batch(MAX_PSBT + 4096).len() > MAX_SIGNING_BODY, "the bound is not far below what fits");
}

#[test]
fn the_pages_say_these_limits() {
    let transactions = include_str!("../../docs/transactions.md");
    let thousands = |number: usize| format!("{},{:03}", number / 1000, number % 1000);
    for said in [
        format!("| PSBT | {} ({} KiB) |", thousands(MAX_PSBT), MAX_PSBT / 1024),
        format!("| {} ({} KiB) |", thousands(MAX_SIGNING_BODY), MAX_SIGNING_BODY / 1024),
        format!("or more than {} KiB;", MAX_PSBT / 1024),
        format!("| {MAX_PREVIOUS}, and {} together;", thousands(MAX_PSBT)),
    ] {
        assert!(transactions.contains(&said), "{said}");
    }
    let formats = include_str!("../../docs/formats.md");
    assert!(formats.contains(&format!("at most {MAX_SIGNING_BODY} bytes")));
    assert!(formats.contains(&format!("array of at most {MAX_PREVIOUS} previous transactions")));
    let api = include_str!("../../docs/api.md");
    assert!(api.contains(&format!("at most {} KiB; those that ask for signatures", MAX_BODY / 1024)));
    assert!(api.contains(&format!("signatures at most {} KiB", MAX_SIGNING_BODY / 1024)));
}
