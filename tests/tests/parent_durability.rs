//! What the parent acknowledged is there for good: after kill -9, and on a folder, by the order
//! of its system calls, after a power cut.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    collections::BTreeMap,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use cofferdam_tests::{authority::BACKEND, process::Process, stack::Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn every_address_that_was_acknowledged_is_there_after_kill_9() {
    let stack = Stack::on_files();
    let mut node = stack.node("node").ready().await;
    let acknowledged: Arc<Mutex<BTreeMap<u64, Value>>> = Arc::default();
    for round in 0..4u64 {
        let url = format!("{}/v1/addresses", node.url);
        let clients: Vec<_> = (0..8u64)
            .map(|client| {
                let (url, acknowledged) = (url.clone(), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    let http = reqwest::Client::new();
                    for number in 0.. {
                        let index = round * 1_000_000 + client * 10_000 + number;
                        let body = json!({"user": "alice", "chain": "evm", "index": index}).to_string();
                        let signed =
                            BACKEND.headers("laptop", "POST", "/v1/addresses", None, body.as_bytes());
                        let request = http
                            .post(&url)
                            .header("content-type", "application/json")
                            .header("signature-input", signed.signature_input)
                            .header("signature", signed.signature)
                            .header("content-digest", signed.content_digest);
                        // Until it is killed.
                        let Ok(answer) = request.body(body).send().await else { return };
                        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
                            // The enclave was killed first.
                            return;
                        }
                        assert_eq!(answer.status(), StatusCode::CREATED);
                        let Ok(address) = answer.json().await else { return };
                        acknowledged.lock().unwrap().insert(index, address);
                    }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(300 + 150 * round)).await;
        node = node.crash_and_restart(&stack).await;
        for client in clients {
            client.await.unwrap();
        }
    }
    let acknowledged = Arc::try_unwrap(acknowledged).unwrap().into_inner().unwrap();
    assert!(acknowledged.len() > 50, "{} addresses are too few to say anything", acknowledged.len());
    for (index, address) in &acknowledged {
        let path = format!("/v1/keys/{}", address["key_id"].as_str().unwrap());
        assert_eq!(node.get(&path).await, (StatusCode::OK, address.clone()));
        let body = json!({"user": "alice", "chain": "evm", "index": index});
        assert_eq!(node.post("/v1/addresses", &body).await, (StatusCode::OK, address.clone()));
    }
    // Listed as well, besides what was made and not acknowledged.
    let mut listed = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let (_, page) = node.get(&format!("/v1/keys?user=alice&limit=1000{cursor}")).await;
        for key in page["keys"].as_array().unwrap() {
            listed.insert(key["index"].as_u64().unwrap(), key.clone());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert!(acknowledged.iter().all(|(index, address)| listed.get(index) == Some(address)));
}

/// One line of strace: when it returned, what it was.
struct Call {
    line: usize,
    text: String,
}

/// The system calls of a trace, those that were cut in two put together at their end.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: BTreeMap<&str, String> = BTreeMap::new();
    let mut calls = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let Some((thread, rest)) = text.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begin.trim_end().to_owned());
        } else if let Some((_, end)) = rest.split_once(" resumed>") {
            let begin = unfinished.remove(thread).unwrap_or_default();
            calls.push(Call { line, text: format!("{begin}{end}") });
        } else {
            calls.push(Call { line, text: rest.to_owned() });
        }
    }
    calls
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_its_marker_and_their_folders_are_flushed_before_the_answer() {
    let stack = Stack::on_files();
    let mut node = stack.node("node").ready().await;
    node.parent.take().unwrap().kill();
    let trace = stack.dir().join("trace");
    let plain = stack.parent_command(&node.folder);
    let mut traced = Command::new("strace");
    // -D: the parent stays our child, and strace ends with it.
    traced.args([
        "-D",
        "-f",
        "-yy",
        "-s",
        "64",
        "-e",
        "trace=fsync,fdatasync,link,linkat,rename,renameat2,write,writev,sendto,sendmsg",
    ]);
    traced.arg("-o").arg(&trace).arg(plain.get_program()).args(plain.get_args());
    traced.current_dir(plain.get_current_dir().unwrap()).stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let parent = Process::start(&mut traced, &node.folder.join("parent.log"));
    node.url = format!("http://{}", parent.ready["listen"].as_str().unwrap());
    let node = node.ready().await;
    let request = json!({"user": "alice", "chain": "evm"});
    let (status, address) = node.post("/v1/addresses", &request).await;
    assert_eq!(status, StatusCode::CREATED);
    let (status, _) = node.post("/v1/addresses", &request).await;
    assert_eq!(status, StatusCode::OK);
    parent.kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    let trace = loop {
        let text = std::fs::read_to_string(&trace).unwrap();
        if text.lines().last().is_some_and(|line| line.contains("+++ killed by SIGKILL +++")) {
            break text;
        }
        assert!(Instant::now() < deadline, "strace was expected to end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let calls = calls(&trace);
    let find = |what: &str, after: usize, is: &dyn Fn(&str) -> bool| {
        let found = calls.iter().find(|call| call.line > after && is(&call.text));
        found.unwrap_or_else(|| panic!("{what} was expected after line {after} of\n{trace}")).line
    };
    let id = address["key_id"].as_str().unwrap();
    let synced = |text: &str, part: &str| {
        (text.starts_with("fsync(") || text.starts_with("fdatasync("))
            && text.contains(part)
            && text.ends_with("= 0")
    };
    let answered = |status: &'static str| {
        move |text: &str| text.contains(&format!("HTTP/1.1 {status}")) && text.contains("TCP:")
    };
    let created = find("the answer", 0, &answered("201"));
    let found = find("the second answer", created, &answered("200"));
    for (area, depth) in [("keys/v1/", 1), ("users/v1/", 2)] {
        let staged =
            find("a flushed file", 0, &|text| synced(text, area) && text.contains(&format!("/{id}#")));
        let linked = find("a link", staged, &|text| {
            text.starts_with("link") && text.contains(area) && text.contains(id)
        });
        let in_area = |text: &str| synced(text, area) && !text.contains(id);
        let folder = find("a flushed folder", linked, &in_area);
        assert!(folder < created, "{area}: flushed in line {folder}, answered in line {created}");
        // A user's own folder is new, so the one above it has changed as well.
        if depth == 2 {
            let above = find("the folder above", linked, &|text| synced(text, "users/v1>"));
            assert!(above < created);
        }
    }
    // Whoever only found the record cannot know whether its maker flushed the folder yet.
    let again = find("a flushed folder", created, &|text| synced(text, "keys/v1/") && !text.contains(id));
    assert!(again < found, "flushed in line {again}, answered in line {found}");
}
