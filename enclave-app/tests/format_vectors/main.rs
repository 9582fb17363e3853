//! The formats of `docs/formats.md` as an independent program writes them
//! (`tests/vectors/formats.py`): ours are the same bytes, and what it calls wrong is refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod indefinite;
mod messages;

use attestation::cbor;
use chains::{BitcoinNetwork, Chain, PublicKey};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use enclave_app::{Secret, keys::PrivateKey, sealing};
use protocol::MeasuredConfig;
use protocol::{
    AddressClaims, Deployment, Index, KeyId, KeyPath, Label, OrderId, PolicyRef, PossessionClaims, Purpose,
    Record, RecordHeader, SessionBinding, SessionKey, UserRef, certificate::Issuer, jws::Claims,
    log::ContentHash,
};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};
use wire::{Refusal, RefusalCode};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/formats.json")).unwrap()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(text(value).as_bytes()).unwrap()
}

fn array<const N: usize>(value: &Value) -> ByteArray<N> {
    ByteArray::new(bytes(value).try_into().unwrap())
}

fn name<T: FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    text(value).parse().unwrap()
}

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    HEXLOWER.encode(bytes.as_ref()).into()
}

fn path(case: &Value) -> KeyPath {
    KeyPath {
        user: name(&case["user"]),
        chain: name(&case["chain"]),
        purpose: name(&case["purpose"]),
        index: Index::try_from(case["index"].as_u64().unwrap()).unwrap(),
    }
}

#[test]
fn names_are_taken_and_refused_alike() {
    let vectors = vectors();
    let check = |kind: &str, is_valid: &dyn Fn(&Value) -> bool| {
        let cases = &vectors["names"][kind];
        assert!(list(&cases["valid"]).len() + list(&cases["invalid"]).len() > 3);
        list(&cases["valid"]).iter().for_each(|case| assert!(is_valid(case), "{kind} {case}"));
        list(&cases["invalid"]).iter().for_each(|case| assert!(!is_valid(case), "{kind} {case}"));
    };
    check("user", &|case| text(case).parse::<UserRef>().is_ok());
    check("user", &|case| text(case).parse::<Label>().is_ok());
    check("deployment", &|case| text(case).parse::<Deployment>().is_ok());
    check("chain", &|case| text(case).parse::<Chain>().is_ok());
    check("purpose", &|case| text(case).parse::<Purpose>().is_ok());
    check("key_id", &|case| text(case).parse::<KeyId>().is_ok());
    check("order_id", &|case| text(case).parse::<OrderId>().is_ok());
    check("index", &|case| Index::try_from(case.as_u64().unwrap()).is_ok());
}

#[test]
fn key_ids_are_the_hashes_that_the_format_says() {
    let vectors = vectors();
    for case in list(&vectors["key_ids"]) {
        let id = KeyId::derive(&name(&case["deployment"]), &path(case));
        assert_eq!(hex(id.as_bytes()), case["sha256"]);
        assert_eq!(id.to_string(), case["key_id"]);
        assert_eq!(id.object_path(), case["record_path"]);
        let kms_key = text(&vectors["records"][0]["kms_key"]);
        assert_eq!(id.rewrapped_path(kms_key), case["rewrapped_path"]);
    }
}

#[test]
fn order_ids_are_the_hashes_of_payloads() {
    for case in list(&vectors()["order_ids"]) {
        let id = OrderId::from_payload(&bytes(&case["payload"]));
        assert_eq!(id.to_string(), case["order_id"]);
        assert_eq!(name::<OrderId>(&case["order_id"]), id);
    }
}

#[test]
fn cbor_of_another_form_is_refused() {
    #[derive(Deserialize)]
    struct Anything;
    for case in list(&vectors()["cbor_refused"]) {
        let refusal = cbor::decode::<Anything>(&bytes(&case["cbor"]), 1024).err().unwrap();
        assert!(!matches!(refusal, cbor::CborError::Shape { .. }), "{}: {refusal}", case["why"]);
    }
}

