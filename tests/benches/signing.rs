//! What signing costs the enclave; prints one JSON object.
//!
//! What counts is a ratio: the enclave's CPU time for a sweep, against the CPU time of its
//! cryptography alone (`cofferdam_tests::raw`) on the same machine in the same run, taken before
//! and after. That cryptography includes that what was signed is verified before it leaves; the ratio
//! to cryptography without this is printed beside it. `SWEEPS` (20,000) EVM sweeps one by one, each with a request signature of its own,
//! and as many in batches of 256 under one. Then `COLD` (100,000) keys are swept after a restart,
//! and KMS's calls counted.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, collection},
    deployment::Deployment,
    process::{Process, run},
    programs::program,
    raw::{self, RawRequest},
    transactions::Evm,
    wire::{Wire, new_key, signature_body},
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use protocol::api::MAX_SIGNATURES;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use simulator::PcrConfig;
use wire::{Answer, Operation, message::MAX_KEYS};

const RAW_ROUNDS: u32 = 5_000;
/// Requests under way at once.
const UNDER_WAY: usize = 64;
/// Batches under way at once.
const BATCHES_UNDER_WAY: usize = 16;
const DEPLOYMENT: &str = "laptop";

#[tokio::main]
async fn main() {
    // `cargo test --benches` and criterion's own flags: nothing to do.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return;
    }
    let (sweeps, cold) = (setting("SWEEPS", 20_000), setting("COLD", 100_000));
    let deployment = Deployment::new();
    pin(&deployment);
    let enclave = start(&deployment);
    let mut wire = connect(&deployment).await;
    let keys = make(&mut wire, cold.max(sweeps)).await;
    drop(wire);
    enclave.kill();

    let enclave = start(&deployment);
    let mut wire = connect(&deployment).await;
    let calls = deployment.calls("Decrypt");
    let after_restart = batches(&mut wire, &enclave, &keys[..cold], 0).await;
    let calls = deployment.calls("Decrypt") - calls;
    let before = raw();
    let single = singles(&mut wire, &enclave, &keys[..sweeps]).await;
    let batch = batches(&mut wire, &enclave, &keys[..sweeps], 1).await;
    let after = raw();
    let middle = |pick: fn(&Raw) -> f64| f64::midpoint(pick(&before), pick(&after));
    let (raw_single, raw_batch) = (middle(|raw| raw.single), middle(|raw| raw.in_batch));
    let raw_unchecked = middle(|raw| raw.unchecked);
    let micros = |result: &Value| result["cpu_micros_per_sweep"].as_f64().unwrap_or(f64::NAN);
    let result = json!({
        "single": single, "batches_of_256": batch, "cold_start": after_restart,
        "raw_micros_per_sweep": raw_single, "raw_micros_per_sweep_unchecked": raw_unchecked, "raw_micros_per_sweep_in_a_batch": raw_batch,
        "ratio": micros(&single) / raw_single,
        "ratio_in_batches": micros(&batch) / raw_batch,
        "ratio_to_unchecked": micros(&single) / raw_unchecked,
        "ratio_goal": 1.25, "ratio_must": 1.6,
        "kms_decrypt_calls_after_cold_start": calls,
    });
    println!("{result:#}");
    // Every number with a bound is checked: a bench that is read by nobody still fails.
    assert!(result["ratio"].as_f64().is_some_and(|ratio| ratio <= 1.6), "ratio");
    assert!(calls * 100_000 <= 101 * cold.max(100_000) as u64, "KMS calls");
}

/// An EIP-1559 transaction to the collection wallet.
fn evm(nonce: u64, value: u128) -> Vec<u8> {
    Evm { nonce, value, ..Evm::native(&collection(Chain::Evm)) }.typed()
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// CPU microseconds of a sweep's cryptography.
struct Raw {
    /// With a request of its own.
    single: f64,
    /// The same without the check of what was signed.
    unchecked: f64,
    /// One of many of a request.
    in_batch: f64,
}

fn raw() -> Raw {
    let transaction = evm(1, 1_000_000_000_000_000);
    let request = RawRequest::new(&[b'x'; 240]);
    let time = |work: &dyn Fn() -> usize| {
        let start = own_cpu();
        for _ in 0..RAW_ROUNDS {
            std::hint::black_box(work());
        }
        (own_cpu() - start).as_secs_f64() * 1e6 / f64::from(RAW_ROUNDS)
    };
    Raw {
        single: time(&|| raw::sweep(&request, &[9; 32], &transaction, true)),
        unchecked: time(&|| raw::sweep(&request, &[9; 32], &transaction, false)),
        in_batch: time(&|| raw::sweep_alone(&[9; 32], &transaction, true)),
    }
}

fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("getrusage");
    let sum = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(sum as u64)
}

