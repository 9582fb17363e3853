//! Lines of a log as an enclave writes them, chained.

use attestation::DocumentHash;
use data_encoding::HEXLOWER;
use parent_proxy::log::{Book, BookLimits, Source};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{sync::oneshot, task::JoinHandle};
use wire::LogLine;

/// A boot's chain.
#[derive(Clone)]
pub struct Chain {
    pub document: Vec<u8>,
    prev: [u8; 32],
    seq: u64,
    pub time: u64,
}

impl Chain {
    /// A boot that is known by its document.
    pub fn of(document: &[u8]) -> Self {
        Self { document: document.to_vec(), prev: [0; 32], seq: 0, time: 1_700_000_000_000 }
    }

    pub fn boot(&self) -> DocumentHash {
        DocumentHash::of(&self.document)
    }

    /// The next entry, with these fields in place of a sweep's.
    pub fn next(&mut self, fields: &Value) -> LogLine {
        self.seq += 1;
        let mut entry = json!({
            "v": 1, "boot": self.boot(), "seq": self.seq, "time": self.time, "operation": "transaction.sign",
            "client": "backend", "keys": [], "decision": "allow", "tag": "ok", "policy": null, "request": null,
            "result": null, "detail": null, "prev": HEXLOWER.encode(&self.prev),
        });
        for (name, value) in fields.as_object().unwrap() {
            entry[name] = value.clone();
        }
        let line = entry.to_string();
        self.prev = Sha256::digest(line.as_bytes()).into();
        LogLine { seq: self.seq, line }
    }

    /// The next entries, all sweeps.
    pub fn sweeps(&mut self, count: u64) -> Vec<LogLine> {
        (0..count).map(|_| self.next(&json!({"detail": {"kind": "evm.native"}}))).collect()
    }

    /// A checkpoint over the last entry; nobody signed it.
    pub fn checkpoint(&self) -> String {
        format!(r#"{{"v":1,"boot":"{}","seq":{},"hash":"","time":1,"signature":""}}"#, self.boot(), self.seq)
    }
}

/// Nobody who has lines.
pub struct Nobody;

impl Source for Nobody {
    async fn read(&self, _from: u64) -> Vec<LogLine> {
        Vec::new()
    }
}

/// A service that runs until it is told to stop.
pub struct Service {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Service {
    pub fn start<F: Future<Output = ()> + Send + 'static>(
        service: impl FnOnce(oneshot::Receiver<()>) -> F,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop, task: tokio::spawn(service(stopped)) }
    }

    pub async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }

    /// As a killed process would.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A book that is being kept.
pub async fn book(folder: &std::path::Path, chain: &Chain, limits: BookLimits) -> (Book, Service) {
    let book = Book::open(folder, limits, std::sync::Arc::default()).unwrap();
    let keeping = book.clone();
    let service = Service::start(|stopped| keeping.run(Nobody, async move { drop(stopped.await) }));
    book.begin(chain.boot(), &chain.document).await.unwrap();
    (book, service)
}
