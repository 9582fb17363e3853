//! Logs as enclaves write them: simulated boots under one root, each with its chain.
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

use attestation::{AttestationDoc, AttestationRequest, DocumentHash, Nsm, Pcr, PcrIndex};
use ed25519_dalek::SigningKey;
use protocol::{
    Deployment, SessionBinding, SessionKey,
    log::{
        BootFacts, Chain, Checkpoint, ContentHash, Detail, Head, NewEntry, OperationName, Outcome, ReasonTag,
    },
};
use serde_bytes::ByteArray;
use simulator::{NsmConfig, PcrConfig, SimulatedNsm, pki::NsmRoot, system_clock};

pub(crate) const DEPLOYMENT: &str = "laptop";
const CONFIG: [u8; 48] = [4; 48];

/// A root and the image that runs under it.
pub(crate) struct World {
    pub(crate) root: NsmRoot,
    pub(crate) pcrs: PcrConfig,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) fn new() -> Self {
        let root = NsmRoot::ephemeral(&system_clock()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("root.pem"), root.pem()).unwrap();
        Self { root, pcrs: PcrConfig::measure(b"kernel", b"program", b"configuration"), folder }
    }

    /// Where a test may keep what it likes.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The arguments by which a verifier believes this world.
    pub(crate) fn trust(&self) -> Vec<String> {
        let pcr0 = self.pcrs.get(PcrIndex::IMAGE).unwrap();
        ["--deployment", DEPLOYMENT, "--root", &self.text("root.pem"), "--pcr", &format!("0={pcr0}")]
            .map(str::to_owned)
            .into()
    }

    /// An enclave that starts now.
    pub(crate) fn boot(&self, previous: Option<Head>) -> Enclave {
        Enclave::start(&self.root, &self.pcrs, previous)
    }
}

/// A boot and everything that it wrote.
#[derive(Clone)]
pub(crate) struct Enclave {
    key: SigningKey,
    started: u64,
    pub(crate) boot: DocumentHash,
    pub(crate) document: Vec<u8>,
    facts: BootFacts,
    pub(crate) head: Head,
    pub(crate) lines: Vec<String>,
    pub(crate) last: Option<Checkpoint>,
}

impl Enclave {
    pub(crate) fn start(root: &NsmRoot, pcrs: &PcrConfig, previous: Option<Head>) -> Self {
        let nsm = SimulatedNsm::new(root, NsmConfig::new(pcrs.clone(), "eu-central-1")).unwrap();
        // Every boot has a key of its own: random bytes of its own module.
        let seed: [u8; 32] = nsm.random().unwrap()[..32].try_into().unwrap();
        let key = SigningKey::from_bytes(&seed);
        let binding = SessionBinding { v: 1, config: ByteArray::new(CONFIG), policy: None };
        let request = AttestationRequest::new(
            Some(binding.encode().unwrap()),
            Some(seed.to_vec()),
            Some(SessionKey::from(key.verifying_key()).to_spki()),
        );
        let document = nsm.attest(&request.unwrap()).unwrap();
        let doc = AttestationDoc::parse(&document).unwrap();
        let pcr0: Pcr = doc.pcr(PcrIndex::IMAGE).unwrap();
        let facts = BootFacts { previous, config: CONFIG, pcr0 };
        let (chain, first) = Chain::begin(doc.hash(), &facts, doc.timestamp());
        Self {
            key,
            started: doc.timestamp(),
            boot: doc.hash(),
            document,
            facts,
            head: chain.head(),
            lines: vec![first.text],
            last: None,
        }
    }

    /// Appends entries up to number `to`; every third is a denial.
    pub(crate) fn write(&mut self, to: u64) -> &mut Self {
        self.write_as(to, "backend")
    }

