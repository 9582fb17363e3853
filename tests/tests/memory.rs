//! After keys were made, opened and used, none of them is anywhere in the enclave's memory.
//!
//! The enclave runs in a process of its own: this test's executable, started again. Its entropy is
//! one that the test can repeat, so that the test knows what to look for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{
    fs::File,
    io::{BufRead, BufReader},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, collection},
    config::Config,
    deployment::Deployment,
    scene::DepositKey,
    transactions::{Coin, psbt, sweep},
    wire::{Wire, new_key, signature_body},
};
use enclave_app::{Entropy, Secret, entropy::EntropyError};
use protocol::Record;
use serde_bytes::ByteBuf;
use serde_json::json;
use sha2::{Digest, Sha256, Sha512};
use wire::{Answer, Operation, Rewrapping};

const FOLDER: &str = "COFFERDAM_TEST_ENCLAVE_FOLDER";
const KMS_KEYS: &str = "COFFERDAM_TEST_ENCLAVE_KMS_KEYS";
const READY: &str = "the enclave is ready";
const KEYS: usize = 64;

/// The secret with this number. The session key is number 0.
fn secret(number: u64, out: &mut [u8; 32]) {
    let mut hash = Sha256::new();
    hash.update(b"a secret that a test can repeat");
    hash.update(number.to_be_bytes());
    out.copy_from_slice(&hash.finalize());
}

#[derive(Default)]
struct Repeatable(AtomicU64);

impl Entropy for Repeatable {
    fn secret(&self) -> Result<Secret, EntropyError> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Secret::try_new(|bytes| {
            secret(number, bytes);
            Ok(())
        })
    }
}

/// Not a test of its own: the enclave's process, when it is asked to be one.
#[test]
fn the_enclaves_process() {
    let (Ok(folder), Ok(keys)) = (std::env::var(FOLDER), std::env::var(KMS_KEYS)) else { return };
    let folder = PathBuf::from(folder);
    let roots = std::fs::read_to_string(folder.join("tls-root.pem")).unwrap();
    let mut config = Config::new("", &roots);
    config.kms_keys = keys.split(' ').map(str::to_owned).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let toml = config.toml(&folder);
        let pcrs = cofferdam_tests::enclave::measure(&config, &folder);
        let entropy = Arc::new(Repeatable::default());
        let enclave = simulator::enclave::boot(&folder, toml.as_bytes(), pcrs, Some(entropy)).unwrap();
        println!("\n{READY}");
        enclave.serve(std::future::pending()).await;
    });
}

struct Enclave(Child);

impl Enclave {
    fn start(deployment: &Deployment) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_enclaves_process", "--nocapture", "--test-threads", "1"])
            .env(FOLDER, deployment.path())
            .env(KMS_KEYS, deployment.config.kms_keys.join(" "))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == READY), "the enclave starts");
        // Whoever goes on printing must find somebody who reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// Everything that the process has mapped and that can be read.
    fn memory(&self) -> Vec<Vec<u8>> {
        let folder = PathBuf::from(format!("/proc/{}", self.0.id()));
        let memory = File::open(folder.join("mem")).unwrap();
        let maps = std::fs::read_to_string(folder.join("maps")).unwrap();
        let regions = maps.lines().filter_map(|line| {
            let (range, rest) = line.split_once(' ')?;
            let (start, end) = range.split_once('-')?;
            let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
            if !rest.starts_with('r') || rest.contains("[v") {
                return None;
            }
            let mut region = vec![0; usize::try_from(end - start).unwrap()];
            let mut read = 0;
            while read < region.len() {
                match memory.read_at(&mut region[read..], start + read as u64) {
                    Ok(count) if count > 0 => read += count,
                    _ => break,
                }
            }
            region.truncate(read);
            Some(region)
        });
        regions.collect()
    }
}

