//! The log: on disk before the answer, whole however lines come, and read as it was written.

use std::time::Duration;

use attestation::DocumentHash;
use protocol::log::Checkpoint;
use reqwest::Method;
use serde_json::{Value, json};
use wire::Operation;

use crate::support::{
    double::{Double, Reply},
    eventually,
    process::{Answered, Parent, Site},
};

async fn site() -> (Site, Double, Parent) {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    (site, double, parent)
}

fn alice(index: u32) -> Value {
    json!({"user": "alice", "chain": "evm", "index": index})
}

/// The stored entries are the enclave's lines, every one, byte for byte.
fn assert_whole(site: &Site, double: &Double, at_least: usize) {
    let (boot, lines) = {
        let state = double.state.lock().unwrap();
        (state.boot(), state.lines.clone())
    };
    let stored = site.entries(Some(boot));
    assert!(stored.len() >= at_least && stored.len() <= lines.len(), "{} {}", stored.len(), lines.len());
    for (stored, line) in stored.iter().zip(lines) {
        assert_eq!(*stored, serde_json::from_str::<Value>(&line.line).unwrap());
    }
}

#[tokio::test]
async fn every_answers_lines_are_on_disk_before_it() {
    let (site, double, parent) = site().await;
    for index in 0..5 {
        assert_eq!(parent.post("/v1/addresses", &alice(index)).await.status, 201);
        let written = double.state.lock().unwrap().lines.len();
        assert_whole(&site, &double, written);
    }
    // A refusal is on it like all else.
    let request = parent.request(Method::GET, "/v1/keys?user=alice");
    Answered::of(request.send().await.unwrap()).await.problem(401, "auth.missing");
    let written = double.state.lock().unwrap().lines.len();
    assert_whole(&site, &double, written);
    assert_eq!(written, 1 + 5 * 2 + 1);
}

#[tokio::test]
async fn lines_that_did_not_come_are_asked_for_before_anything_is_answered() {
    let (site, double, parent) = site().await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::WithoutLines,
        _ => Reply::Usual,
    });
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    assert_whole(&site, &double, 3);
    assert!(double.count("read_log") >= 1);
}

#[tokio::test]
async fn what_a_client_did_not_wait_for_is_on_the_log_all_the_same() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--enclave-timeout", "0.5"]).await.ready().await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::After(Duration::from_millis(900)),
        _ => Reply::Usual,
    });
    parent.post("/v1/addresses", &alice(0)).await.problem(504, "enclave.timeout");
    eventually("its line is stored", async || site.entries(None).len() == 2).await;
    assert_whole(&site, &double, 2);
}

#[tokio::test]
async fn without_lines_there_is_no_answer() {
    let (site, double, parent) = site().await;
    double.script(|operation| match operation {
        Operation::Authorize { .. } => Reply::WithoutLines,
        // The enclave keeps them to itself.
        Operation::ReadLog { .. } | Operation::Checkpoint { .. } => Reply::Nothing,
        _ => Reply::Usual,
    });
    // A refusal leaves a line, of which the parent does not hear yet.
    let request = parent.request(Method::GET, "/v1/keys?user=alice");
    Answered::of(request.send().await.unwrap()).await.problem(401, "auth.missing");
    let refused = parent.post("/v1/addresses", &alice(0)).await;
    refused.problem(503, "log.unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    // What came of it is not stored, either.
    assert!(site.stored_in("keys").is_empty());
}

#[tokio::test]
async fn a_log_that_cannot_be_written_stops_all_answers_and_readiness_says_so() {
    let (site, double, parent) = site().await;
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    let boot = double.state.lock().unwrap().boot();
    // A new boot begins in a folder that cannot be made.
    let second = DocumentHash::of(b"the second boot document");
    std::fs::write(site.path("book").join(second.to_string()), "in the way").unwrap();
    double.restart(&site.path("enclave.sock"), b"the second boot document").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    parent.post("/v1/addresses", &alice(1)).await.problem(503, "enclave.unavailable");
    let readiness = parent.get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), &readiness.json()["log"]), (503, &json!("closed")));
    std::fs::remove_file(site.path("book").join(second.to_string())).unwrap();
    let parent = parent.ready().await;
    assert_eq!(parent.post("/v1/addresses", &alice(1)).await.status, 201);
    assert!(!site.entries(Some(boot)).is_empty() && !site.entries(Some(second)).is_empty());
}

#[tokio::test]
async fn a_boots_log_begins_after_the_last_ones_and_only_once() {
    let (site, double, parent) = site().await;
    assert!(double.state.lock().unwrap().previous.is_none());
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    let first = double.state.lock().unwrap().boot();
    let last = site.entries(Some(first)).len() as u64;
    double.restart(&site.path("enclave.sock"), b"the second boot document").await;
    let parent = parent.ready().await;
    let previous = double.state.lock().unwrap().previous.clone().unwrap();
    assert_eq!((previous.boot, previous.seq), (first, last));
    assert_eq!(double.count("open_log"), 2);
    // A parent that was started anew goes on where the log stands.
    assert!(parent.stop().await.success());
    let parent = site.parent(&[]).await.ready().await;
    assert_eq!(parent.post("/v1/addresses", &alice(1)).await.status, 201);
    assert_whole(&site, &double, 3);
    assert_eq!(double.count("open_log"), 3);
    assert_eq!(double.state.lock().unwrap().previous, Some(previous));
}

