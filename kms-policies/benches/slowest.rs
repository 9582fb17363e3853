//! How long an audit takes, for the slowest policies that we know; prints one JSON object, in seconds, with
//! the key told and without. One that takes more than ten seconds ends the bench: an auditor waits for it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Instant;

use cofferdam_kms_policies::audit::{Subject, audit};
use serde_json::{Map, json};

#[path = "../tests/long/mod.rs"]
mod long;

const MOST: f64 = 10.0;

fn main() {
    // `cargo test --benches` and criterion's own flags: nothing to do.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let mut results = Map::new();
    for (name, subject) in long::clean().into_iter().chain([("an open one", long::open())]) {
        let seconds = [subject.key.clone(), None].map(|key| {
            let subject = Subject { key, ..subject.clone() };
            let started = Instant::now();
            let report = audit(&subject).unwrap();
            let seconds = started.elapsed().as_secs_f64();
            assert!(!report.findings.iter().any(|one| one.rule.id == "undecided"), "{name}: undecided");
            assert!(seconds <= MOST, "{name}: {seconds} s");
            seconds
        });
        results.insert(name.to_owned(), json!({"with_key": seconds[0], "without_key": seconds[1]}));
    }
    println!("{:#}", json!({ "audit_seconds": results }));
}
