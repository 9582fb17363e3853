//! Sweeps on Solana as solders and spl.token build and sign them (`tests/vectors/solana`): what is
//! read, what is signed, what comes out, and what is refused.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use cofferdam_chains::{
    Curve, PublicKey, Signed, ToSign,
    solana::{Sweep, Transaction},
};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};

fn vectors(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn sweeps() -> Vec<Value> {
    vectors(include_str!("../../tests/vectors/solana/sweeps.json"))
}

fn hex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn base64(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn signing_keys(case: &Value) -> Vec<SigningKey> {
    let seeds = case["seeds"].as_array().unwrap().iter();
    seeds.map(|seed| SigningKey::from_bytes(&hex(seed).try_into().unwrap())).collect()
}

fn public_keys(keys: &[SigningKey]) -> Vec<PublicKey> {
    let public = |key: &SigningKey| PublicKey::from_bytes(Curve::Ed25519, key.verifying_key().as_bytes());
    keys.iter().map(|key| public(key).unwrap()).collect()
}

fn sweep(case: &Value) -> Sweep {
    let transaction = Transaction::parse(&base64(&case["unsigned"])).unwrap();
    transaction.sweep(&public_keys(&signing_keys(case))).unwrap()
}

fn sign(sweep: &Sweep, keys: &[SigningKey]) -> Vec<Vec<u8>> {
    let sign = |input: cofferdam_chains::SigningInput| match input.message {
        ToSign::Ed25519(message) => keys[input.key].sign(&message).to_bytes().to_vec(),
        ToSign::Ecdsa(_) | ToSign::TaprootKeySpend(_) => unreachable!(),
    };
    sweep.signing_inputs().into_iter().map(sign).collect()
}

#[test]
fn sweeps_mean_what_their_builder_meant() {
    let cases = sweeps();
    assert_eq!(cases.len(), 36);
    for case in cases {
        let sweep = sweep(&case);
        assert_eq!(serde_json::to_value(sweep.summary()).unwrap(), case["summary"], "{}", case["name"]);
        assert_eq!(sweep.fee_payer().to_string(), case["fee_payer"]);
    }
}

#[test]
fn our_signatures_and_transactions_are_those_of_solders() {
    for case in sweeps() {
        let keys = signing_keys(&case);
        let sweep = sweep(&case);
        let message = ToSign::Ed25519(hex(&case["message"]));
        let inputs = sweep.signing_inputs();
        assert!(inputs.iter().all(|input| input.message == message), "{}", case["name"]);
        assert!(inputs.iter().map(|input| input.key).eq(0..keys.len()));
        let signatures = sign(&sweep, &keys);
        let theirs: Vec<_> = case["signatures"].as_array().unwrap().iter().map(hex).collect();
        assert_eq!(signatures, theirs, "{}", case["name"]);
        let Signed { bytes, id } = sweep.assemble(&signatures).unwrap();
        assert_eq!(bytes, base64(&case["signed"]), "{}", case["name"]);
        assert_eq!(id, case["id"], "{}", case["name"]);
    }
}

#[test]
fn what_is_read_is_written_again() {
    for case in sweeps() {
        for field in ["unsigned", "signed"] {
            let bytes = base64(&case[field]);
            assert_eq!(Transaction::parse(&bytes).unwrap().to_bytes(), bytes);
        }
    }
}

#[test]
fn whatever_is_no_sweep_is_refused_by_its_name() {
    let cases = vectors(include_str!("../../tests/vectors/solana/refused.json"));
    assert!(cases.len() > 150);
    for case in cases {
        let keys = public_keys(&signing_keys(&case));
        let refused = Transaction::parse(&base64(&case["unsigned"]))
            .and_then(|transaction| transaction.sweep(&keys))
            .expect_err(case["name"].as_str().unwrap());
        assert_eq!(refused.tag, case["tag"], "{}: {refused}", case["name"]);
        assert!(refused.found.contains(case["found"].as_str().unwrap()), "{}: {refused}", case["name"]);
    }
}

/// The first sweep of this name, and where its message begins.
fn named(name: &str) -> (Value, Vec<u8>, usize) {
    let case = sweeps().into_iter().find(|case| case["name"] == name).unwrap();
    let bytes = base64(&case["unsigned"]);
    let message = bytes.len() - hex(&case["message"]).len();
    (case, bytes, message)
}

fn refusal(bytes: &[u8]) -> &'static str {
    Transaction::parse(bytes).expect_err("a refusal").tag
}

#[test]
fn a_transaction_has_one_form() {
    // One signer, nothing else read only but the System program; three accounts.
    let (_, bytes, message) = named("SOL, legacy");
    let with = |place: usize, cut: usize, put: &[u8]| [&bytes[..place], put, &bytes[place + cut..]].concat();
    assert!(Transaction::parse(&with(0, 0, &[])).is_ok());
    let accounts = message + 4;
    let instructions = accounts + 4 * 32;
    assert_eq!((bytes[message + 3], bytes[instructions]), (3, 1));
    for (what, changed, tag) in [
        ("nothing", vec![], "encoding"),
        ("a byte more", with(bytes.len(), 0, &[0]), "encoding"),
        ("a byte less", with(bytes.len() - 1, 1, &[]), "encoding"),
        ("no signature", with(0, 65, &[0]), "signature"),
        ("two signatures", with(0, 1, &[&[2][..], &[0; 64]].concat()), "signature"),
        ("a longer form of the number of signatures", with(0, 1, &[0x81, 0]), "version"),
        ("a longer form of the number of accounts", with(message + 3, 1, &[0x83, 0]), "encoding"),
        ("a longer form of the number of instructions", with(instructions, 1, &[0x81, 0]), "encoding"),
        ("a longer form of a number of accounts", with(instructions + 2, 1, &[0x82, 0]), "encoding"),
        ("a longer form of a length of data", with(instructions + 5, 1, &[0x8c, 0]), "encoding"),
        ("version 0 without its lookup tables", with(message, 0, &[0x80]), "encoding"),
        ("version 1", with(message, 0, &[0x81]), "version"),
        ("version 127", with(message, 0, &[0xff]), "version"),
        ("nobody signs", [&[0][..], &[0, 0, 1], &bytes[message + 3..]].concat(), "header"),
        ("the fee payer is read only", with(message + 1, 1, &[1]), "header"),
        ("more signers than accounts", with(message, 1, &[4]), "header"),
        ("more read-only accounts than there are", with(message + 2, 1, &[3]), "header"),
        ("an account twice", with(accounts + 32, 32, &bytes[accounts..accounts + 32]), "accounts"),
        ("a program beyond the accounts", with(instructions + 1, 1, &[3]), "accounts"),
        ("a program that pays the fee", with(instructions + 1, 1, &[0]), "accounts"),
        ("an account beyond the accounts", with(instructions + 4, 1, &[3]), "accounts"),
        ("an account that nobody uses", with(instructions + 4, 1, &[0]), "accounts"),
    ] {
        assert_eq!(refusal(&changed), format!("transaction.solana.{tag}"), "{what}");
    }
    let (_, bytes, _) = named("SOL, v0");
    let table = [&bytes[..bytes.len() - 1], &[1], &[7; 32], &[1, 0, 0]].concat();
    assert_eq!(refusal(&table), "transaction.solana.lookup_tables");
    let longer = [&bytes[..bytes.len() - 1], &[0x80, 0]].concat();
    assert_eq!(refusal(&longer), "transaction.solana.encoding");
    for bytes in [vec![1; 1233], vec![0; 1 << 20]] {
        assert_eq!(refusal(&bytes), "transaction.solana.size");
    }
}

#[test]
fn only_the_keys_of_the_request_sign() {
    let (case, bytes, _) = named("SOL of three keys, legacy");
    let transaction = Transaction::parse(&bytes).unwrap();
    let keys = public_keys(&signing_keys(&case));
    let refused = |keys: &[PublicKey]| transaction.sweep(keys).expect_err("a refusal").tag;
    assert_eq!(refused(&[]), "transaction.solana.keys");
    assert_eq!(refused(&keys[..2]), "transaction.solana.keys", "the third signs as well");
    assert_eq!(refused(&[&keys[..], &keys[..1]].concat()), "transaction.solana.keys", "a key twice");
    let (other, ..) = named("SOL, a key pays the fee only, legacy");
    let other = public_keys(&signing_keys(&other)).remove(0);
    assert_eq!(refused(&[&keys[..], &[other]].concat()), "transaction.solana.keys", "a key too many");
    // As the fee payer a key has a part in it, also where it is named twice.
    let (alone, bytes, _) = named("SOL, legacy");
    let alone = public_keys(&signing_keys(&alone));
    let twice = [&alone[..], &alone[..]].concat();
    let refused_twice = Transaction::parse(&bytes).unwrap().sweep(&twice).expect_err("a refusal");
    assert_eq!(refused_twice.tag, "transaction.solana.keys");
    let generator =
        HEXLOWER.decode(b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap();
    let secp256k1 = PublicKey::from_bytes(Curve::Secp256k1, &generator).unwrap();
    assert_eq!(refused(&[secp256k1]), "transaction.solana.keys", "a key of another curve");
    // The order of the request decides who is who, not the order of the transaction.
    let reversed: Vec<_> = keys.iter().rev().cloned().collect();
    let sources = transaction.sweep(&reversed).unwrap().summary().sources;
    assert_eq!(sources.iter().map(|source| source.amount.get()).collect::<Vec<_>>(), [3, 2, 1]);
}

#[test]
fn only_valid_signatures_of_the_right_keys_are_put_in() {
    let (case, ..) = named("SOL of three keys, v0");
    let (sweep, keys) = (sweep(&case), signing_keys(&case));
    let right = sign(&sweep, &keys);
    assert!(sweep.assemble(&right).is_ok());
    let mut swapped = right.clone();
    swapped.swap(0, 1);
    let mut broken = right.clone();
    broken[2][5] ^= 1;
    let mut short = right.clone();
    short[1].pop();
    let mut zero = right.clone();
    zero[0] = vec![0; 64];
    let more = [&right[..], &right[..1]].concat();
    for wrong in [swapped, broken, short, zero, more, right[..2].to_vec(), vec![]] {
        let refused = sweep.assemble(&wrong).expect_err("a refusal");
        assert_eq!(refused.tag, "transaction.solana.signature");
    }
    // s and s + L are two forms of one signature; RFC 8032 takes the first only.
    let order = HEXLOWER.decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut malleated = right;
    let mut carry = 0;
    for (byte, add) in malleated[0][32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    assert!(sweep.assemble(&malleated).is_err());
}

#[test]
fn what_solders_refuses_is_refused_and_what_it_reads_is_what_we_read() {
    let sweeps = sweeps();
    let cases = vectors(include_str!("../../tests/vectors/solana/mutated.json"));
    assert_eq!(cases.len(), 1500);
    let (mut taken, mut parsed, mut swept, mut pays_else) = (0, 0, 0, 0);
    for case in &cases {
        let number = |field: &str| usize::try_from(case[field].as_u64().unwrap()).unwrap();
        let of = &sweeps[number("of")];
        let (bytes, at) = (base64(&of["unsigned"]), number("at"));
        let after = bytes.get(at + number("cut")..).unwrap_or_default();
        let bytes = [&bytes[..at], &hex(&case["put"]), after].concat();
        taken += usize::from(case["taken"] == true);
        let Ok(transaction) = Transaction::parse(&bytes) else { continue };
        assert_eq!(case["taken"], true, "{case}");
        parsed += 1;
        let Ok(sweep) = transaction.sweep(&public_keys(&signing_keys(of))) else { continue };
        swept += 1;
        let paid = |transfers: &Value| -> Vec<_> {
            let pair = |transfer: &Value| json!([transfer["amount"], transfer["destination"]]);
            transfers.as_array().unwrap().iter().map(pair).collect()
        };
        let ours = paid(&serde_json::to_value(sweep.summary().transfers).unwrap());
        match case.get("pays") {
            Some(theirs) => assert_eq!(&json!(ours), theirs, "{case}"),
            None => assert_eq!(ours, paid(&of["summary"]["transfers"]), "{case}"),
        }
        pays_else += usize::from(case.get("pays").is_some());
    }
    // Ours is stricter; and the numbers say that the test is not empty.
    assert!(taken > parsed && parsed > swept, "{taken} {parsed} {swept}");
    assert!(swept > 200 && pays_else > 100, "{swept} {pays_else}");
}
