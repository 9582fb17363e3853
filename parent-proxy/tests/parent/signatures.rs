//! `POST /v1/signatures`, `/batch` and `/explain`.

use protocol::KeyId;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal, RefusalCode, SignedTransaction};

use crate::support::{
    double::{Double, Reply},
    process::{Parent, Site},
};

const UNKNOWN: &str = "key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

async fn site() -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    (site, double, parent)
}

async fn key(parent: &Parent, chain: &str, index: u32) -> String {
    let body = json!({"user": "alice", "chain": chain, "index": index});
    parent.post("/v1/addresses", &body).await.json()["key_id"].as_str().unwrap().to_owned()
}

fn evm(key: &str) -> Value {
    json!({"chain": "evm", "keys": [key], "transaction": "0xabcd"})
}

#[tokio::test]
async fn a_transaction_is_signed_with_the_stored_record_of_its_key() {
    let (_site, double, parent) = site().await;
    for (chain, transaction, text) in [
        ("evm", "0xabcd", "0xabcd"),
        ("tron", "abcd", "abcd"),
        ("solana", "q80=", "q80="),
        ("bitcoin", "q80=", "abcd"),
    ] {
        let key = key(&parent, chain, 0).await;
        let body = json!({"chain": chain, "keys": [key], "transaction": transaction});
        let signed = parent.post("/v1/signatures", &body).await;
        let expected = json!({
            "chain": chain, "transaction": text, "id": "an id", "kind": "native", "network": "1",
            "public_keys": ["02".repeat(33)],
        });
        assert_eq!((signed.status.as_u16(), signed.json()), (200, expected));
        let explained = parent.post("/v1/signatures/explain", &body).await;
        assert_eq!(explained.body, br#"{"allowed":true,"rules":"deposits"}"#);
        assert_eq!(explained.header("content-type"), "application/json");
    }
    assert_eq!((double.count("sign"), double.count("create")), (8, 4));
}

#[tokio::test]
async fn a_bitcoin_transaction_has_many_keys_and_each_record_is_sent_once() {
    let (_site, _double, parent) = site().await;
    let mut keys = Vec::new();
    for index in 0..7 {
        keys.push(key(&parent, "bitcoin", index).await);
    }
    let wanted = |keys: &[&String]| json!({"chain": "bitcoin", "keys": keys, "transaction": "q80="});
    let batch = json!({"signatures": [
        wanted(&[&keys[3], &keys[1]]), wanted(&[&keys[1], &keys[0], &keys[6]]), wanted(&[&keys[3]]),
    ]});
    // The double asserts each record once, in the order of first mention.
    let signed = parent.post("/v1/signatures/batch", &batch).await;
    assert_eq!((signed.status.as_u16(), signed.json()["signatures"].as_array().unwrap().len()), (200, 3));
}

#[tokio::test]
async fn in_a_batch_each_is_signed_or_refused_by_itself() {
    let (_site, double, parent) = site().await;
    let key = key(&parent, "evm", 0).await;
    double.script(|operation| match operation {
        Operation::Sign { .. } => {
            let order = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq".parse().ok();
            let frozen = Refusal { order, ..Refusal::new(RefusalCode::Frozen, "not frozen was expected") };
            let denied = Refusal::new(RefusalCode::Denied, "a pinned one was expected").wrong("0xab", "0xcd");
            let signed = SignedTransaction {
                transaction: ByteBuf::from([1]),
                id: String::new(),
                kind: "k".into(),
                network: "n".into(),
                public_keys: vec![ByteBuf::from([2; 33])],
            };
            Reply::Say(Ok(Answer::Signatures(vec![
                Err(frozen),
                Ok(signed),
                Err(denied.tagged("policy.evm.destination")),
            ])))
        }
        _ => Reply::Usual,
    });
    let batch = json!({"signatures": [evm(&key), evm(&key), evm(&key)]});
    let answered = parent.post("/v1/signatures/batch", &batch).await;
    let expected = json!({"signatures": [
        {"problem": {"type": "urn:cofferdam:problem:order.frozen", "title": "It is frozen", "status": 423,
            "detail": "not frozen was expected", "code": "order.frozen", "retryable": false, "item": 0,
            "order_id": "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq"}},
        {"chain": "evm", "transaction": "0x01", "id": "", "kind": "k", "network": "n", "public_keys": ["02".repeat(33)]},
        {"problem": {"type": "urn:cofferdam:problem:policy.evm.destination",
            "title": "The policy does not allow it", "status": 403, "detail": "a pinned one was expected",
            "code": "policy.evm.destination", "retryable": false, "expected": "0xab", "found": "0xcd", "item": 2}},
    ]});
    assert_eq!((answered.status.as_u16(), answered.json()), (200, expected));
    // One transaction's refusal is the answer's problem.
    double.script(|operation| match operation {
        Operation::Sign { .. } => {
            let frozen = Refusal::new(RefusalCode::Frozen, "not frozen was expected");
            Reply::Say(Ok(Answer::Signatures(vec![Err(frozen)])))
        }
        _ => Reply::Usual,
    });
    parent.post("/v1/signatures", &evm(&key)).await.problem(423, "order.frozen");
    parent.post("/v1/signatures/batch", &batch).await.problem(502, "enclave.answer");
    parent.post("/v1/signatures/explain", &evm(&key)).await.problem(502, "enclave.answer");
}

#[tokio::test]
async fn a_key_that_is_not_there_is_named_and_nothing_is_asked() {
    let (_site, double, parent) = site().await;
    let key = key(&parent, "bitcoin", 0).await;
    for path in ["/v1/signatures", "/v1/signatures/explain"] {
        let body = json!({"chain": "bitcoin", "keys": [key, UNKNOWN], "transaction": "q80="});
        let problem = parent.post(path, &body).await.problem(404, "key.not_found");
        assert!(problem["detail"].as_str().unwrap().contains(UNKNOWN), "{problem}");
        assert_eq!((&problem["field"], problem.get("item")), (&json!("keys[1]"), None));
    }
    assert_eq!(double.count("sign"), 0);
}

/// The problems of a batch's answer, by item: all others have a result.
fn problems(answer: &Value, list: &str) -> Vec<(usize, String, String)> {
    let items = answer[list].as_array().unwrap().iter().enumerate();
    let problems = items.filter_map(|(at, item)| {
        let problem = item.get("problem")?;
        assert_eq!(problem["item"], at, "{problem}");
        let text = |member: &str| problem[member].as_str().unwrap().to_owned();
        Some((at, text("code"), text("field")))
    });
    problems.collect()
}

#[tokio::test]
async fn in_a_batch_an_unknown_or_unreadable_key_fails_its_own_item_and_no_other() {
    let (site, double, parent) = site().await;
    let mut keys = Vec::new();
    for index in 0..5 {
        keys.push(key(&parent, "bitcoin", index).await);
    }
    let file = |key: &str| site.path("store").join(key.parse::<KeyId>().unwrap().object_path());
    std::fs::write(file(&keys[1]), b"no record").unwrap();
    // A record of another key of the batch, changed: it must not be taken for that key's.
    let mut others = std::fs::read(file(&keys[0])).unwrap();
    let last = others.len() - 1;
    others[last] ^= 1;
    std::fs::write(file(&keys[2]), others).unwrap();
    std::fs::write(file(&keys[3]), vec![0; 50_000_000]).unwrap();
    let one = |keys: &[&str]| json!({"chain": "bitcoin", "keys": keys, "transaction": "q80="});
    let batch = json!({"signatures": [
        one(&[&keys[2]]), one(&[&keys[0]]), one(&[&keys[4], UNKNOWN]), one(&[&keys[1]]), one(&[&keys[4]]),
        one(&[&keys[3]]), one(&[UNKNOWN]),
    ]});
    let answer = parent.post("/v1/signatures/batch", &batch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let failed = |item: usize, code: &str, at: usize| {
        (item, code.to_owned(), format!("signatures[{item}].keys[{at}]"))
    };
    assert_eq!(
        problems(&answer, "signatures"),
        [
            failed(0, "record.identity", 0),
            failed(2, "key.not_found", 1),
            failed(3, "record.malformed", 0),
            failed(5, "record.malformed", 0),
            failed(6, "key.not_found", 0),
        ]
    );
    assert!(answer["signatures"][1]["transaction"].is_string() && answer["signatures"][4]["id"].is_string());
    assert_eq!(double.count("sign"), 1, "the enclave hears of every item");
    // The same of keys to be rewrapped, of which every one is an item.
    let all: Vec<&str> = keys.iter().map(String::as_str).chain([UNKNOWN]).collect();
    let answer = parent.post("/v1/keys/rewrap", &json!({ "keys": all })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let failed = |item: usize, code: &str| (item, code.to_owned(), format!("keys[{item}]"));
    assert_eq!(
        problems(&answer.json(), "keys"),
        [
            failed(1, "record.malformed"),
            failed(2, "record.identity"),
            failed(3, "record.malformed"),
            failed(5, "key.not_found"),
        ]
    );
    // And of addresses that are there already.
    let wanted = |index: usize| json!({"user": "alice", "chain": "bitcoin", "index": index});
    let batch = json!({"addresses": (0..6).map(wanted).collect::<Vec<_>>()});
    let answer = parent.post("/v1/addresses/batch", &batch).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let failed = |item: usize, code: &str| (item, code.to_owned(), format!("addresses[{item}]"));
    assert_eq!(
        problems(&answer, "addresses"),
        [failed(1, "record.malformed"), failed(2, "record.identity"), failed(3, "record.malformed")]
    );
    assert_eq!(
        (&answer["addresses"][0]["created"], &answer["addresses"][5]["created"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_its_content_is_not_repeated() {
    let (_site, double, parent) = site().await;
    let (key, other) = (key(&parent, "evm", 0).await, key(&parent, "evm", 1).await);
    let many: Vec<_> = (0..257).map(|_| evm(&key)).collect();
    let with = |member: &str, value: Value| {
        let mut body = evm(&key);
        body[member] = value;
        body
    };
    let expected = |what: Value| with("expected", json!([what]));
    let hex = "ab".repeat(33);
    for (body, field) in [
        (with("keys", json!([])), "keys"),
        (with("keys", json!([key, other])), "keys"),
        (with("keys", json!(["SECRET"])), "keys[0]"),
        (with("keys", json!([key.to_uppercase()])), "keys[0]"),
        (with("keys", json!([7])), "keys[0]"),
        (with("keys", json!(key)), "keys"),
        (with("keys", json!(null)), "keys"),
        (json!({"chain": "bitcoin", "keys": [key, key], "transaction": ""}), "keys[1]"),
        (with("chain", json!("SECRET")), "chain"),
        (with("transaction", json!(["SECRET"])), "transaction"),
        (with("hash", json!("SECRET")), "hash"),
        (with("previous_transactions", json!(["SECRET"])), "previous_transactions"),
        (with("previous_transactions", json!(null)), "previous_transactions"),
        (expected(json!({"key_id": "SECRET", "address": "0x"})), "expected[0].key_id"),
        (expected(json!({"key_id": other, "address": "0x"})), "expected[0].key_id"),
        (expected(json!({"key_id": key})), "expected[0].address"),
        (expected(json!({"key_id": key, "address": "SECRET-"})), "expected[0].address"),
        (expected(json!({"key_id": key, "public_key": "SECRET"})), "expected[0].public_key"),
        (expected(json!({"key_id": key, "address": "0x", "public_key": hex})), "expected[0].public_key"),
        (expected(json!({"key_id": key, "address": "0x", "more": "SECRET"})), "expected[0].more"),
        (expected(json!("SECRET")), "expected[0]"),
        (json!({"chain": "evm", "keys": [key]}), "transaction"),
        (json!({"keys": [key], "transaction": ""}), "chain"),
    ] {
        let problem = parent.post("/v1/signatures", &body).await.problem(400, "request.invalid");
        assert_eq!((&problem["field"], problem.get("item")), (&json!(field), None), "{body}");
        assert!(!problem.to_string().contains("SECRET"), "{problem}");
        let batch = json!({"signatures": [evm(&key), body]});
        let problem = parent.post("/v1/signatures/batch", &batch).await.problem(400, "request.invalid");
        let named = (&problem["field"], &problem["item"]);
        assert_eq!(named, (&json!(format!("signatures[1].{field}")), &json!(1)), "{body}");
        assert!(!problem.to_string().contains("SECRET"), "{problem}");
    }
    for (path, body, field) in [
        ("/v1/signatures", json!({"signatures": [evm(&key)]}), "chain"),
        ("/v1/signatures/batch", evm(&key), "signatures"),
        ("/v1/signatures/batch", json!({"signatures": []}), "signatures"),
        ("/v1/signatures/batch", json!({"signatures": many}), "signatures"),
        ("/v1/signatures/batch", json!({"signatures": [7]}), "signatures[0]"),
        ("/v1/signatures/explain", json!({"signatures": [evm(&key)]}), "chain"),
        ("/v1/keys/rewrap", json!({"keys": ["SECRET"]}), "keys[0]"),
        ("/v1/keys/rewrap", json!({"keys": [key, key]}), "keys[1]"),
        ("/v1/keys/rewrap", json!({}), "keys"),
        ("/v1/keys/rewrap", json!({"keys": [key], "force": "SECRET"}), "force"),
        (&format!("/v1/keys/{key}/check"), json!({"public_key": "SECRET"}), "public_key"),
        (&format!("/v1/keys/{key}/check"), json!({"address": null}), "address"),
        (&format!("/v1/keys/{key}/replace"), json!({"order": "SECRET-"}), "order"),
        (&format!("/v1/keys/{key}/replace"), json!({}), "order"),
    ] {
        let problem = parent.post(path, &body).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], field, "{path} {body}");
        assert!(!problem.to_string().contains("SECRET"), "{problem}");
    }
    parent.post_raw("/v1/signatures", "[".repeat(5000)).await.problem(400, "request.malformed");
    parent.post_raw("/v1/signatures", "[]").await.problem(400, "request.malformed");
    assert_eq!(double.count("sign"), 0);
}

#[tokio::test]
async fn what_does_not_fit_a_frame_with_its_records_is_refused() {
    let (_site, double, parent) = site().await;
    let wanted: Vec<_> = (0..300).map(|n| json!({"user": "alice", "chain": "bitcoin", "index": n})).collect();
    let made = parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await.json();
    let keys: Vec<_> =
        made["addresses"].as_array().unwrap().iter().map(|made| made["key_id"].clone()).collect();
    let batch: Vec<_> = keys
        .chunks(100)
        .map(|keys| json!({"chain": "bitcoin", "keys": keys, "transaction": "AAAA".repeat(60_000)}))
        .collect();
    let batch = json!({ "signatures": batch });
    parent.post("/v1/signatures/batch", &batch).await.problem(413, "request.too_large");
    assert_eq!(double.count("sign"), 0);
    // Each by itself fits.
    let body = json!({"chain": "bitcoin", "keys": keys[..100], "transaction": "AAAA".repeat(70_000)});
    assert_eq!(parent.post("/v1/signatures", &body).await.status, 200);
    let body = json!({"chain": "evm", "keys": [keys[0]], "transaction": "00".repeat(500_000)});
    parent.post("/v1/signatures", &body).await.problem(413, "request.too_large");
}

#[tokio::test]
async fn the_longest_body_fits_with_the_records_of_a_hundred_keys() {
    let (_site, double, parent) = site().await;
    let user = "\"".repeat(128);
    let wanted: Vec<_> =
        (0..100).map(|n| json!({"user": user, "chain": "bitcoin", "index": n, "label": user})).collect();
    let made = parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await.json();
    let keys: Vec<_> =
        made["addresses"].as_array().unwrap().iter().map(|made| made["key_id"].clone()).collect();
    let asked = json!({"chain": "bitcoin", "keys": keys, "transaction": "", "previous_transactions": ["00"]});
    let mut body = asked.to_string();
    body.push_str(&" ".repeat(736 * 1024 - body.len()));
    for path in ["/v1/signatures", "/v1/signatures/explain"] {
        assert_eq!(parent.post_raw(path, body.clone()).await.status, 200);
    }
    body.push(' ');
    parent.post_raw("/v1/signatures", body).await.problem(413, "request.too_large");
    assert_eq!(double.count("sign"), 2);
}
