//! What tronpy and TronWeb make is read, means what they were asked for, and is signed as they do.

use cofferdam_chains::{
    Amount, PublicKey, ToSign,
    tron::{Transaction, TronAddress},
};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use k256::ecdsa::SigningKey;
use prost::Message;
use serde_json::Value;

use crate::messages::SignedTransaction;

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap()
}

fn bytes(case: &Value, member: &str) -> Vec<u8> {
    // TronWeb writes the last byte of a signature in capitals.
    HEXLOWER_PERMISSIVE.decode(text(case, member).as_bytes()).unwrap()
}

fn tronpy() -> Vec<Value> {
    serde_json::from_str(include_str!("../../../tests/vectors/tron/tronpy.json")).unwrap()
}

fn tronweb(member: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../../tests/vectors/tron/tronweb.json")).unwrap();
    file[member].as_array().unwrap().clone()
}

fn signer(case: &Value) -> SigningKey {
    SigningKey::from_slice(&bytes(case, "secret")).unwrap()
}

fn key(case: &Value) -> PublicKey {
    PublicKey::Secp256k1((*signer(case).verifying_key()).into())
}

fn sign(signer: &SigningKey, digest: &[u8; 32]) -> Vec<u8> {
    let (signature, recovery) = signer.sign_prehash_recoverable(digest);
    [&signature.to_bytes()[..], &[recovery.to_byte()]].concat()
}

#[test]
fn sweeps_of_tronpy_and_tronweb_are_read_and_signed_as_they_do() {
    let (tronpy, tronweb) = (tronpy(), tronweb("sweeps"));
    assert_eq!((tronpy.len(), tronweb.len()), (32, 16));
    for case in tronpy.iter().chain(&tronweb) {
        let raw = bytes(case, "raw");
        let transaction = Transaction::parse(&raw).unwrap();
        assert_eq!(transaction.to_bytes(), raw);
        let sweep = transaction.sweep(&[key(case)]).unwrap();

        assert_eq!(sweep.owner().to_string(), case["owner"]);
        assert_eq!(sweep.expiration(), case["expiration"].as_u64().unwrap());
        assert_eq!(sweep.timestamp(), case["timestamp"].as_u64());
        let summary = serde_json::to_value(sweep.summary()).unwrap();
        let asset = case["contract"].as_str().unwrap_or("native");
        assert_eq!((&summary["kind"], &summary["network"]), (&case["kind"], &Value::from("tron")));
        let transfers = serde_json::json!([
            {"asset": asset, "amount": case["amount"], "destination": case["destination"]}
        ]);
        assert_eq!(summary["transfers"], transfers);
        assert_eq!(
            summary["sources"],
            serde_json::json!([{"key": 0, "asset": asset, "amount": case["amount"]}])
        );

        let inputs = sweep.signing_inputs();
        let [input] = inputs.as_slice() else { panic!("one signature") };
        let ToSign::Ecdsa(digest) = input.message else { panic!("ECDSA") };
        assert_eq!((input.key, HEXLOWER.encode(&digest).as_str()), (0, text(case, "txid")));
        let signature = sign(&signer(case), &digest);
        // TronWeb writes 27 and 28 where tronpy and java-tron write 0 and 1.
        let mut theirs = bytes(case, "signature");
        theirs[64] %= 27;
        assert_eq!(signature, theirs);
        let signed = sweep.assemble(&[signature]).unwrap();
        assert_eq!(HEXLOWER.encode(&signed.bytes), case["signed"]);
        assert_eq!(signed.id, case["txid"]);
    }
}

#[test]
fn the_fee_is_the_fee_limit_and_the_bandwidth_of_what_a_node_receives() {
    for case in tronpy().iter().chain(&tronweb("sweeps")) {
        let sweep = Transaction::parse(&bytes(case, "raw")).unwrap().sweep(&[key(case)]).unwrap();
        let bandwidth = (bytes(case, "signed").len() as u64 + 64) * 1_000;
        let expected = match case["fee_limit"].as_u64().unwrap() {
            0 => 1_100_000,
            fee_limit => fee_limit + bandwidth,
        };
        assert_eq!(sweep.fee(), Amount::from(expected));
        assert_eq!(sweep.summary().fee, sweep.fee());
        assert!(bandwidth < 500_000, "less than a new account costs");
    }
}

#[test]
fn another_key_of_the_request_does_not_sign() {
    let cases = tronpy();
    for (case, other) in cases.iter().zip(cases.iter().skip(1)) {
        let transaction = Transaction::parse(&bytes(case, "raw")).unwrap();
        let refused = transaction.sweep(&[key(other)]).unwrap_err();
        assert_eq!((refused.tag, refused.found), ("transaction.tron.owner", text(case, "owner").into()));
        let sweep = transaction.sweep(&[key(case)]).unwrap();
        let refused = sweep.assemble(&[bytes(other, "signature")]).unwrap_err();
        assert_eq!(refused.tag, "transaction.tron.signature");
    }
}

#[test]
fn a_signed_transaction_is_no_raw_data() {
    for case in tronpy() {
        let refused = Transaction::parse(&bytes(&case, "signed")).unwrap_err();
        assert!(refused.tag.starts_with("transaction.tron."), "{refused}");
        let signed = SignedTransaction::decode(bytes(&case, "signed").as_slice()).unwrap();
        assert_eq!(signed.raw_data.unwrap().encode_to_vec(), bytes(&case, "raw"));
    }
}

#[test]
fn everything_else_that_tronweb_makes_is_refused_by_name() {
    let cases = tronweb("refused");
    assert_eq!(cases.len(), 39);
    for case in cases {
        let (tag, found) = match text(&case, "name") {
            "approve" => ("call", "approve(address,uint256)"),
            "transferFrom" => ("call", "transferFrom(address,address,uint256)"),
            "prefixedRecipient" => ("call", "the recipient 000000000000000000000041"),
            "withCallValue" => ("call_value", "1 sun"),
            "withTokenValue" => ("call_token", "5 of token 1000001"),
            "tokenAmountFrom2To128" => ("amount", "0x000000000000000000000000000000010000"),
            "trxByPermission" => ("permission", "permission 2"),
            "tokenByPermission" => ("permission", "permission 3"),
            "memo" => ("memo", "data"),
            _ => ("type", text(&case, "contract")),
        };
        let owner: TronAddress = text(&case, "owner").parse().unwrap();
        let secret = HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest("cofferdam tronweb refused"));
        let key = key(&serde_json::json!({ "secret": secret }));
        let PublicKey::Secp256k1(point) = &key else { unreachable!() };
        assert_eq!(TronAddress::from_key(point), owner);
        let refused = Transaction::parse(&bytes(&case, "raw"))
            .and_then(|transaction| transaction.sweep(std::slice::from_ref(&key)))
            .unwrap_err();
        assert_eq!(refused.tag, format!("transaction.tron.{tag}"), "{refused}");
        assert!(refused.found.starts_with(found), "{refused}");
    }
}
