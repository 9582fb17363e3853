//! One enclave with its KMS, a log and a policy, and a parent that does what it should: keys are
//! made and kept, transactions are signed with them, and the log is read.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use chains::Chain;
use enclave_app::{Entropy, Secret, entropy::EntropyError};
use protocol::{
    KeyId, NewKey, Purpose, Record,
    log::{Decision, Entry},
    request::SignedRequest,
};
use rand::{TryRng, rngs::SysRng};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal, SignedTransaction};

use crate::{
    authority::{self, BACKEND, Client},
    config::Config,
    deployment::Deployment,
    enclave::TestEnclave,
    wire::{Wire, new_key, signature_body},
};

/// The deployment of all scenes.
pub const DEPLOYMENT: &str = "laptop";

pub struct Scene {
    pub deployment: Deployment,
    pub enclave: TestEnclave,
    pub wire: Wire,
}

/// A key that the enclave made, with the record that the parent stores.
#[derive(Debug, Clone)]
pub struct DepositKey {
    pub id: KeyId,
    pub chain: Chain,
    pub address: String,
    pub taproot: Option<String>,
    pub record: Vec<u8>,
}

impl DepositKey {
    /// The key of a record that the enclave made.
    pub fn of(record: Vec<u8>) -> Self {
        let parsed = Record::parse(&record).unwrap();
        let header = parsed.header();
        Self {
            id: header.key_id,
            chain: header.chain,
            address: header.address.clone(),
            taproot: header.taproot_address.clone(),
            record,
        }
    }
}