#[test]
fn the_session_key_and_its_bindings_are_the_same_bytes() {
    let session = &vectors()["session"];
    let key = SigningKey::from_bytes(&array(&session["seed"]));
    let public = SessionKey::from(key.verifying_key());
    assert_eq!(hex(public.to_spki()), session["spki"]);
    assert_eq!(SessionKey::from_spki(&bytes(&session["spki"])), Ok(public));
    assert_eq!(public.thumbprint(), session["thumbprint"]);
    for case in list(&session["bindings"]) {
        let policy = case["policy"].as_object().map(|policy| PolicyRef {
            version: policy["version"].as_u64().unwrap(),
            sha256: array(&policy["sha256"]),
        });
        let binding = SessionBinding { v: 1, config: array(&case["config"]), policy };
        assert_eq!(hex(binding.encode().unwrap()), case["cbor"]);
        assert_eq!(SessionBinding::decode(&bytes(&case["cbor"])).unwrap(), binding);
    }
}

/// Reads a case of `records` back into what the enclave starts from.
fn header(case: &Value) -> RecordHeader {
    let path = path(case);
    RecordHeader {
        deployment: name(&case["deployment"]),
        key_id: name(&case["key_id"]),
        user: path.user,
        chain: path.chain,
        purpose: path.purpose,
        index: path.index,
        label: case.get("label").map(name),
        public_key: ByteBuf::from(bytes(&case["public_key"])),
        address: text(&case["address"]).into(),
        taproot_address: case.get("taproot_address").map(|address| text(address).into()),
        created: case["created"].as_u64().unwrap(),
        kms_key: text(&case["kms_key"]).into(),
        data_key: ByteBuf::from(bytes(&case["wrapped_data_key"])),
        nonce: array(&case["nonce"]),
    }
}

fn private_key(case: &Value) -> (PrivateKey, PublicKey) {
    let secret = Secret::copy_of(&bytes(&case["secret"])).unwrap();
    PrivateKey::from_secret(path(case).chain.curve(), secret).unwrap()
}

#[test]
fn certificates_are_the_same_text_and_verify() {
    let vectors = vectors();
    let key = SigningKey::from_bytes(&array(&vectors["session"]["seed"]));
    for case in list(&vectors["records"]) {
        let claims: AddressClaims = serde_json::from_str(text(&case["certificate_claims"])).unwrap();
        assert_eq!(serde_json::to_string(&claims).unwrap(), case["certificate_claims"]);
        assert_eq!(Issuer::new(&key).unwrap().issue(&claims).unwrap(), case["certificate"]);
        let verified = verifier::verify_signature::<AddressClaims>(
            text(&case["certificate"]),
            &key.verifying_key().into(),
        );
        assert_eq!(verified.unwrap(), claims);
        assert_eq!(claims.path(), path(case));
        assert_eq!(claims.public_key, case["public_key"]);
        assert_eq!(claims.iat, case["created"].as_u64().unwrap() / 1000);
    }
}

#[test]
fn statements_of_checks_are_the_same_text_and_verify_for_their_request_alone() {
    let vectors = vectors();
    let key = SigningKey::from_bytes(&array(&vectors["session"]["seed"]));
    let session = SessionKey::from(key.verifying_key());
    let request: ContentHash = name(&vectors["check_request"]);
    let verify =
        |statement: &Value| verifier::possession::verify_signature(text(statement), &session, &request);
    assert_eq!(list(&vectors["checks"]).len(), list(&vectors["records"]).len());
    for (case, record) in list(&vectors["checks"]).iter().zip(list(&vectors["records"])) {
        let theirs: PossessionClaims = serde_json::from_str(text(&case["claims"])).unwrap();
        let claims = PossessionClaims::from_record(
            &header(record),
            &bytes(&record["record"]),
            request,
            theirs.stated(),
        );
        assert_eq!(serde_json::to_string(&claims).unwrap(), case["claims"]);
        assert_eq!(Issuer::new(&key).unwrap().issue(&claims).unwrap(), case["statement"]);
        assert_eq!(verify(&case["statement"]), Ok(claims));
    }
    assert!(list(&vectors["checks_refused"]).len() > 10);
    for case in list(&vectors["checks_refused"]) {
        assert!(verify(&case["statement"]).is_err(), "{}", case["why"]);
    }
}