impl Drop for Enclave {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The forms in which a secret could lie around: as made, in little-endian limbs as arithmetic
/// keeps it, and as the scalar that Ed25519 expands it to; whole, and each half.
fn forms(number: u64) -> Vec<Vec<u8>> {
    let mut bytes = [0; 32];
    secret(number, &mut bytes);
    let mut limbs = bytes;
    limbs.reverse();
    let mut expanded: [u8; 32] = Sha512::digest(bytes)[..32].try_into().unwrap();
    expanded[0] &= 248;
    expanded[31] = (expanded[31] & 63) | 64;
    [bytes, limbs, expanded].iter().flat_map(|form| [form[..16].to_vec(), form[16..].to_vec()]).collect()
}

/// Which of the secrets' forms are in memory. One pass: candidates are found by their first bytes.
fn found(memory: &[Vec<u8>], numbers: std::ops::Range<u64>) -> Vec<(u64, usize)> {
    let mut wanted = std::collections::HashMap::<[u8; 8], Vec<(u64, usize, Vec<u8>)>>::new();
    for number in numbers {
        for (form, bytes) in forms(number).into_iter().enumerate() {
            wanted.entry(bytes[..8].try_into().unwrap()).or_default().push((number, form, bytes));
        }
    }
    let mut filter = vec![false; 1 << 16];
    for first in wanted.keys() {
        filter[usize::from(u16::from_le_bytes([first[0], first[1]]))] = true;
    }
    let mut found = Vec::new();
    for region in memory {
        for at in 0..region.len().saturating_sub(15) {
            if filter[usize::from(region[at]) | usize::from(region[at + 1]) << 8]
                && let Some(candidates) = wanted.get(&region[at..at + 8])
            {
                let here = candidates.iter().filter(|(_, _, bytes)| region[at..at + 16] == bytes[..]);
                found.extend(here.map(|(number, form, _)| (*number, *form)));
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Has a transaction of each key signed, all in one request.
async fn sign(wire: &mut Wire, keys: &[&DepositKey], transaction: &dyn Fn(&DepositKey) -> Vec<u8>) {
    let bodies = keys
        .iter()
        .map(|key| signature_body(key.chain, std::slice::from_ref(&key.record), &transaction(key)));
    let body = json!({ "signatures": bodies.collect::<Vec<_>>() }).to_string();
    let request = BACKEND.request("laptop", "POST", "/v1/signatures/batch", body.as_bytes());
    let records = keys.iter().map(|key| ByteBuf::from(key.record.clone())).collect();
    let answer = wire.ask(Operation::Sign { records, request }).await;
    let Ok(Answer::Signatures(signatures)) = answer else { panic!("{answer:?}") };
    assert!(signatures.iter().all(Result::is_ok) && signatures.len() == keys.len(), "{signatures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_private_key_stays_in_memory() {
    let deployment = Deployment::new();
    let enclave = Enclave::start(&deployment);
    let mut wire = Wire::connect(&deployment.path().join("enclave.sock")).await;
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.unwrap();
    wire.govern("laptop").await;

    let mut records = Vec::new();
    for batch in 0..4 {
        let keys: Vec<_> =
            (0..KEYS / 4).map(|n| new_key("alice", Chain::ALL[n % 4], (batch * 100 + n) as u64)).collect();
        records.extend(wire.create("laptop", &keys).await.unwrap());
    }
    // The test knows the secrets: the first public keys are theirs.
    let mut first = [0; 32];
    secret(1, &mut first);
    let expected = k256::SecretKey::from_slice(&first).unwrap().public_key();
    let header = Record::parse(&records[0]).unwrap().header().clone();
    assert_eq!(header.public_key.as_slice(), expected.to_sec1_bytes().as_ref());

    let made = enclave.memory();
    assert!(!found(&made, 0..1).is_empty(), "the session key is in use, and the scan finds it");
    assert_eq!(found(&made, 1..KEYS as u64 + 1), [], "a private key (its number, its form) after making it");

    for record in &records {
        let key_id = Record::parse(record).unwrap().header().key_id;
        wire.check("laptop", key_id, record).await.unwrap();
    }
    assert_eq!(found(&enclave.memory(), 1..KEYS as u64 + 1), [], "a private key after opening it");

    let keys: Vec<DepositKey> = records.into_iter().map(DepositKey::of).collect();
    for key in &keys {
        sign(&mut wire, &[key], &|key| sweep(key, 1000)).await;
        if key.chain == Chain::Bitcoin {
            let to = collection(Chain::Bitcoin);
            sign(&mut wire, &[key], &|key| psbt(&[Coin::taproot(key, 9000)], &to, 1000)).await;
        }
    }
    // So many that another thread signs.
    let many: Vec<&DepositKey> = keys.iter().filter(|key| key.chain == Chain::Evm).take(20).collect();
    sign(&mut wire, &many, &|key| sweep(key, 2000)).await;
    assert_eq!(found(&enclave.memory(), 1..KEYS as u64 + 1), [], "a private key after signing with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_private_key_stays_in_memory_that_was_sealed_anew() {
    let mut deployment = Deployment::new();
    let enclave = Enclave::start(&deployment);
    let socket = deployment.path().join("enclave.sock");
    let mut wire = Wire::connect(&socket).await;
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.unwrap();
    wire.govern("laptop").await;
    let keys: Vec<_> = (0..KEYS).map(|n| new_key("alice", Chain::ALL[n % 4], n as u64)).collect();
    let records = wire.create("laptop", &keys).await.unwrap();
    drop((wire, enclave));

    // The next enclave makes no key: whatever it has of them it opened.
    deployment.add_key();
    let enclave = Enclave::start(&deployment);
    let mut wire = Wire::connect(&socket).await;
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.unwrap();
    wire.govern("laptop").await;
    let ids: Vec<_> = records.iter().map(|record| Record::parse(record).unwrap().header().key_id).collect();
    let rewrapped = wire.rewrap("laptop", &ids, &records).await.unwrap();
    let new = rewrapped.keys.into_iter().map(|key| match key {
        Ok(Rewrapping::Record { record, .. }) => record.into_vec(),
        other => panic!("{other:?}"),
    });
    let new: Vec<Vec<u8>> = new.collect();
    let memory = enclave.memory();
    assert!(!found(&memory, 0..1).is_empty(), "the session key is in use, and the scan finds it");
    assert_eq!(found(&memory, 1..KEYS as u64 + 1), [], "a private key after sealing it anew");
    let verified = wire.rewrap("laptop", &ids, &new).await.unwrap();
    assert!(verified.keys.iter().all(|key| matches!(key, Ok(Rewrapping::Current { .. }))));
    assert_eq!(found(&enclave.memory(), 1..KEYS as u64 + 1), [], "a private key after opening it");
}
