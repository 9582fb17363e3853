//! EVM sweeps: as eth-account signs them (`tests/vectors/evm`), what is refused, and that no
//! change of a byte goes unnoticed.
#![allow(clippy::unwrap_used)]

use cofferdam_chains::{
    PublicKey, Refused, ToSign,
    evm::{Sweep, Transaction},
};
use data_encoding::HEXLOWER;
use k256::ecdsa::SigningKey;
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use sha3::{Digest, Keccak256};

const SWEEPS: &str = include_str!("../../tests/vectors/evm/eth-account.jsonl");
const CANCELS: &str = include_str!("../../tests/vectors/evm/cancel.jsonl");
const REFUSED: &str = include_str!("../../tests/vectors/evm/refused.jsonl");

fn cases(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::Secp256k1(key.verifying_key().into())
}

fn signing_key(case: &Value) -> SigningKey {
    SigningKey::from_slice(&bytes(&case["key"])).unwrap()
}

fn digest(sweep: &Sweep) -> [u8; 32] {
    let inputs = sweep.signing_inputs();
    let [input] = inputs.as_slice() else { panic!("one key signs once") };
    let ToSign::Ecdsa(digest) = &input.message else { panic!("ECDSA signs") };
    assert_eq!(input.key, 0);
    *digest
}

/// RFC 6979, low s.
fn sign(sweep: &Sweep, key: &SigningKey) -> Vec<u8> {
    let (signature, recovery_id) = key.sign_prehash_recoverable(&digest(sweep));
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(recovery_id.to_byte());
    bytes
}

/// What a caller does: the bytes, and the one key that shall sign.
fn read(bytes: &[u8], key: &PublicKey) -> Result<Sweep, Refused> {
    Transaction::parse(bytes)?.sweep(std::slice::from_ref(key))
}

#[test]
fn eth_accounts_sweeps_mean_the_same_and_are_signed_as_theirs() {
    let cases = cases(SWEEPS);
    assert_eq!(cases.len(), 200);
    for case in &cases {
        let key = signing_key(case);
        let sweep = read(&bytes(&case["unsigned"]), &public(&key)).unwrap();
        assert_eq!(sweep.sender().to_string(), case["sender"]);
        assert_eq!(HEXLOWER.encode(&digest(&sweep)), case["digest"]);
        let summary = serde_json::to_value(sweep.summary()).unwrap();
        let transfers = serde_json::json!([
            { "asset": case["asset"], "amount": case["amount"], "destination": case["destination"] }
        ]);
        let sources = serde_json::json!([{ "key": 0, "asset": case["asset"], "amount": case["amount"] }]);
        assert_eq!(summary["kind"], case["kind"]);
        assert_eq!(summary["network"], case["network"]);
        assert_eq!(summary["fee"], case["fee"]);
        assert_eq!((&summary["transfers"], &summary["sources"]), (&transfers, &sources));
        let signed = sweep.assemble(&[sign(&sweep, &key)]).unwrap();
        assert_eq!(HEXLOWER.encode(&signed.bytes), case["signed"], "{}", case["name"]);
        assert_eq!(signed.id, case["id"]);
    }
    for short in ["r_bytes", "s_bytes"] {
        assert!(cases.iter().any(|case| case[short] == 31), "{short}");
    }
}

#[test]
fn what_eth_account_signs_to_use_up_a_nonce_moves_nothing() {
    for case in cases(CANCELS) {
        let key = signing_key(&case);
        let sweep = read(&bytes(&case["unsigned"]), &public(&key)).unwrap();
        let summary = sweep.summary();
        assert!(sweep.is_void() && summary.transfers.is_empty() && summary.sources.is_empty());
        assert_eq!(
            (summary.kind, summary.fee.to_string()),
            ("evm.cancel", case["fee"].as_str().unwrap().into())
        );
        assert_eq!(case["kind"], summary.kind);
        assert_eq!((case["amount"].as_str(), &case["destination"]), (Some("0"), &case["sender"]));
        let signed = sweep.assemble(&[sign(&sweep, &key)]).unwrap();
        assert_eq!((HEXLOWER.encode(&signed.bytes), signed.id), (text(&case["signed"]), text(&case["id"])));
        // By another key it would be a payment of nothing to somebody.
        let other = public(&SigningKey::from_slice(&[1; 32]).unwrap());
        let refused = read(&bytes(&case["unsigned"]), &other).unwrap_err();
        assert_eq!((refused.tag, refused.found.as_str()), ("transaction.evm.amount", "0 wei"));
    }
}

#[test]
fn every_other_type_call_message_and_spelling_is_refused_by_its_tag() {
    let key = public(&SigningKey::from_slice(&[1; 32]).unwrap());
    let mut tags = std::collections::BTreeSet::new();
    for case in cases(REFUSED) {
        let refused = read(&bytes(&case["bytes"]), &key).unwrap_err();
        assert_eq!(refused.tag, case["tag"], "{}", case["name"]);
        if let Some(found) = case["found"].as_str() {
            assert_eq!(refused.found, found);
        }
        tags.insert(refused.tag);
    }
    // Those of keys and of signatures are below.
    assert_eq!(tags.len(), 19, "{tags:?}");
}