    pub(crate) fn write_as(&mut self, to: u64, client: &str) -> &mut Self {
        // A chain is not taken up again by an enclave; here it is, by writing it anew.
        let (mut chain, _) = Chain::begin(self.boot, &self.facts, self.started);
        let entries: Vec<_> =
            self.lines.iter().filter(|line| !line.contains("checkpoint")).cloned().collect();
        for line in &entries[1..] {
            let entry = protocol::log::Entry::parse(line.as_bytes()).unwrap();
            assert_eq!(chain.append(&entry.event, entry.time).text, *line);
        }
        while chain.head().seq < to {
            let n = chain.head().seq + 1;
            let outcome = if n.is_multiple_of(3) {
                Outcome::deny(ReasonTag::from_static("policy.evm.destination"))
            } else {
                Outcome::ALLOW
            };
            let entry = NewEntry {
                client: Some(client.parse().unwrap()),
                request: Some(ContentHash::of(&n.to_be_bytes())),
                ..NewEntry::new(OperationName::TRANSACTION_SIGN, outcome)
            };
            self.lines.push(chain.append(&entry, self.started + n).text);
        }
        self.head = chain.head();
        self
    }

    /// Stores a boot of this many long entries without holding them; answers how many bytes.
    pub(crate) fn store_long(&self, log: &Path, entries: u64) -> u64 {
        let (mut chain, first) = Chain::begin(self.boot, &self.facts, self.started);
        self.store(log, &[1]);
        let path = self.folder(log).join(segment(1));
        let mut file = BufWriter::new(File::create(&path).unwrap());
        writeln!(file, "{}", first.text).unwrap();
        let mut entry = NewEntry::new(OperationName::TRANSACTION_EXPLAIN, Outcome::ALLOW);
        entry.detail = Some(Detail::new(&entry.operation, &serde_json::json!({"found": "x".repeat(3500)})));
        while chain.head().seq < entries {
            writeln!(file, "{}", chain.append(&entry, self.started).text).unwrap();
        }
        let deployment: Deployment = DEPLOYMENT.parse().unwrap();
        let checkpoint = Checkpoint::sign(&self.key, &deployment, chain.head(), self.started);
        writeln!(file, "{}", checkpoint.to_line()).unwrap();
        file.into_inner().unwrap().metadata().unwrap().len()
    }

    /// Signs a checkpoint over the last entry.
    pub(crate) fn sign(&mut self) -> &mut Self {
        let deployment: Deployment = DEPLOYMENT.parse().unwrap();
        let checkpoint = Checkpoint::sign(&self.key, &deployment, self.head, self.started + self.head.seq);
        self.lines.push(checkpoint.to_line());
        self.last = Some(checkpoint);
        self
    }

    /// A checkpoint that another key signed over the last entry.
    pub(crate) fn sign_with_another_key(&mut self) {
        let key = SigningKey::from_bytes(&[7; 32]);
        let checkpoint = Checkpoint::sign(&key, &DEPLOYMENT.parse().unwrap(), self.head, self.started);
        self.lines.push(checkpoint.to_line());
    }

    /// Where entry `seq` is among the lines.
    pub(crate) fn at(&self, seq: u64) -> usize {
        self.lines.iter().position(|line| line.contains(&format!("\"seq\":{seq},\"time\""))).unwrap()
    }

    /// The lines from entry `from` on, as the parent answers them.
    pub(crate) fn page(&self, from: u64, most: usize) -> Vec<u8> {
        let Some(at) = (1..=self.head.seq).contains(&from).then(|| self.at(from)) else { return Vec::new() };
        self.lines[at..].iter().take(most).flat_map(|line| format!("{line}\n").into_bytes()).collect()
    }

    pub(crate) fn folder(&self, log: &Path) -> PathBuf {
        log.join(self.boot.to_string())
    }

    /// Stores the boot, beginning a segment with each of these entries.
    pub(crate) fn store(&self, log: &Path, segments: &[u64]) {
        let folder = self.folder(log);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("attestation.cose"), &self.document).unwrap();
        for (at, first) in segments.iter().enumerate() {
            let from = self.at(*first);
            let to = segments.get(at + 1).map_or(self.lines.len(), |next| self.at(*next));
            let text: String = self.lines[from..to].iter().map(|line| format!("{line}\n")).collect();
            fs::write(folder.join(segment(*first)), text).unwrap();
        }
    }
}

pub(crate) fn segment(first: u64) -> String {
    format!("{first:012}.jsonl")
}
