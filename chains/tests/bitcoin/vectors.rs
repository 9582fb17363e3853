//! The BIPs' vectors, and what embit and bitcoinjs-lib made (`tests/vectors/bitcoin`).

use cofferdam_chains::{
    BitcoinNetwork, Curve, PublicKey, Refused, ToSign,
    bitcoin::{Transaction, output_key, tap_tweak},
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::{psbt_v2::to_version_0, support::read};

macro_rules! vectors {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../../tests/vectors/bitcoin/", $name)))
            .unwrap()
    };
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// What is read of a BIP's case.
fn parsed(case: &Value) -> Result<Transaction, Refused> {
    read(&BASE64.decode(case["psbt"].as_str().unwrap().as_bytes()).unwrap())
}

fn cases<'a>(all: &'a Value, bip: &str, section: &str) -> Vec<&'a Value> {
    let cases = all[bip].as_array().unwrap().iter();
    let found: Vec<&Value> =
        cases.filter(|case| case["section"].as_str().unwrap().starts_with(section)).collect();
    assert!(!found.is_empty(), "{bip}: {section}");
    found
}

#[test]
fn everything_that_the_bips_call_invalid_is_refused() {
    let all = vectors!("psbt-bips.json");
    let mut count = 0;
    for bip in ["bip174", "bip370", "bip371"] {
        for case in cases(&all, bip, "The following are invalid PSBTs") {
            let refused = parsed(case).unwrap_err();
            assert!(refused.tag.starts_with("transaction.bitcoin."), "{}: {refused}", case["title"]);
            count += 1;
        }
    }
    assert_eq!(count, 20 + 24 + 11);
}

#[test]
fn everything_that_the_bips_call_valid_is_parsed_or_refused_for_a_named_reason() {
    let all = vectors!("psbt-bips.json");
    // The title's beginning, and why a PSBT that is valid is none that a sweep could be.
    let reasons = [
        ("PSBT with one P2PKH input. Outputs are empty", Ok(())),
        ("PSBT with one P2PKH input and one P2SH-P2WPKH input. First", Err("transaction.bitcoin.signed")),
        ("PSBT with one P2PKH input which has a non-final scriptSig", Ok(())),
        ("PSBT with one P2PKH input and one P2SH-P2WPKH input both", Err("transaction.bitcoin.script")),
        ("PSBT with one P2SH-P2WSH input of a 2-of-2 multisig", Err("transaction.bitcoin.signed")),
        ("PSBT with one P2WSH input of a 2-of-2 multisig", Err("transaction.bitcoin.script")),
        ("PSBT with unknown types in the inputs", Err("transaction.bitcoin.field")),
        ("PSBT with PSBT_GLOBAL_XPUB", Err("transaction.bitcoin.signed")),
        ("PSBT with global unsigned tx that has 0 inputs and 0 outputs", Err("transaction.bitcoin.encoding")),
        ("PSBT with 0 inputs", Err("transaction.bitcoin.encoding")),
        ("1 input, 2 output PSBTv2, required fields only", Ok(())),
        ("1 input, 2 output updated PSBTv2, with PSBT_IN_SEQUENCE", Ok(())),
        ("1 input, 2 output updated PSBTv2, with all PSBTv2 fields", Err("transaction.bitcoin.modifiable")),
        ("1 input, 2 output updated PSBTv2, with", Err("transaction.bitcoin.modifiable")),
        ("1 input, 2 output updated PSBTv2.", Ok(())),
        (
            "PSBT with one P2TR key only input with internal key, its derivation path, and",
            Err("transaction.bitcoin.signed"),
        ),
        ("PSBT with one P2TR key only input", Ok(())),
        ("PSBT with one P2TR key only output", Ok(())),
        ("PSBT with one P2TR script path only input", Err("transaction.bitcoin.script_path")),
        ("PSBT with one P2TR script path only output", Ok(())),
    ];
    for bip in ["bip174", "bip370", "bip371"] {
        for case in cases(&all, bip, "The following are valid PSBTs") {
            let title = case["title"].as_str().unwrap();
            let (_, expected) = reasons.iter().find(|(start, _)| title.starts_with(start)).expect(title);
            match parsed(case) {
                Ok(transaction) => {
                    assert_eq!(*expected, Ok(()), "{title}");
                    let psbt = BASE64.decode(case["psbt"].as_str().unwrap().as_bytes()).unwrap();
                    let psbt = to_version_0(&psbt).unwrap().unwrap_or(psbt);
                    assert_eq!(transaction.to_bytes(), psbt);
                }
                Err(refused) => assert_eq!(*expected, Err(refused.tag), "{title}: {refused}"),
            }
        }
    }
}