#[test]
fn a_digest_is_no_transaction() {
    for case in cases(SWEEPS) {
        for text in ["digest", "sender", "signed"] {
            let hex = case[text].as_str().unwrap().trim_start_matches("0x").to_lowercase();
            assert!(Transaction::parse(&HEXLOWER.decode(hex.as_bytes()).unwrap()).is_err());
        }
    }
}

#[test]
fn one_key_of_the_right_curve_signs() {
    let case = &cases(SWEEPS)[0];
    let transaction = Transaction::parse(&bytes(&case["unsigned"])).unwrap();
    let key = public(&signing_key(case));
    let ed25519 = PublicKey::from_bytes(cofferdam_chains::Curve::Ed25519, &[1; 32]);
    let ed25519 =
        ed25519.or_else(|_| PublicKey::from_bytes(cofferdam_chains::Curve::Ed25519, &[0x20; 32])).unwrap();
    for keys in [vec![], vec![key.clone(), key.clone()], vec![ed25519]] {
        assert_eq!(transaction.sweep(&keys).unwrap_err().tag, "transaction.evm.key");
    }
}

#[test]
fn a_faulty_signature_never_leaves() {
    for case in cases(SWEEPS).iter().take(8) {
        let key = signing_key(case);
        let sweep = read(&bytes(&case["unsigned"]), &public(&key)).unwrap();
        let good = sign(&sweep, &key);
        assert!(sweep.assemble(std::slice::from_ref(&good)).is_ok());
        let refused = |signatures: &[Vec<u8>], why: &str| {
            let refused = sweep.assemble(signatures).expect_err(why);
            assert_eq!(refused.tag, "transaction.evm.signature", "{why}");
            let text = refused.to_string();
            assert!(!text.contains(&HEXLOWER.encode(&good[..8])), "the signature is not told");
        };
        refused(&[], "none");
        refused(&[good.clone(), good.clone()], "two");
        refused(&[good[..64].to_vec()], "without a recovery id");
        refused(&[[&good[..], &[0]].concat()], "66 bytes");
        refused(&[vec![]], "an empty one");
        for recovery_id in [good[64] ^ 1, 2, 3, 4, 27, 28, 255] {
            refused(&[[&good[..64], &[recovery_id]].concat()], "another recovery id");
        }
        for (name, range) in [("r", 0..32), ("s", 32..64)] {
            for value in [[0; 32], [0xff; 32], ORDER] {
                let mut bad = good.clone();
                bad[range.clone()].copy_from_slice(&value);
                refused(&[bad], name);
            }
        }
        // The same signature with the other s, which the network refuses since EIP-2.
        let signature = k256::ecdsa::Signature::from_slice(&good[..64]).unwrap();
        let (r, s) = signature.split_scalars();
        let high = k256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        refused(&[[&high.to_bytes()[..], &[good[64] ^ 1]].concat()], "a high s");
        // By another key, and of another transaction.
        let other = SigningKey::from_slice(&[7; 32]).unwrap();
        refused(&[sign(&sweep, &other)], "another key");
        let (of_other, id) = key.sign_prehash_recoverable(&[9; 32]);
        refused(&[[&of_other.to_bytes()[..], &[id.to_byte()]].concat()], "another digest");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            refused(&[bad], "a flipped bit");
        }
    }
}

/// n of secp256k1 (SEC 2 §2.4.1).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// Whatever is read is written the same; whatever is written differently is signed differently.
fn unchanged_or_another(sweep: &Sweep, original: &[u8], mutated: &[u8], key: &PublicKey) {
    let Ok(other) = Transaction::parse(mutated) else { return };
    assert_eq!(other.to_bytes(), mutated, "what is read is its own encoding");
    let Ok(other) = other.sweep(std::slice::from_ref(key)) else { return };
    if mutated == original {
        assert_eq!(other.summary(), sweep.summary());
    } else {
        assert_ne!(digest(&other), digest(sweep), "another transaction has another digest");
        assert_ne!(other, *sweep);
    }
}

