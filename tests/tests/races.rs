//! Many parents and enclaves on one store, all asked for the same keys at once: one address each,
//! whoever answers. On files, and on an S3 server that nobody here wrote.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};

use cofferdam_tests::{
    ministack::Ministack,
    stack::{Node, Stack},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

const NODES: usize = 3;
const ASKING: usize = 8;
const CHAINS: [&str; 4] = ["evm", "bitcoin", "solana", "tron"];

async fn nodes(stack: &Stack) -> Vec<Node> {
    let starting = (0..NODES).map(|number| stack.node(&format!("node-{number}")));
    futures::future::join_all(starting.map(Node::ready)).await
}

/// Asks every node for the same keys from many clients at once, and returns each key's answers.
async fn ask_all(
    nodes: &[Node],
    users: &[String],
) -> BTreeMap<(String, &'static str), Vec<(StatusCode, Value)>> {
    let mut asking = Vec::new();
    for user in users {
        for chain in CHAINS {
            for number in 0..NODES * ASKING {
                let node = &nodes[number % NODES];
                asking.push(async move {
                    let answer = node.post("/v1/addresses", &json!({"user": user, "chain": chain})).await;
                    ((user.clone(), chain), answer)
                });
            }
        }
    }
    let mut answers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (key, answer) in futures::future::join_all(asking).await {
        answers.entry(key).or_default().push(answer);
    }
    answers
}

async fn races_have_one_winner(stack: Stack) {
    let nodes = nodes(&stack).await;
    let users: Vec<String> = (0..4).map(|number| format!("user-{number}")).collect();
    for ((user, chain), answers) in ask_all(&nodes, &users).await {
        let created = answers.iter().filter(|(status, _)| *status == StatusCode::CREATED).count();
        let existing = answers.iter().filter(|(status, _)| *status == StatusCode::OK).count();
        assert_eq!((created, existing), (1, NODES * ASKING - 1), "{user} on {chain}");
        let distinct: BTreeSet<String> = answers.iter().map(|(_, address)| address.to_string()).collect();
        assert_eq!(distinct.len(), 1, "{user} on {chain}: one address, one certificate");
    }
    // Batches race as well, with repeats inside each.
    let wanted: Vec<Value> =
        (0..120).map(|n| json!({"user": "batch", "chain": "evm", "index": n % 100})).collect();
    let body = json!({ "addresses": wanted });
    let batches = nodes.iter().map(|node| node.post("/v1/addresses/batch", &body));
    let answers = futures::future::join_all(batches).await;
    let mut created = 0;
    for index in 0..120 {
        let of = |answer: &(StatusCode, Value)| answer.1["addresses"][index].clone();
        created += answers.iter().filter(|answer| of(answer)["created"] == true).count();
        let distinct: BTreeSet<String> = answers.iter().map(|a| of(a)["address"].to_string()).collect();
        assert_eq!(distinct.len(), 1);
    }
    assert_eq!(created, 100, "each key was created once, wherever");
    // What one node made, every other enclave opens.
    let (_, page) = nodes[0].get("/v1/keys?user=user-0").await;
    for key in page["keys"].as_array().unwrap() {
        for node in &nodes {
            let path = format!("/v1/keys/{}/check", key["key_id"].as_str().unwrap());
            assert_eq!(node.post(&path, &json!({})).await.0, StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_files_every_race_has_one_winner() {
    races_have_one_winner(Stack::on_files()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_every_race_has_one_winner() {
    let server = Ministack::with_bucket("cofferdam").await;
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::new(folder, "s3://cofferdam/keys-of/laptop".into(), server.environment());
    races_have_one_winner(stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_s3_an_address_is_the_same_after_both_were_killed() {
    let server = Ministack::with_bucket("cofferdam").await;
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::new(folder, "s3://cofferdam".into(), server.environment());
    let node = stack.node("node").ready().await;
    let request = json!({"user": "alice", "chain": "bitcoin"});
    let (status, made) = node.post("/v1/addresses", &request).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let node = node.crash_and_restart(&stack).await;
    assert_eq!(node.post("/v1/addresses", &request).await, (StatusCode::OK, made));
}