#[tokio::test]
async fn lines_of_a_boot_that_was_not_introduced_are_not_answered_by() {
    let site = Site::new();
    let double = site.double();
    // No heartbeat will tell of the new boot.
    let parent = site.parent(&["--enclave-heartbeat", "60"]).await.ready().await;
    // The same connections, another enclave: nothing of it is taken until the parent knows it.
    double.reboot(b"the second boot document");
    let operation = Operation::OpenLog { previous: None };
    double.state.lock().unwrap().usual(operation).0.unwrap();
    parent.post("/v1/addresses", &alice(0)).await.problem(503, "log.unavailable");
    eventually("it is known", async || parent.post("/v1/addresses", &alice(1)).await.status == 201).await;
    let boot = double.state.lock().unwrap().boot();
    assert_eq!(site.entries(Some(boot))[0]["seq"], 1);
}

#[tokio::test]
async fn the_enclave_signs_the_log_and_hears_how_far_it_is_stored() {
    let (site, double, parent) = site().await;
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    eventually("a checkpoint is on the log", async || {
        let written = double.state.lock().unwrap().lines.len() as u64;
        site.lines(None).iter().any(|line| line["checkpoint"]["seq"].as_u64() == Some(written))
    })
    .await;
    let written = double.state.lock().unwrap().lines.len() as u64;
    eventually("it is told what is stored", async || double.state.lock().unwrap().stored == written).await;
    // Nothing new: nothing to sign.
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let asked = double.count("checkpoint");
    tokio::time::sleep(Duration::from_millis(2200)).await;
    assert_eq!(double.count("checkpoint"), asked);
}

#[tokio::test]
async fn the_log_ends_with_a_checkpoint_when_the_parent_ends() {
    let (site, double, parent) = site().await;
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    assert!(parent.stop().await.success());
    let lines = site.lines(None);
    let written = double.state.lock().unwrap().lines.len() as u64;
    assert_eq!(lines.last().unwrap()["checkpoint"]["seq"].as_u64(), Some(written));
}

#[tokio::test]
async fn a_checkpoint_is_answered_once_all_that_it_covers_is_stored() {
    let (site, double, parent) = site().await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::WithoutLines,
        _ => Reply::Usual,
    });
    for index in 0..3 {
        parent.post("/v1/addresses", &alice(index)).await;
    }
    let answered = parent.get("/v1/log/checkpoint").await;
    assert_eq!(answered.header("content-type"), "application/json");
    let checkpoint = Checkpoint::parse(&answered.body).unwrap();
    let state = double.state.lock().unwrap();
    assert_eq!((checkpoint.head.boot, checkpoint.head.seq), (state.boot(), state.lines.len() as u64));
    drop(state);
    assert_whole(&site, &double, checkpoint.head.seq as usize);
}

#[tokio::test]
async fn the_log_is_read_as_it_was_written_from_any_entry_on() {
    let (_site, double, parent) = site().await;
    for index in 0..4 {
        parent.post("/v1/addresses", &alice(index)).await;
    }
    let text = |answered: &Answered| String::from_utf8(answered.body.clone()).unwrap();
    let is_entry = |line: &&str| !line.starts_with("{\"checkpoint\"");
    let all = parent.get("/v1/log").await;
    assert_eq!((all.status.as_u16(), all.header("content-type")), (200, "application/jsonl"));
    let lines: Vec<String> =
        double.state.lock().unwrap().lines.iter().map(|line| line.line.clone()).collect();
    let all = text(&all);
    assert_eq!(all.lines().filter(is_entry).collect::<Vec<_>>(), lines);
    let boot = double.state.lock().unwrap().boot();
    let part = text(&parent.get(&format!("/v1/log?boot={boot}&from=6&limit=1")).await);
    assert_eq!(part.lines().find(is_entry), Some(lines[5].as_str()));
    assert_eq!(text(&parent.get("/v1/log?from=1000000").await), "");
    let other = "00".repeat(32);
    parent.get(&format!("/v1/log?boot={other}")).await.problem(404, "log.not_found");
    for (query, field) in [
        ("boot=00", "boot"),
        ("boot=../../etc", "boot"),
        ("from=0", "from"),
        ("from=-1", "from"),
        ("from=%2B1", "from"),
        ("from=99999999999999999999", "from"),
        ("limit=0", "limit"),
        ("limit=8388609", "limit"),
        ("to=1", "to"),
    ] {
        let problem = parent.get(&format!("/v1/log?{query}")).await.problem(400, "request.invalid");
        assert_eq!(problem["field"], field, "{query}");
    }
}

#[tokio::test]
async fn a_log_that_another_parent_keeps_or_somebody_changed_is_not_written_to() {
    let (site, _double, parent) = site().await;
    assert_eq!(parent.post("/v1/addresses", &alice(0)).await.status, 201);
    let egress = format!("unix://{}", site.path("other.sock").display());
    let failed = async || {
        let output = site.command().args(["--kms-egress", &egress]).output().await.unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = failed().await;
    assert!(said.contains("refusing to serve") && said.contains("no other process"), "{said}");
    assert!(parent.stop().await.success());
    let boot = std::fs::read_dir(site.path("book")).unwrap().flatten().find(|entry| entry.path().is_dir());
    let segment = boot.unwrap().path().join("000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("\"seq\":2", "\"seq\":7", 1)).unwrap();
    let said = failed().await;
    assert!(said.contains("refusing to serve") && said.contains("000000000001.jsonl"), "{said}");
}
