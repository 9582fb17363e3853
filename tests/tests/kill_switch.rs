//! The kill switch gets through. Whatever somebody does to the parent or to the enclave's socket, without
//! a key or with a client's, 200 freezes are sent, each with a deadline of five seconds: none is refused
//! and none is late.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cofferdam_tests::{
    authority::BACKEND,
    floods::{Flood, freezes, quantile},
    stack::{Node, Stack},
    wire::Wire,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::StatusCode;
use serde_bytes::ByteBuf;
use serde_json::json;
use tokio::sync::Mutex;
use wire::Operation;

const FREEZES: usize = 200;
/// One flood at a time: each is all that this machine can do.
static ALONE: Mutex<()> = Mutex::const_new(());

async fn node() -> (Stack, Arc<Node>) {
    let stack = Flood::stack();
    let node = stack.node("node").ready().await;
    (stack, Arc::new(node))
}

/// All freezes get through; and so they are listed.
async fn all_get_through(node: &Node, name: &str) {
    let times = freezes(node, name, FREEZES).await.unwrap();
    assert_eq!(times.len(), FREEZES);
    println!("{name}: p50 {:?}, p99 {:?}", quantile(&times, 0.5), quantile(&times, 0.99));
}

async fn in_force(node: &Node) -> usize {
    let (status, orders) = node.get("/v1/orders").await;
    assert_eq!(status, StatusCode::OK, "{orders}");
    orders["orders"].as_array().unwrap().iter().filter(|order| order["in_force"] == true).count()
}

async fn metric(node: &Node, name: &str) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", node.url)).await.unwrap().text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0").trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn freezes_get_through_560_slow_connections() {
    let _alone = ALONE.lock().await;
    let (stack, node) = node().await;
    let mut flooding = Flood::SlowConnections.begin(&stack, &node).await;
    flooding.reaches(60).await.unwrap();
    all_get_through(&node, "slow").await;
    assert_eq!(flooding.hands(), 560);
    let there = metric(&node, "cofferdam_parent_http_connections ").await;
    // One that was cut counts until its task has ended.
    assert!((490..=520).contains(&there), "all places are taken, and no more than there are: {there}");
    let made_room = r#"cofferdam_parent_http_connections_over_bound_total{outcome="made_room"}"#;
    assert!(metric(&node, made_room).await > 100);
    drop(flooding);
    assert_eq!(in_force(&node).await, FREEZES);
}

#[tokio::test(flavor = "multi_thread")]
async fn freezes_get_through_300_requests_on_a_stalled_kms() {
    let _alone = ALONE.lock().await;
    let (stack, node) = node().await;
    let mut flooding = Flood::StalledKms.begin(&stack, &node).await;
    // Everybody else is turned away.
    flooding.reaches(1).await.unwrap();
    let (status, problem) = node.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    let overloaded = (StatusCode::SERVICE_UNAVAILABLE, json!("enclave.overloaded"));
    assert_eq!((status, problem["code"].clone()), overloaded);
    all_get_through(&node, "stalled").await;
    assert_eq!(flooding.hands(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn freezes_get_through_250_bodies_of_850_kib_and_memory_is_bounded() {
    let _alone = ALONE.lock().await;
    let (stack, node) = node().await;
    let mut flooding = Flood::LongBodies.begin(&stack, &node).await;
    flooding.reaches(1).await.unwrap();
    all_get_through(&node, "long").await;
    assert_eq!(flooding.hands(), 250);
    let [enclave, parent] =
        [&node.enclave, &node.parent].map(|one| one.as_ref().unwrap().peak_memory() >> 20);
    println!("enclave {enclave} MiB, parent {parent} MiB");
    assert!(enclave < 300 && parent < 1000, "enclave {enclave} MiB, parent {parent} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn freezes_get_through_300_idle_connections_to_the_enclave_also_where_these_came_first() {
    let _alone = ALONE.lock().await;
    let (stack, node) = node().await;
    let mut flooding = Flood::IdleSockets.begin(&stack, &node).await;
    // Those beyond the bound of 64 are cut.
    flooding.reaches(200).await.unwrap();
    all_get_through(&node, "idle").await;
    // A parent that is started anew finds the places taken, and gets its own.
    let parent = Pid::from_raw(node.parent.as_ref().unwrap().id().cast_signed());
    kill(parent, Signal::SIGKILL).unwrap();
    let again = stack.parent_of_machine(&node.folder).serving().await;
    all_get_through(&again, "again").await;
    assert_eq!(in_force(&again).await, 2 * FREEZES);
    assert_eq!(flooding.hands(), 300);
}

/// The file of a key's record in the stack's store.
fn record(stack: &Stack, key: &str) -> Vec<u8> {
    fn find(folder: &Path, name: &str) -> Option<PathBuf> {
        std::fs::read_dir(folder).unwrap().flatten().find_map(|entry| {
            let path = entry.path();
            if path.is_dir() { find(&path, name) } else { path.ends_with(name).then_some(path) }
        })
    }
    std::fs::read(find(&stack.dir().join("store/keys"), key).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_kms_is_waited_for_a_request_holds_what_was_read_of_it_and_not_its_body() {
    let _alone = ALONE.lock().await;
    let stack = Flood::stack();
    let node = stack.node("node").ready().await;
    let (status, made) = node.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let key = made["key_id"].as_str().unwrap().to_owned();
    let record = record(&stack, &key);
    // Another boot has no data key yet.
    let node = node.crash_and_restart(&stack).await;
    stack.stall_kms(60_000).await;
    let signed = json!({"signatures": [{"chain": "evm", "keys": [key], "transaction": "0x02"}]}).to_string();
    let body = format!("{signed}{}", " ".repeat((730 << 10) - signed.len()));
    let mut wire = Wire::connect(&node.folder.join("enclave.sock")).await;
    let memory = || node.enclave.as_ref().unwrap().memory();
    let before = memory();
    let mut sign = async || {
        let request = BACKEND.request("laptop", "POST", "/v1/signatures/batch", body.as_bytes());
        wire.send(Operation::Sign { request, records: vec![ByteBuf::from(record.clone())] }).await;
        tokio::time::timeout(Duration::from_millis(100), wire.receive()).await
    };
    // Three quarters of 64 MiB are for these.
    let mut waiting = 0;
    let refused = loop {
        match sign().await {
            Err(_) => waiting += 1,
            Ok(answer) => break answer.unwrap().result.unwrap_err(),
        }
    };
    assert_eq!((refused.tag(), waiting), ("enclave.memory", 67));
    let grown = memory().saturating_sub(before) >> 20;
    println!("{grown} MiB for 67 requests of 730 KiB");
    assert!(grown < 24, "{grown} MiB");
}
