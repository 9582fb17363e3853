//! `POST /v1/signatures`, `/batch` and `/explain`.

use protocol::{Answer, Operation, Refusal, RefusalCode, SignedTransaction};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

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
    assert_eq!((double.count("sign"), double.count("authorize")), (8, 4));
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
            let denied = Refusal::new(RefusalCode::Denied, "a pinned one was expected");
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
            "detail": "not frozen was expected", "code": "order.frozen",
            "order_id": "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq"}},
        {"chain": "evm", "transaction": "0x01", "id": "", "kind": "k", "network": "n", "public_keys": ["02".repeat(33)]},
        {"problem": {"type": "urn:cofferdam:problem:policy.evm.destination",
            "title": "The policy does not allow it", "status": 403, "detail": "a pinned one was expected",
            "code": "policy.evm.destination"}},
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
    let key = key(&parent, "evm", 0).await;
    let batch = json!({"signatures": [evm(&key), evm(UNKNOWN)]});
    let problem = parent.post("/v1/signatures/batch", &batch).await.problem(404, "key.not_found");
    assert!(problem["detail"].as_str().unwrap().contains(UNKNOWN), "{problem}");
    parent.post("/v1/signatures", &evm(UNKNOWN)).await.problem(404, "key.not_found");
    assert_eq!(double.count("sign"), 0);
}

#[tokio::test]
async fn bodies_that_ask_for_no_signature_are_refused_without_their_content() {
    let (_site, double, parent) = site().await;
    let key = key(&parent, "evm", 0).await;
    let many: Vec<_> = (0..257).map(|_| evm(&key)).collect();
    for (path, body) in [
        ("/v1/signatures", json!({"chain": "evm", "keys": [], "transaction": "SECRET"})),
        ("/v1/signatures", json!({"chain": "evm", "keys": [key, key], "transaction": "SECRET"})),
        ("/v1/signatures", json!({"chain": "evm", "keys": ["SECRET"], "transaction": "0x"})),
        ("/v1/signatures", json!({"chain": "SECRET", "keys": [key], "transaction": "0x"})),
        ("/v1/signatures", json!({"chain": "evm", "keys": [key], "transaction": "0x", "hash": "SECRET"})),
        (
            "/v1/signatures",
            json!({"chain": "evm", "keys": [key], "transaction": "0x", "previous_transactions": ["SECRET"]}),
        ),
        ("/v1/signatures", json!({"signatures": [evm(&key)]})),
        ("/v1/signatures/batch", evm(&key)),
        ("/v1/signatures/batch", json!({"signatures": []})),
        ("/v1/signatures/batch", json!({"signatures": many})),
        ("/v1/signatures/explain", json!({"signatures": [evm(&key)]})),
    ] {
        let problem = parent.post(path, &body).await.problem(400, "request.malformed");
        assert!(!problem.to_string().contains("SECRET"), "{problem}");
    }
    parent.post_raw("/v1/signatures", "[".repeat(5000)).await.problem(400, "request.malformed");
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