#[test]
fn every_flipped_bit_is_refused_or_is_another_transaction() {
    for case in cases(SWEEPS) {
        let key = public(&signing_key(&case));
        let original = bytes(&case["unsigned"]);
        let sweep = read(&original, &key).unwrap();
        for bit in 0..original.len() * 8 {
            let mut mutated = original.clone();
            mutated[bit / 8] ^= 1 << (bit % 8);
            unchanged_or_another(&sweep, &original, &mutated, &key);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let key = public(&SigningKey::from_slice(&[1; 32]).unwrap());
        if let Ok(transaction) = Transaction::parse(&bytes) {
            prop_assert_eq!(transaction.to_bytes(), bytes);
            let _ = transaction.sweep(&[key]).map(|sweep| sweep.summary());
        }
    }

    #[test]
    fn every_sweep_that_can_be_written_is_read_as_it_was_meant(
        typed: bool,
        token in proptest::option::of(any::<[u8; 20]>()),
        to: [u8; 20],
        amount in number().prop_map(|amount| amount.max(1)),
        (chain, nonce, gas) in (1_u64..=u64::MAX / 2 - 36, 0..u64::MAX, any::<u32>()),
        (price, priority) in (any::<u64>(), any::<u64>()),
    ) {
        let (called, value, data) = match token {
            None => (to, amount, vec![]),
            Some(token) => (token, 0, [
                &HEXLOWER.decode(b"a9059cbb").unwrap()[..], &[0; 12], &to, &[0; 16], &amount.to_be_bytes(),
            ].concat()),
        };
        let common = [
            integer(gas.into()), string(&called), integer(value), string(&data),
        ].concat();
        let (head, tail) = if typed {
            let fees = [integer(price.min(priority).into()), integer(price.into())].concat();
            ([integer(chain.into()), integer(nonce.into()), fees].concat(), vec![0xc0])
        } else {
            ([integer(nonce.into()), integer(price.into())].concat(),
             [integer(chain.into()), vec![0x80, 0x80]].concat())
        };
        let payload = [head, common, tail].concat();
        let bytes = [if typed { vec![2] } else { vec![] }, list(&payload)].concat();
        let key = public(&SigningKey::from_slice(&[1; 32]).unwrap());
        let sweep = read(&bytes, &key).unwrap();
        let summary = sweep.summary();
        prop_assert_eq!(summary.network, format!("evm:{chain}"));
        prop_assert_eq!(summary.fee.get(), u128::from(gas) * u128::from(price));
        prop_assert_eq!(sweep.transaction().nonce(), nonce);
        prop_assert_eq!(sweep.destination().to_bytes(), to);
        prop_assert_eq!(summary.transfers[0].amount.get(), amount);
        prop_assert_eq!(summary.kind, if token.is_some() { "evm.erc20" } else { "evm.native" });
        prop_assert_eq!(digest(&sweep), <[u8; 32]>::from(Keccak256::digest(&bytes)));
    }

    #[test]
    fn arbitrary_lists_are_read_or_refused(
        typed: bool,
        items in proptest::collection::vec(item(), 5..13),
    ) {
        let bytes = [if typed { vec![2] } else { vec![] }, list(&items.concat())].concat();
        let key = public(&SigningKey::from_slice(&[1; 32]).unwrap());
        if let Ok(transaction) = Transaction::parse(&bytes) {
            prop_assert_eq!(transaction.to_bytes(), bytes);
            let _ = transaction.sweep(&[key]).map(|sweep| sweep.summary());
        }
    }

    #[test]
    fn a_mutated_transaction_is_refused_or_means_what_it_says(
        index: Index,
        changes in proptest::collection::vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let cases = SWEEPS.lines().collect::<Vec<_>>();
        let case: Value = serde_json::from_str(cases[index.index(cases.len())]).unwrap();
        let key = public(&signing_key(&case));
        let original = bytes(&case["unsigned"]);
        let sweep = read(&original, &key).unwrap();
        let mut mutated = original.clone();
        for (position, byte, change) in changes {
            if mutated.is_empty() { break }
            let at = position.index(mutated.len());
            match change {
                0 => mutated[at] = byte,
                1 => mutated.insert(at, byte),
                2 => { mutated.remove(at); }
                _ => mutated.truncate(at),
            }
        }
        unchanged_or_another(&sweep, &original, &mutated, &key);
    }
}

/// RLP as the tests write it, up to 65535 bytes.
fn prefixed(kind: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap().to_be_bytes();
    let prefix = match length {
        [0, short @ ..=55] => vec![kind + short],
        [0, long] => vec![kind + 56, long],
        [high, low] => vec![kind + 57, high, low],
    };
    [prefix, contents.to_vec()].concat()
}

fn list(contents: &[u8]) -> Vec<u8> {
    prefixed(0xc0, contents)
}

fn string(bytes: &[u8]) -> Vec<u8> {
    if matches!(bytes, [0..=0x7f]) { bytes.to_vec() } else { prefixed(0x80, bytes) }
}

fn integer(number: u128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    string(&bytes[usize::try_from(number.leading_zeros() / 8).unwrap()..])
}

/// Numbers of every length, not only the longest.
fn number() -> impl Strategy<Value = u128> {
    (any::<u128>(), 0..128_u32).prop_map(|(number, bits)| number >> bits)
}

/// An encoded item, mostly of a size that transactions have, now and then a faulty one.
fn item() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => number().prop_map(integer),
        2 => proptest::collection::vec(any::<u8>(), 0..70).prop_map(|bytes| string(&bytes)),
        4 => any::<[u8; 20]>().prop_map(|account| string(&account)),
        2 => Just(vec![0x80]),
        1 => Just(vec![0xc0]),
        1 => proptest::collection::vec(any::<u8>(), 1..4),
    ]
}
