//! Envelopes and order ids that `tests/vectors/policy/dsse.py` made without code of Cofferdam.

mod common;

use std::fs;

use common::vector;
use data_encoding::HEXLOWER;
use protocol::{
    dsse::{ACTIVATION_TYPE, Envelope, ORDER_TYPE, POLICY_TYPE},
    operators::{Ed25519Key, Quorum},
    order::Order,
    policy::{ActivationStatement, Policy},
};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn vectors() -> Value {
    serde_json::from_slice(&fs::read(vector("policy/dsse.json")).unwrap()).unwrap()
}

fn operators(vectors: &Value) -> Vec<Ed25519Key> {
    vectors["operators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap().parse().unwrap())
        .collect()
}

fn type_of(case: &Value) -> &'static str {
    match case["type"].as_str().unwrap() {
        "policy" => POLICY_TYPE,
        "order" => ORDER_TYPE,
        _ => ACTIVATION_TYPE,
    }
}

#[test]
fn foreign_envelopes_are_taken_or_refused_each_by_its_tag() {
    let vectors = vectors();
    let keys = operators(&vectors);
    let mut tags = std::collections::BTreeSet::new();
    for case in vectors["envelopes"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let threshold = usize::try_from(case["threshold"].as_u64().unwrap()).unwrap();
        let quorum = Quorum { threshold, keys: keys.clone() };
        let raw = case["envelope"].as_str().unwrap();
        let verified =
            Envelope::parse(raw.as_bytes(), type_of(case)).and_then(|envelope| envelope.verify(&quorum));
        let found = verified.as_ref().err().map(|error| error.tag());
        assert_eq!(found, case["verdict"].as_str(), "{name}");
        tags.extend(found);
        if let Ok(payload) = verified {
            assert_eq!(HEXLOWER.encode(&Sha256::digest(&payload)), case["sha256"], "{name}");
            if let Some(id) = case["order_id"].as_str() {
                assert_eq!(protocol::OrderId::from_payload(&payload).to_string(), id, "{name}");
            }
        }
    }
    assert_eq!(tags.len(), 6, "every tag of docs/policy.md: {tags:?}");
}

#[test]
fn foreign_orders_have_the_ids_that_python_computed() {
    for order in vectors()["orders"].as_array().unwrap() {
        let payload = order["payload"].as_str().unwrap();
        let read = Order::parse(payload.as_bytes()).unwrap();
        assert_eq!(read.id().to_string(), order["id"].as_str().unwrap(), "{payload}");
    }
}

#[test]
fn our_envelopes_are_the_bytes_that_python_made() {
    let vectors = vectors();
    // RFC 8032, section 7.1, tests 1 and 2.
    let seeds = [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    ];
    for kind in ["policy", "order", "activation"] {
        let find = |name: &str| {
            let cases = vectors["envelopes"].as_array().unwrap();
            cases.iter().find(|case| case["name"] == format!("{kind}: {name}")).unwrap().clone()
        };
        let (one, two) = (find("one signature"), find("two signatures"));
        let payload = Envelope::parse(one["envelope"].as_str().unwrap().as_bytes(), type_of(&one))
            .and_then(|envelope| envelope.payload())
            .unwrap();
        match kind {
            "policy" => drop(Policy::parse(&payload).unwrap()),
            "order" => drop(Order::parse(&payload).unwrap()),
            _ => drop(ActivationStatement::parse(&payload).unwrap()),
        }
        let mut envelope = Envelope::new(type_of(&one), &payload);
        for (seed, case) in seeds.iter().zip([&one, &two]) {
            let seed: [u8; 32] = HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
            envelope.sign(&ed25519_dalek::SigningKey::from_bytes(&seed)).unwrap();
            assert_eq!(envelope.to_json(), case["envelope"].as_str().unwrap());
        }
    }
}