impl Scene {
    /// Under the policy that all tests share.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// The same, with a changed measured configuration.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut scene = Self::ungoverned(change).await;
        scene.wire.put_policy(&authority::policy(DEPLOYMENT, 1)).await.unwrap();
        scene
    }

    /// The keys that are made first have these secrets, so that transactions that name other people's
    /// keys can be asked for with them.
    pub async fn with_secrets(secrets: Vec<[u8; 32]>) -> Self {
        let known = Arc::new(Known::default());
        let deployment = Deployment::new();
        let enclave = deployment.boot_with(known.clone());
        known.0.lock().unwrap().extend(secrets);
        let wire = deployment.wire(&enclave).await;
        Self { deployment, enclave, wire }
    }

    /// With a log and credentials, but no policy.
    pub async fn ungoverned(change: impl FnOnce(&mut Config)) -> Self {
        let deployment = Deployment::with(change);
        let enclave = deployment.boot();
        let wire = begun(&deployment, &enclave).await;
        Self { deployment, enclave, wire }
    }

    /// Ends the enclave and boots the next one: it has a log and credentials, and nothing more.
    pub async fn reboot(self) -> Self {
        let Self { deployment, enclave, wire } = self;
        drop(wire);
        enclave.stop().await;
        let enclave = deployment.boot();
        let wire = begun(&deployment, &enclave).await;
        Self { deployment, enclave, wire }
    }

    /// Puts the policy that all tests share, changed, in this version.
    pub async fn put_policy(&mut self, version: u64, change: impl FnOnce(&mut Value)) {
        let mut policy = authority::policy(DEPLOYMENT, version);
        change(&mut policy);
        self.wire.put_policy(&policy).await.unwrap();
    }

    /// A sweep key of index 0.
    pub async fn key(&mut self, user: &str, chain: Chain) -> DepositKey {
        self.keys(&[new_key(user, chain, 0)]).await.remove(0)
    }

    pub async fn keys(&mut self, keys: &[NewKey]) -> Vec<DepositKey> {
        let records = self.wire.create(DEPLOYMENT, keys).await.unwrap();
        records.into_iter().map(DepositKey::of).collect()
    }

    /// A secondary wallet of the desk.
    pub async fn api_key(&mut self, chain: Chain) -> DepositKey {
        self.keys(&[api_key(chain, 0)]).await.remove(0)
    }

    /// Has a transaction signed with one key.
    pub async fn sign(&mut self, key: &DepositKey, transaction: &[u8]) -> Result<SignedTransaction, Refusal> {
        self.wire.sign(DEPLOYMENT, key.chain, std::slice::from_ref(&key.record), transaction).await
    }

    /// What the enclave says of a transaction without signing it.
    pub async fn explain(&mut self, key: &DepositKey, transaction: &[u8]) -> Value {
        let body = signature_body(key.chain, std::slice::from_ref(&key.record), transaction);
        let request = request(&BACKEND, "POST", "/v1/signatures/explain", &body.to_string());
        let records = vec![ByteBuf::from(key.record.clone())];
        match self.wire.ask(Operation::Sign { request, records }).await {
            Ok(Answer::Explanation(json)) => serde_json::from_str(&json).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Has many transactions signed with one request, each with one key.
    pub async fn sign_batch(
        &mut self,
        items: &[(&DepositKey, Vec<u8>)],
    ) -> Vec<Result<SignedTransaction, Refusal>> {
        let mut records: Vec<&DepositKey> = Vec::new();
        for (key, _) in items {
            if !records.iter().any(|seen| seen.id == key.id) {
                records.push(key);
            }
        }
        let signatures: Vec<Value> = items
            .iter()
            .map(|(key, bytes)| signature_body(key.chain, std::slice::from_ref(&key.record), bytes))
            .collect();
        let body = json!({ "signatures": signatures }).to_string();
        let request = request(&BACKEND, "POST", "/v1/signatures/batch", &body);
        let records = records.into_iter().map(|key| ByteBuf::from(key.record.clone())).collect();
        match self.wire.ask(Operation::Sign { request, records }).await {
            Ok(Answer::Signatures(signed)) => signed,
            other => panic!("{other:?}"),
        }
    }

    /// All entries that came with answers, in the order in which they came.
    pub fn entries(&self) -> Vec<Entry> {
        entries(&self.wire)
    }

    /// What the last entry says: operation, client, tag.
    pub fn last_entry(&self) -> (String, Option<String>, String) {
        let entry = self.entries().pop().unwrap();
        assert_eq!(
            entry.event.outcome.decision() == Decision::Allow,
            entry.event.outcome.tag().as_str() == "ok"
        );
        (
            entry.event.operation.to_string(),
            entry.event.client.map(|client| client.to_string()),
            entry.event.outcome.tag().to_string(),
        )
    }

    /// Shows that the enclave goes on: it opens the key's record and signs with it.
    pub async fn serves(&mut self, key: &DepositKey, amount: u64) {
        self.sign(key, &crate::transactions::sweep(key, amount)).await.expect("the enclave goes on");
    }
}

/// Secrets that a test chose, then random ones.
#[derive(Default)]
struct Known(Mutex<VecDeque<[u8; 32]>>);

impl Entropy for Known {
    fn secret(&self) -> Result<Secret, EntropyError> {
        let chosen = self.0.lock().unwrap().pop_front();
        Secret::try_new(|bytes| match chosen {
            Some(chosen) => {
                bytes.copy_from_slice(&chosen);
                Ok(())
            }
            None => SysRng.try_fill_bytes(bytes).map_err(|_| EntropyError::Kernel),
        })
    }
}

async fn begun(deployment: &Deployment, enclave: &TestEnclave) -> Wire {
    let mut wire = enclave.wire().await;
    wire.ask(Operation::OpenLog { previous: None }).await.unwrap();
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.unwrap();
    wire
}

/// The entries of the lines that came with answers.
pub fn entries(wire: &Wire) -> Vec<Entry> {
    wire.log.iter().map(|line| Entry::parse(line.line.as_bytes()).unwrap()).collect()
}

/// A request to the scene's deployment.
pub fn request(client: &Client, method: &str, path: &str, body: &str) -> SignedRequest {
    client.request(DEPLOYMENT, method, path, body.as_bytes())
}

/// A secondary wallet of the desk to ask for.
pub fn api_key(chain: Chain, index: u64) -> NewKey {
    let label = Some("market maker".parse().unwrap());
    NewKey { purpose: Purpose::Secondary, label, ..new_key("desk", chain, index) }
}

/// The tag of a refusal.
pub fn tag<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().tag().to_owned()
}
