//! The list of all keys and the search by address, over enclaves and parents that share a store: who
//! may ask, and what is found when.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use cofferdam_tests::{
    authority::{AUDITOR, BACKEND, Client, DESK},
    stack::{Node, Stack, http},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

/// Asks as this client.
async fn get(node: &Node, client: &Client, target: &str) -> (StatusCode, Value) {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let headers = client.headers(&node.deployment, "GET", path, query, b"");
    let request = http()
        .get(format!("{}{target}", node.url))
        .header("signature-input", headers.signature_input)
        .header("signature", headers.signature)
        .header("content-digest", headers.content_digest);
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// The ids of a list that is complete.
fn ids(page: &Value) -> BTreeSet<String> {
    page["keys"].as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a node lists these keys.
async fn lists(node: &Node, expected: &BTreeSet<String>) {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let (status, page) = get(node, &AUDITOR, "/v1/keys?limit=1000").await;
        if status == StatusCode::OK && ids(&page) == *expected {
            return;
        }
        assert!(status == StatusCode::OK || page["code"] == "index.building", "{page}");
        assert!(Instant::now() < until, "{page}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn make(node: &Node, user: &str) -> Vec<Value> {
    let addresses: Vec<Value> =
        ["evm", "bitcoin", "solana", "tron"].map(|chain| json!({"user": user, "chain": chain})).into();
    let (status, made) = node.post("/v1/addresses/batch", &json!({ "addresses": addresses })).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    made["addresses"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_all_parents_are_found_by_who_may_and_none_is_lost_by_a_crash() {
    let stack = Stack::on_files().with_env(&[("COFFERDAM_INDEX_REFRESH", "0.5")]);
    let first = stack.node("first").ready().await;
    let second = stack.node("second").ready().await;
    let mut made = make(&first, "alice").await;
    let all = |made: &[Value]| ids(&json!({ "keys": made }));
    // What a parent made it knows at once; the other finds it.
    lists(&first, &all(&made)).await;
    lists(&second, &all(&made)).await;
    made.extend(make(&second, "bob").await);
    assert_eq!(ids(&get(&second, &AUDITOR, "/v1/keys").await.1), all(&made));
    lists(&first, &all(&made)).await;
    // Each address leads to its own key alone, whose certificate verifies.
    for key in &made {
        let addresses = [key["address"].as_str(), key["taproot_address"].as_str()];
        for address in addresses.into_iter().flatten() {
            for reader in [BACKEND, AUDITOR] {
                let (_, found) = get(&first, &reader, &format!("/v1/keys?address={address}")).await;
                let [found] = &found["keys"].as_array().unwrap()[..] else { panic!("{found}") };
                assert_eq!(found["key_id"], key["key_id"]);
                stack.verify_address(&first, found).await;
            }
        }
    }
    // The enclave decides who may: everything is for auditors, and no spelling makes it anything else.
    for (client, target) in [
        (BACKEND, "/v1/keys"),
        (BACKEND, "/v1/keys?limit=5"),
        (BACKEND, "/v1/keys?%75ser=alice"),
        (BACKEND, "/v1/keys?cursor=user"),
        (AUDITOR, "/v1/keys?user=alice"),
        (DESK, "/v1/keys"),
        (DESK, "/v1/keys?address=0x1"),
    ] {
        let (status, problem) = get(&first, &client, target).await;
        let malformed = problem["code"] == "request.invalid" && target.contains("cursor=user");
        assert!(
            malformed || (status, &problem["code"]) == (StatusCode::FORBIDDEN, &json!("auth.role")),
            "{target} {problem}"
        );
    }
    // Killed right after it answered, with its index as that left it, or without.
    let mut node = first;
    for (user, lost) in [("erin", false), ("frank", true)] {
        made.extend(make(&node, user).await);
        node.parent.take().unwrap().kill();
        if lost {
            std::fs::remove_file(node.folder.join("log/.index.redb")).unwrap();
        }
        node = node.restart_parent(&stack).await;
        lists(&node, &all(&made)).await;
    }
}