/// Lets KMS give data keys to the optimised program with this configuration.
fn pin(deployment: &Deployment) {
    let file = deployment.path().join("enclave.toml");
    std::fs::write(&file, deployment.config.toml(deployment.path())).expect("a file");
    let measured = run(Command::new(program("cofferdam-simulator")).args(["measure", "--config"]).arg(file));
    let pcrs: PcrConfig = serde_json::from_value(measured).expect("registers");
    deployment.kms.put_key_policy(&deployment.key, &deployment.policy(&pcrs)).expect("a policy");
}

fn start(deployment: &Deployment) -> Process {
    let folder = deployment.path();
    let mut command = Command::new(program("cofferdam-simulator"));
    command.args(["enclave", "--region", "us-east-1", "--config", "enclave.toml", "--dir"]);
    command.arg(folder).current_dir(folder);
    Process::start(&mut command, &folder.join("enclave.log"))
}

async fn connect(deployment: &Deployment) -> Wire {
    let socket: &Path = &deployment.path().join("enclave.sock");
    let mut wire = Wire::connect(socket).await;
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.expect("taken");
    wire.govern(DEPLOYMENT).await;
    wire
}

/// Keys in batches: their records.
async fn make(wire: &mut Wire, count: usize) -> Vec<Vec<u8>> {
    let mut records = Vec::with_capacity(count);
    while records.len() < count {
        let from = records.len() as u64;
        let batch = (count - records.len()).min(MAX_KEYS) as u64;
        let keys: Vec<_> = (from..from + batch).map(|n| new_key("alice", Chain::Evm, n)).collect();
        records.extend(wire.create(DEPLOYMENT, &keys).await.expect("made"));
        acknowledge(wire).await;
    }
    records
}

/// Tells the enclave that its log is stored, as a parent does.
async fn acknowledge(wire: &mut Wire) {
    wire.ask(Operation::Checkpoint { stored: u64::MAX }).await.expect("signed");
}

async fn singles(wire: &mut Wire, enclave: &Process, records: &[Vec<u8>]) -> Value {
    let requests: Vec<Vec<&Vec<u8>>> = records.iter().map(|record| vec![record]).collect();
    measure(wire, enclave, &requests, UNDER_WAY, |records| {
        signature_body(Chain::Evm, &[records[0].clone()], &evm(7, 1_000))
    })
    .await
}

async fn batches(wire: &mut Wire, enclave: &Process, records: &[Vec<u8>], nonce: u64) -> Value {
    let requests: Vec<Vec<&Vec<u8>>> =
        records.chunks(MAX_SIGNATURES).map(|chunk| chunk.iter().collect()).collect();
    measure(wire, enclave, &requests, BATCHES_UNDER_WAY, |records| {
        let bodies =
            records.iter().map(|record| signature_body(Chain::Evm, &[(*record).clone()], &evm(nonce, 1_000)));
        json!({ "signatures": bodies.collect::<Vec<_>>() })
    })
    .await
}

/// Sends requests, some at a time, and measures what they cost the enclave.
async fn measure(
    wire: &mut Wire,
    enclave: &Process,
    requests: &[Vec<&Vec<u8>>],
    under_way: usize,
    body: impl Fn(&[&Vec<u8>]) -> Value,
) -> Value {
    let (cpu, start) = (enclave.cpu(), Instant::now());
    let mut signed = 0usize;
    for group in requests.chunks(under_way) {
        for records in group {
            let body = body(records).to_string();
            let path =
                if body.starts_with("{\"signatures\"") { "/v1/signatures/batch" } else { "/v1/signatures" };
            let request = BACKEND.request(DEPLOYMENT, "POST", path, body.as_bytes());
            let records = records.iter().map(|record| ByteBuf::from((*record).clone())).collect();
            wire.send(Operation::Sign { request, records }).await;
        }
        for _ in group {
            match wire.receive().await.expect("an answer").result {
                Ok(Answer::Signatures(signatures)) => {
                    for signature in signatures {
                        signature.expect("a signature");
                        signed += 1;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        acknowledge(wire).await;
    }
    let (elapsed, cpu) = (start.elapsed(), enclave.cpu() - cpu);
    json!({
        "sweeps": signed,
        "cpu_micros_per_sweep": cpu.as_secs_f64() * 1e6 / signed as f64,
        "sweeps_per_second": signed as f64 / elapsed.as_secs_f64(),
        "peak_memory_mib": enclave.peak_memory() >> 20,
    })
}