#[test]
fn records_are_sealed_to_the_same_bytes_and_open() {
    for case in list(&vectors()["records"]) {
        let (key, public_key) = private_key(case);
        let network: BitcoinNetwork = serde_json::from_value(case["network"].clone()).unwrap();
        let derived = chains::addresses(path(case).chain, &public_key, network).unwrap();
        assert_eq!(derived.address, case["address"]);
        assert_eq!(derived.taproot.as_deref(), case.get("taproot_address").map(text));

        let data_key = Secret::copy_of(&bytes(&case["data_key"])).unwrap();
        let certificate = text(&case["certificate"]);
        let record = sealing::seal(header(case), certificate.into(), &key, &data_key).unwrap();
        assert_eq!(hex(record.aad().unwrap()), case["aad"]);
        assert_eq!(hex(record.ciphertext()), case["ciphertext"]);
        assert_eq!(hex(record.encode().unwrap()), case["record"]);

        let stored = Record::parse(&bytes(&case["record"])).unwrap();
        assert_eq!(stored, record);
        let (_, opened) = sealing::open(&stored, &data_key).unwrap();
        assert_eq!(opened, public_key);
    }
}

#[test]
fn records_that_were_changed_are_refused_with_their_code() {
    let vectors = vectors();
    let data_key = Secret::copy_of(&bytes(&vectors["records"][0]["data_key"])).unwrap();
    for case in list(&vectors["records_refused"]) {
        let code = match Record::parse(&bytes(&case["record"])) {
            Err(error) => Refusal::from(error).code,
            Ok(record) => {
                assert!(sealing::open(&record, &data_key).is_err(), "{}", case["why"]);
                RefusalCode::RecordTampered
            }
        };
        assert_eq!(code.as_str(), case["code"], "{}", case["why"]);
    }
}

#[test]
fn the_refusal_codes_are_these_and_no_others() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Coded {
        code: RefusalCode,
    }
    let vectors = vectors();
    for code in list(&vectors["refusal_codes"]) {
        let bytes = cbor::encode(&BTreeMap::from([("code", text(code))])).unwrap();
        let coded: Coded = cbor::decode_deterministic(&bytes, 100).unwrap();
        assert_eq!(coded.code.as_str(), code);
    }
    // A new code does not compile here until the vectors and the page know it.
    let known = |code| match code {
        RefusalCode::RequestMalformed
        | RefusalCode::NotReady
        | RefusalCode::Draining
        | RefusalCode::Overloaded
        | RefusalCode::Nsm
        | RefusalCode::Internal
        | RefusalCode::KmsDenied
        | RefusalCode::KmsUnavailable
        | RefusalCode::KmsAnswer
        | RefusalCode::RecordMalformed
        | RefusalCode::RecordVersion
        | RefusalCode::RecordIdentity
        | RefusalCode::RecordKmsKey
        | RefusalCode::RecordExpected
        | RefusalCode::RecordTampered
        | RefusalCode::Unauthenticated
        | RefusalCode::Forbidden
        | RefusalCode::PolicyInactive
        | RefusalCode::PolicyRefused
        | RefusalCode::Denied
        | RefusalCode::Frozen
        | RefusalCode::OrderRefused
        | RefusalCode::TransactionRefused
        | RefusalCode::LogUnavailable => 24,
    };
    let codes: BTreeSet<&str> = list(&vectors["refusal_codes"]).iter().map(text).collect();
    assert_eq!(codes.len(), known(RefusalCode::Internal));
}

#[test]
fn the_measured_configuration_is_read_hashed_and_bounded() {
    let configuration = &vectors()["configuration"];
    let file = text(&configuration["text"]);
    let config = MeasuredConfig::parse(file.as_bytes()).unwrap();
    assert_eq!(hex(config.sha384()), configuration["sha384"]);
    assert_eq!(config.deployment().as_str(), "laptop");
    assert_eq!((config.operators().policy.threshold, config.operators().policy.keys.len()), (2, 3));
    let limited =
        |line: &Value| MeasuredConfig::parse(format!("{file}[limits]\n{}\n", text(line)).as_bytes());
    for line in list(&configuration["limits_accepted"]) {
        assert!(limited(line).is_ok(), "{line}");
    }
    for line in list(&configuration["limits_refused"]) {
        assert!(limited(line).is_err(), "{line}");
    }
}
