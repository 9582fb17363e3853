//! The main job in separate processes over real sockets: addresses asked for over HTTP, made in an
//! enclave, sealed under a data key that KMS gave to its PCRs, stored, and proven offline.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{collections::BTreeSet, path::Path, time::Duration};

use attestation::verify::{Expectations, Freshness, Match, verify};
use cofferdam_tests::{config::Config, stack::Stack};
use protocol::{SessionBinding, SessionKey};
use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha384};

const CHAINS: [&str; 4] = ["evm", "bitcoin", "solana", "tron"];

fn stored(stack: &Stack) -> usize {
    fn count(folder: &Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        let entries = entries.map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&stack.dir().join("store/keys"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_made_once_proven_offline_and_the_same_after_both_were_killed() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let mut made = Vec::new();
    for user in ["alice", "bob@example.com", "ユーザー"] {
        for chain in CHAINS {
            let request = json!({"user": user, "chain": chain, "label": "first"});
            let (status, address) = node.post("/v1/addresses", &request).await;
            assert_eq!(status, StatusCode::CREATED, "{address}");
            let claims = stack.verify_address(&node, &address).await;
            assert_eq!(claims.chain.as_str(), chain);
            let (status, again) = node.post("/v1/addresses", &json!({"user": user, "chain": chain})).await;
            assert_eq!((status, &again), (StatusCode::OK, &address));
            made.push(address);
        }
    }
    let distinct: BTreeSet<&str> = made.iter().map(|a| a["address"].as_str().unwrap()).collect();
    // An EVM and a Tron key differ, and no two users share one.
    assert_eq!(distinct.len(), 12);
    assert_eq!(stored(&stack), 12);

    let node = node.crash_and_restart(&stack).await;
    for address in &made {
        let request = json!({"user": address["user"], "chain": address["chain"]});
        assert_eq!(node.post("/v1/addresses", &request).await, (StatusCode::OK, address.clone()));
        let path = format!("/v1/keys/{}", address["key_id"].as_str().unwrap());
        assert_eq!(node.get(&path).await, (StatusCode::OK, address.clone()));
        let (status, opened) = node.post(&format!("{path}/check"), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "the new enclave opens it: {opened}");
        // The certificate is the first enclave's, and still proves what it proved.
        stack.verify_address(&node, address).await;
    }
    assert_eq!(stack.calls("GenerateDataKey").await, 1);
    assert_eq!(stack.calls("Decrypt").await, 2, "when it was made, and by the new enclave");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_in_order_and_a_users_keys_are_listed_page_by_page() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let wanted: Vec<Value> =
        (0..1000).map(|n| json!({"user": "alice", "chain": CHAINS[n % 4], "index": n / 4})).collect();
    let (status, answer) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let made = answer["addresses"].as_array().unwrap();
    assert_eq!(made.len(), 1000);
    for (asked, made) in wanted.iter().zip(made) {
        assert_eq!((&asked["chain"], &asked["index"]), (&made["chain"], &made["index"]));
        assert_eq!(made["created"], true);
    }
    let (_, again) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
    for (first, second) in made.iter().zip(again["addresses"].as_array().unwrap()) {
        assert_eq!(
            (second["created"].as_bool(), &second["certificate"]),
            (Some(false), &first["certificate"])
        );
    }
    assert_eq!(stack.calls("GenerateDataKey").await, 1, "a thousand records under one data key");
    assert_eq!(stack.calls("Decrypt").await, 1, "which was opened once");

    let (mut cursor, mut listed) = (String::new(), BTreeSet::new());
    loop {
        let (status, page) = node.get(&format!("/v1/keys?user=alice&limit=300{cursor}")).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        for key in page["keys"].as_array().unwrap() {
            assert!(listed.insert(key["key_id"].as_str().unwrap().to_owned()), "no key twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let expected: BTreeSet<String> = made.iter().map(|a| a["key_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, expected);
    let (_, nobody) = node.get("/v1/keys?user=nobody").await;
    assert_eq!(nobody["keys"], json!([]));
}

/// More often than the enclave remembers authorised requests: of these, nothing is left to be done.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_exists_is_answered_as_often_as_it_is_asked() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let body = json!({"user": "alice", "chain": "evm"});
    let (status, address) = node.post("/v1/addresses", &body).await;
    assert_eq!(status, StatusCode::CREATED);
    for _ in 0..1100 {
        assert_eq!(node.post("/v1/addresses", &body).await, (StatusCode::OK, address.clone()));
    }
    let (status, _) = node.post("/v1/addresses", &json!({"user": "bob", "chain": "evm"})).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_document_proves_who_answers_now() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let nonce = b"a challenge that nobody could foresee";
    let path = format!("/v1/attestation?nonce={}", data_encoding::HEXLOWER.encode(nonce));
    let document = node.get_bytes(&path).await;
    let (root, pcrs) = (stack.root(), stack.expected_pcrs());
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let doc = verify(
        &document,
        &Expectations {
            root: &root,
            pcrs: &pcrs,
            freshness: Freshness::Live {
                now,
                max_age: Duration::from_secs(60),
                skew: Duration::from_secs(1),
            },
            nonce: Match::Exactly(nonce),
            public_key: Match::Anything,
            user_data: Match::Anything,
        },
    )
    .unwrap();
    SessionKey::from_spki(doc.public_key().unwrap()).unwrap();
    let binding = SessionBinding::decode(doc.user_data().unwrap()).unwrap();
    let config = std::fs::read(node.folder.join("enclave.toml")).unwrap();
    assert_eq!(binding.config.as_slice(), Sha384::digest(config).as_slice());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_its_field_and_stores_nothing() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let long = "x".repeat(129);
    let cases = [
        (json!({"chain": "evm"}), "user"),
        (json!({"user": "", "chain": "evm"}), "user"),
        (json!({"user": long, "chain": "evm"}), "user"),
        (json!({"user": "a\u{0}b", "chain": "evm"}), "user"),
        (json!({"user": "a\nb", "chain": "evm"}), "user"),
        (json!({"user": 7, "chain": "evm"}), "user"),
        (json!({"user": "alice"}), "chain"),
        (json!({"user": "alice", "chain": "dogecoin"}), "chain"),
        (json!({"user": "alice", "chain": "evm", "index": -1}), "index"),
        (json!({"user": "alice", "chain": "evm", "index": 1.5}), "index"),
        (json!({"user": "alice", "chain": "evm", "index": 2147483648u64}), "index"),
        (json!({"user": "alice", "chain": "evm", "index": "0"}), "index"),
        (json!({"user": "alice", "chain": "evm", "purpose": "theft"}), "purpose"),
        (json!({"user": "alice", "chain": "evm", "label": ""}), "label"),
        (json!({"user": "alice", "chain": "evm", "extra": 1}), "extra"),
    ];
    for (body, field) in cases {
        let (status, problem) = node.post("/v1/addresses", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {problem}");
        assert!(problem["field"].as_str().unwrap().contains(field), "{body}: {problem}");
        assert!(problem["code"].is_string() && problem["request_id"].is_string(), "{problem}");
        let (status, problem) = node.post("/v1/addresses/batch", &json!({"addresses": [body]})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "in a batch: {body}: {problem}");
        assert!(problem["field"].as_str().unwrap().contains(field), "in a batch: {body}: {problem}");
    }
    for body in ["", "{", "[]", "null", "{\"user\":\"a\",\"user\":\"b\",\"chain\":\"evm\"}"] {
        let (status, problem) = node.post_raw("/v1/addresses", body.into()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body}: {problem}");
    }
    for length in [17 << 10, 800 << 10] {
        let (status, _) =
            node.post_raw("/v1/addresses", format!("{{\"user\":\"{}\"}}", "x".repeat(length))).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    }
    for addresses in [json!([]), json!(vec![json!({"user": "a", "chain": "evm"}); 1001])] {
        let (status, problem) = node.post("/v1/addresses/batch", &json!({ "addresses": addresses })).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
    }
    for path in ["/v1/keys/nonsense", "/v1/attestation?nonce=zz", "/v1/attestation", "/v1/keys?user="] {
        assert_eq!(node.get(path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    let unknown = format!("/v1/keys/key_{}", "a".repeat(52));
    assert_eq!(node.get(&unknown).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stored(&stack), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_is_refused_by_kms_until_the_policy_names_it() {
    let stack = Stack::on_files();
    let other = Config { limits: "data_key_age_seconds = 60".into(), ..stack.config.clone() };
    let node = stack.node_with("other", &other).ready().await;
    let request = json!({"user": "alice", "chain": "evm"});
    let (status, problem) = node.post("/v1/addresses", &request).await;
    assert!(status.is_server_error() || status == StatusCode::FORBIDDEN, "{status}: {problem}");
    assert_eq!(problem["code"], "kms.denied");
    assert_eq!(stored(&stack), 0);
    stack.pin(&[stack.pcrs.clone(), stack.measure(&other)]);
    let (status, address) = node.post("/v1/addresses", &request).await;
    assert_eq!(status, StatusCode::CREATED, "{address}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_the_host_swapped_or_changed_is_refused_and_the_rest_goes_on() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let mut files = Vec::new();
    for user in ["alice", "mallory"] {
        let (_, address) = node.post("/v1/addresses", &json!({"user": user, "chain": "evm"})).await;
        let id: protocol::KeyId = address["key_id"].as_str().unwrap().parse().unwrap();
        files.push((id, stack.dir().join("store").join(id.object_path())));
    }
    let (alice, original) = (&files[0], std::fs::read(&files[0].1).unwrap());
    let check = format!("/v1/keys/{}/check", alice.0);
    let swapped = std::fs::read(&files[1].1).unwrap();
    let mut flipped = original.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    let mut later = original.clone();
    later[1] = 2;
    for (what, bytes) in
        [("swapped", swapped), ("flipped", flipped), ("later", later), ("cut", original[..99].to_vec())]
    {
        std::fs::write(&alice.1, bytes).unwrap();
        let (status, problem) = node.post(&check, &json!({})).await;
        assert!(!status.is_success(), "{what}: {problem}");
        assert!(problem["code"].as_str().unwrap().starts_with("record."), "{what}: {problem}");
        let (status, _) = node.post_raw(&format!("/v1/keys/{}/check", files[1].0), String::new()).await;
        assert_eq!(status, StatusCode::OK, "{what}: the other key goes on");
    }
    std::fs::write(&alice.1, original).unwrap();
    assert_eq!(node.post(&check, &json!({})).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_end_well_when_they_are_told_to() {
    let stack = Stack::on_files();
    let mut node = stack.node("node").ready().await;
    node.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    assert!(node.parent.take().unwrap().terminate(), "the parent drains");
    assert!(node.enclave.take().unwrap().terminate(), "the enclave drains");
}