#[test]
fn what_bip_174s_roles_hand_on_is_refused_once_it_is_signed_or_has_scripts() {
    let all = vectors!("psbt-bips.json");
    let tags: Vec<Result<(), &str>> = all["bip174"].as_array().unwrap()[30..]
        .iter()
        .map(|case| parsed(case).map(|_| ()).map_err(|refused| refused.tag))
        .collect();
    assert_eq!(
        tags,
        [
            // A signer must fail these four.
            Err("transaction.bitcoin.script"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.signed"),
            // Created; updated twice with scripts; signed three times; finalised; unknown fields.
            Ok(()),
            Err("transaction.bitcoin.script"),
            Err("transaction.bitcoin.script"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.signed"),
            Err("transaction.bitcoin.field"),
            Err("transaction.bitcoin.field"),
            Err("transaction.bitcoin.field"),
        ]
    );
}

#[test]
fn the_locktime_of_version_2_is_what_bip_370_determines() {
    let all = vectors!("psbt-bips.json");
    for (expected, count) in [(0, 2), (10_000, 4), (1_657_048_460, 3)] {
        let section = format!("The timelock for the following PSBTs should be computed to be {expected}:");
        let found = cases(&all, "bip370", &section);
        assert_eq!(found.len(), count);
        for case in found {
            assert_eq!(parsed(case).unwrap().lock_time(), expected, "{}", case["title"]);
        }
    }
    for case in cases(&all, "bip370", "The timelock for the following PSBTs cannot be computed") {
        assert_eq!(parsed(case).unwrap_err().tag, "transaction.bitcoin.locktime");
    }
}

#[test]
fn the_tweak_is_that_of_bip_341s_wallet_vectors() {
    let all = vectors!("bip-0341-wallet.json");
    let mut checked = 0;
    for case in all["scriptPubKey"].as_array().unwrap() {
        if case["given"]["scriptTree"].is_null() {
            let internal = [&[2], unhex(&case["given"]["internalPubkey"]).as_slice()].concat();
            let PublicKey::Secp256k1(key) = PublicKey::from_bytes(Curve::Secp256k1, &internal).unwrap()
            else {
                unreachable!()
            };
            assert_eq!(tap_tweak(&key).as_slice(), unhex(&case["intermediary"]["tweak"]));
            assert_eq!(output_key(&key).unwrap().as_slice(), unhex(&case["intermediary"]["tweakedPubkey"]));
            let address = cofferdam_chains::bitcoin::p2tr(&key, BitcoinNetwork::Mainnet).unwrap();
            assert_eq!(address, case["expected"]["bip350Address"]);
            checked += 1;
        }
    }
    assert_eq!(checked, 1);
}

/// A PSBT of another library: what we make of it, and of that library's own signatures.
fn check_foreign(case: &Value) {
    let name = case["name"].as_str().unwrap();
    let bytes = unhex(&case["psbt"]);
    let keys: Vec<PublicKey> = case["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| PublicKey::from_bytes(Curve::Secp256k1, &unhex(key)).unwrap())
        .collect();
    let transaction = read(&bytes).unwrap_or_else(|refused| panic!("{name}: {refused}"));
    let version_0 = to_version_0(&bytes).unwrap();
    assert_eq!(version_0.is_some(), name.starts_with("version 2"), "{name}");
    assert_eq!(transaction.to_bytes(), version_0.unwrap_or(bytes), "{name}");
    assert_eq!(transaction.txid(), case["txid"], "{name}");
    if let Some(tag) = case["refused"].as_str() {
        let refused = transaction.sweep(&keys, BitcoinNetwork::Mainnet).unwrap_err();
        assert_eq!(refused.tag, tag, "{name}: {refused}");
        return;
    }
    let sweep = transaction
        .sweep(&keys, BitcoinNetwork::Mainnet)
        .unwrap_or_else(|refused| panic!("{name}: {refused}"));

    let summary = sweep.summary();
    assert_eq!((summary.kind, summary.network.as_str()), ("bitcoin.sweep", "bitcoin:mainnet"));
    assert_eq!(summary.fee.get(), u128::from(case["fee"].as_u64().unwrap()), "{name}");
    for (transfer, output) in summary.transfers.iter().zip(case["outputs"].as_array().unwrap()) {
        assert_eq!(transfer.asset, "native");
        assert_eq!(transfer.destination, output[0]);
        assert_eq!(transfer.amount.get(), u128::from(output[1].as_u64().unwrap()));
    }
    assert_eq!(summary.transfers.len(), case["outputs"].as_array().unwrap().len());
    let inputs = case["inputs"].as_array().unwrap();
    for (position, source) in summary.sources.iter().enumerate() {
        let own = inputs.iter().filter(|input| input[0] == position);
        let sum: u64 = own.map(|input| input[2].as_u64().unwrap()).sum();
        assert_eq!((source.key, source.amount.get()), (position, u128::from(sum)), "{name}");
    }
    assert_eq!(summary.sources.len(), keys.len());

    // The other library's signatures verify for our digests, and our assembly is its transaction.
    let to_sign = sweep.signing_inputs();
    assert_eq!(to_sign.len(), inputs.len());
    let signatures: Vec<Vec<u8>> = to_sign
        .iter()
        .zip(case["signatures"].as_array().unwrap())
        .map(|(input, signature)| match &input.message {
            ToSign::Ecdsa(digest) => recoverable(&keys[input.key], digest, &unhex(signature)),
            _ => unhex(signature)[..64].to_vec(),
        })
        .collect();
    let signed = sweep.assemble(&signatures).unwrap_or_else(|refused| panic!("{name}: {refused}"));
    assert_eq!(HEXLOWER.encode(&signed.bytes), case["transaction"], "{name}");
    assert_eq!(signed.id, case["txid"], "{name}");
}

/// r ‖ s ‖ recovery id, from DER and a sighash type.
fn recoverable(key: &PublicKey, digest: &[u8; 32], der: &[u8]) -> Vec<u8> {
    let PublicKey::Secp256k1(key) = key else { unreachable!() };
    let (sighash, der) = der.split_last().unwrap();
    assert_eq!(*sighash, 1);
    let signature = k256::ecdsa::Signature::from_der(der).unwrap();
    let recovery =
        k256::ecdsa::RecoveryId::trial_recovery_from_prehash(&key.into(), digest, &signature).unwrap();
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(recovery.to_byte());
    bytes
}

#[test]
fn embits_psbts_of_both_versions_are_its_own_transactions_when_signed() {
    let all = vectors!("psbt-embit.json");
    assert_eq!(all.as_array().unwrap().len(), 13);
    all.as_array().unwrap().iter().for_each(check_foreign);
}

#[test]
fn embits_psbts_of_version_2_become_its_own_of_version_0() {
    let all = vectors!("psbt-embit.json");
    let named = |name: &str| {
        let found = all.as_array().unwrap().iter().find(|case| case["name"] == name);
        found.map(|case| unhex(&case["psbt"]))
    };
    let mut converted = 0;
    for case in all.as_array().unwrap() {
        let psbt = unhex(&case["psbt"]);
        let name = case["name"].as_str().unwrap();
        match name.strip_prefix("version 2, ").and_then(|rest| named(&format!("version 0, {rest}"))) {
            Some(version_0) => {
                assert_eq!(to_version_0(&psbt).unwrap(), Some(version_0), "{name}");
                converted += 1;
            }
            None if name.starts_with("version 0") => assert_eq!(to_version_0(&psbt).unwrap(), None),
            None => assert!(to_version_0(&psbt).unwrap().is_some(), "{name}"),
        }
    }
    assert_eq!(converted, 6);
}

#[test]
fn bitcoinjs_psbts_are_its_own_transactions_when_signed() {
    let all = vectors!("psbt-bitcoinjs.json");
    assert_eq!(all.as_array().unwrap().len(), 6);
    all.as_array().unwrap().iter().for_each(check_foreign);
}
