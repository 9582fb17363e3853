//! The whole system under load, in separate processes; prints one JSON object.
//!
//! What counts is a ratio: the enclave's CPU time for an address, against the CPU time of its
//! cryptography alone (`cofferdam_tests::raw`) on the same machine in the same run, taken before
//! and after. `ADDRESSES` (100,000) go over the enclave's socket in batches; `REQUESTS` (2,000)
//! single ones over HTTP with a file store that syncs every record.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chains::Chain;
use cofferdam_tests::{
    deployment::credentials,
    stack::{Node, Stack, http},
    wire::{Wire, new_key},
};
use ed25519_dalek::SigningKey;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use wire::{Operation, message::MAX_KEYS};

const RAW_ROUNDS: u32 = 5_000;
const CONNECTIONS: u64 = 2;
const CLIENTS: usize = 32;

#[tokio::main]
async fn main() {
    // `cargo test --benches` and criterion's own flags: nothing to do.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let addresses = setting("ADDRESSES", 100_000);
    let requests = setting("REQUESTS", 2_000);

    let before = raw();
    let bulk = bulk(addresses).await;
    let after = raw();
    let raw_micros = f64::midpoint(before, after);
    let enclave_micros = bulk["cpu_micros_per_address"].as_f64().unwrap_or(f64::NAN);
    let result = json!({
        "enclave": bulk,
        "raw_cryptography_micros_per_address": raw_micros,
        "ratio": enclave_micros / raw_micros,
        "ratio_goal": 1.25,
        "ratio_must": 1.6,
        "http": single(requests).await,
    });
    println!("{result:#}");
    // Every number with a bound is checked: a bench that is read by nobody still fails.
    assert!(result["ratio"].as_f64().is_some_and(|ratio| ratio <= 1.6), "ratio");
    let calls = result["enclave"]["kms_calls_per_100_000"].as_f64();
    assert!(calls.is_some_and(|calls| calls <= 202.0), "KMS calls");
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// CPU microseconds of an address's cryptography, over all chains alike.
fn raw() -> f64 {
    let session = SigningKey::from_bytes(&[7; 32]);
    let start = own_cpu();
    for round in 0..RAW_ROUNDS {
        let chain = Chain::ALL[round as usize % Chain::ALL.len()];
        std::hint::black_box(cofferdam_tests::raw::address(chain, &[9; 32], &session));
    }
    micros(own_cpu() - start) / f64::from(RAW_ROUNDS)
}

fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage");
    let sum = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(sum as u64)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Keys in batches over the enclave's socket: what the enclave itself costs.
async fn bulk(addresses: u64) -> Value {
    let stack = Stack::on_files();
    // The parent gives the way to KMS; the load goes past it.
    let node = stack.node("node").ready().await;
    let enclave = node.enclave.as_ref().expect("it runs");
    let (calls, cpu, start) = (kms_calls(&stack).await, enclave.cpu(), Instant::now());
    let socket = node.folder.join("enclave.sock");
    let shares = (0..CONNECTIONS).map(|share| create(stack.dir(), &socket, share, addresses / CONNECTIONS));
    let made: u64 = futures::future::join_all(shares).await.into_iter().sum();
    let (elapsed, cpu) = (start.elapsed(), enclave.cpu() - cpu);
    let calls = kms_calls(&stack).await - calls;
    json!({
        "addresses": made,
        "cpu_micros_per_address": micros(cpu) / made as f64,
        "addresses_per_second": made as f64 / elapsed.as_secs_f64(),
        "kms_calls": calls,
        "kms_calls_per_100_000": calls as f64 * 100_000.0 / made as f64,
        "peak_memory_mib": enclave.peak_memory() >> 20,
    })
}

/// Each data key is made, and opened once before it seals.
async fn kms_calls(stack: &Stack) -> u64 {
    stack.calls("GenerateDataKey").await + stack.calls("Decrypt").await
}

async fn create(folder: &Path, socket: &Path, share: u64, count: u64) -> u64 {
    let mut wire = Wire::connect(socket).await;
    let _ = wire.ask(Operation::PutCredentials(credentials(folder))).await;
    let mut made = 0;
    while made < count {
        let batch = (count - made).min(MAX_KEYS as u64);
        let user = format!("user-{share}");
        let keys: Vec<_> =
            (made..made + batch).map(|n| new_key(&user, Chain::ALL[n as usize % 4], n)).collect();
        made += wire.create("laptop", &keys).await.expect("records").len() as u64;
        // The lines that the parent did not get, it does not get: this load goes past it.
        wire.ask(Operation::Checkpoint { stored: u64::MAX }).await.expect("signed");
    }
    made
}

/// Single addresses over HTTP from many clients at once: what a user waits for.
async fn single(requests: u64) -> Value {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let (http, limit) = (http(), Arc::new(Semaphore::new(CLIENTS)));
    let start = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..requests {
        let permit = limit.clone().acquire_owned().await.expect("open");
        let chain = Chain::ALL[number as usize % 4];
        let body = json!({"user": format!("user-{number}"), "chain": chain}).to_string();
        let request = node.request(&http, Method::POST, "/v1/addresses", body.into_bytes());
        tasks.push(tokio::spawn(async move {
            let start = Instant::now();
            let status = request.send().await.expect("an answer").status();
            drop(permit);
            assert_eq!(status, StatusCode::CREATED);
            start.elapsed()
        }));
    }
    let mut latencies = Vec::new();
    for task in tasks {
        latencies.push(task.await.expect("a result"));
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let memory = |process: &Option<_>| process.as_ref().map(peak_mib);
    let Node { enclave, parent, .. } = &node;
    json!({
        "requests": requests,
        "clients": CLIENTS,
        "per_second": requests as f64 / elapsed.as_secs_f64(),
        "p50_ms": quantile(0.5),
        "p99_ms": quantile(0.99),
        "enclave_peak_memory_mib": memory(enclave),
        "parent_peak_memory_mib": memory(parent),
    })
}

fn peak_mib(process: &cofferdam_tests::process::Process) -> u64 {
    process.peak_memory() >> 20
}
