//! What an enclave would answer. This one seals nothing and knows no secret: its records have the
//! right form and a ciphertext of zeros, and its signed transactions are the unsigned ones. Its
//! log, its policies and its orders are what the protocol says they are.

use std::collections::{BTreeSet, HashSet};

use attestation::{DocumentHash, Pcr};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use protocol::{
    AddressClaims, Deployment, KeyId, NewKey, OrderId, PolicyRef, Record, RecordHeader,
    api::{self, Route},
    certificate::Issuer,
    dsse::{Envelope, ORDER_TYPE, POLICY_TYPE},
    log::{BootFacts, Chain as LogChain, Checkpoint, EntryHash, Head, NewEntry, OperationName, Outcome},
    order::Order,
    policy::Policy,
    request::SignedRequest,
};
use serde_bytes::{ByteArray, ByteBuf};
use wire::{
    Answer, Credentials, Description, LogHead, LogLine, Operation, OrderAccepted, Phase, Refusal,
    RefusalCode as Code, Rewrapped, Rewrapping, SignedTransaction,
};

use super::client;

/// The time at which everything happens.
const NOW: u64 = 1_700_000_000_000;

/// The KMS key of what the double makes.
pub const KMS_KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/k";

/// What the double has, and what it has seen.
pub struct State {
    pub deployment: Deployment,
    pub phase: Phase,
    pub document: Vec<u8>,
    pub claimed_hash: Option<DocumentHash>,
    pub credentials: Vec<Credentials>,
    /// The first seals; records that are made are under [`KMS_KEY`] all the same.
    pub kms_keys: Vec<String>,
    pub operations: Vec<&'static str>,
    pub keys_made: usize,
    pub orders: BTreeSet<OrderId>,
    pub policy: Option<PolicyRef>,
    pub activated: bool,
    /// What the log begins after.
    pub previous: Option<LogHead>,
    /// The highest number that the parent said it stores.
    pub stored: u64,
    pub lines: Vec<LogLine>,
    chain: Option<LogChain>,
    nonces: HashSet<String>,
}

fn refuse<T>(code: Code, tag: &str) -> Result<T, Refusal> {
    Err(Refusal::new(code, "something else was expected").tagged(tag))
}

impl State {
    pub fn new() -> Self {
        Self {
            deployment: "laptop".parse().unwrap(),
            phase: Phase::Serving,
            document: b"the first boot document".to_vec(),
            claimed_hash: None,
            credentials: Vec::new(),
            kms_keys: vec![KMS_KEY.into()],
            operations: Vec::new(),
            keys_made: 0,
            orders: BTreeSet::new(),
            policy: None,
            activated: true,
            previous: None,
            stored: 0,
            lines: Vec::new(),
            chain: None,
            nonces: HashSet::new(),
        }
    }

    pub fn boot(&self) -> DocumentHash {
        DocumentHash::of(&self.document)
    }

    /// The answer, and what it put on the log.
    pub fn usual(&mut self, operation: Operation) -> (Result<Answer, Refusal>, Vec<LogLine>) {
        let logged = self.lines.len();
        let result = self.answer(operation);
        (result, self.lines.get(logged..).unwrap_or_default().to_vec())
    }

    fn note(&mut self, result: &Result<Answer, Refusal>) {
        let outcome = match result {
            Ok(_) => Outcome::ALLOW,
            Err(refusal) => Outcome::deny(refusal.tag().parse().unwrap()),
        };
        if let Some(chain) = &mut self.chain {
            let line = chain.append(&NewEntry::new(OperationName::REQUEST, outcome), NOW);
            self.lines.push(LogLine { seq: line.seq, line: line.text });
        }
    }

    fn answer(&mut self, operation: Operation) -> Result<Answer, Refusal> {
        match operation {
            Operation::Describe => Ok(Answer::Description(Box::new(Description {
                deployment: self.deployment.clone(),
                phase: self.phase,
                pcr0: Pcr::new([1; 48]),
                document: ByteBuf::from(self.document.clone()),
                document_hash: self.claimed_hash.unwrap_or_else(|| self.boot()),
                time: NOW,
                kms_keys: self.kms_keys.clone(),
                log_open: self.chain.is_some(),
                policy: self.policy.clone(),
                active: self.policy.is_some() && self.activated,
            }))),
            Operation::Attest { nonce } => Ok(Answer::Document(nonce)),
            Operation::PutCredentials(credentials) => {
                self.credentials.push(credentials);
                if self.phase == Phase::AwaitingCredentials {
                    self.phase = Phase::Serving;
                }
                Ok(Answer::CredentialsAccepted)
            }
            Operation::OpenLog { previous } => Ok(Answer::LogOpened(self.open_log(previous))),
            Operation::ReadLog { from } => {
                let lines = self.lines.iter().filter(|line| line.seq >= from).take(1000);
                Ok(Answer::LogLines(lines.cloned().collect()))
            }
            Operation::Checkpoint { stored } => {
                self.stored = self.stored.max(stored);
                let Some(chain) = &self.chain else { return refuse(Code::LogUnavailable, "log.unavailable") };
                let key = SigningKey::from_bytes(&[9; 32]);
                let checkpoint = Checkpoint::sign(&key, &self.deployment, chain.head(), NOW);
                Ok(Answer::Checkpoint(checkpoint.to_json()))
            }
            Operation::State => Ok(Answer::State(wire::State {
                policy: self.policy.clone(),
                active: self.policy.is_some() && self.activated,
                crediting: Chain::ALL.into_iter().map(|chain| (chain, chain == Chain::Evm)).collect(),
                orders: self.orders.iter().copied().collect(),
            })),
            logged => {
                if self.chain.is_none() {
                    return refuse(Code::LogUnavailable, "log.unavailable");
                }
                let result = self.logged(logged);
                self.note(&result);
                result
            }
        }
    }

    fn open_log(&mut self, previous: Option<LogHead>) -> LogHead {
        let boot = self.boot();
        if self.chain.is_none() {
            let head = previous.as_ref().map(|head| Head {
                boot: head.boot,
                seq: head.seq,
                hash: EntryHash::new(*head.hash),
            });
            let facts = BootFacts { previous: head, config: [0; 48], pcr0: Pcr::new([1; 48]) };
            let (chain, line) = LogChain::begin(boot, &facts, NOW);
            self.chain = Some(chain);
            self.lines.push(LogLine { seq: line.seq, line: line.text });
            self.previous = previous;
        }
        let head = self.chain.as_ref().unwrap().head();
        LogHead { boot, seq: head.seq, hash: ByteArray::new(*head.hash.as_bytes()) }
    }

    fn logged(&mut self, operation: Operation) -> Result<Answer, Refusal> {
        match operation {
            Operation::PutPolicy { envelope } => self.put_policy(&envelope),
            Operation::Activate { .. } => {
                self.activated = true;
                Ok(Answer::Activated)
            }
            Operation::ReplayOrders { envelopes } => {
                let taken = envelopes.iter().filter_map(|envelope| self.take(envelope).ok());
                Ok(Answer::OrdersReplayed(taken.map(|(order, _)| order.id()).collect()))
            }
            Operation::Authorize { request } => self.authorize(&request),
            Operation::SubmitOrder { request } => self.submit(&request),
            Operation::Sign { request, records } => self.sign(&request, &records),
            Operation::Rewrap { request, records } => self.rewrap(&request, &records),
            Operation::Create { .. } | Operation::Confirm { .. } if self.phase != Phase::Serving => {
                Err(Refusal::new(Code::NotReady, "credentials were expected"))
            }
            Operation::Create { request, positions } => {
                self.recognise(&request)?;
                let wanted = keys_of(&request);
                let keys: Vec<NewKey> = positions.iter().map(|at| wanted[*at as usize].clone()).collect();
                assert!(keys.iter().all(|key| key.purpose == keys[0].purpose));
                self.keys_made += keys.len();
                let document = self.boot();
                let records = keys.iter().map(|key| ByteBuf::from(record(&self.deployment, key, document)));
                Ok(Answer::Records(records.collect()))
            }
            Operation::Confirm { request, records } => {
                let route = self.recognise(&request)?;
                let shown = records.iter().map(|record| match (Record::parse(record), route) {
                    (Ok(_), Route::CheckKey(_)) => Ok("a.state.ment".into()),
                    (Ok(record), _) => Ok(record.certificate().to_owned()),
                    (Err(_), _) => Err(Refusal::new(Code::RecordMalformed, "a record was expected")),
                });
                Ok(Answer::Confirmed(shown.collect()))
            }
            _ => unreachable!("not logged"),
        }
    }

    /// Who asks, once: one client, with one key.
    fn admit(&mut self, request: &SignedRequest) -> Result<Route, Refusal> {
        let route = self.recognise(request)?;
        if self.nonces.insert(request.open().unwrap().nonce().to_owned()) {
            Ok(route)
        } else {
            refuse(Code::Unauthenticated, "auth.replayed")
        }
    }

    /// Who asks, as often as it comes.
    fn recognise(&self, request: &SignedRequest) -> Result<Route, Refusal> {
        let signature = match request.open() {
            Ok(signature) => signature,
            Err(error) => return refuse(Code::Unauthenticated, error.tag()),
        };
        if signature.keyid() != client::ID {
            return refuse(Code::Unauthenticated, "auth.client");
        }
        if let Err(error) = signature.verify(&client::key().verifying_key()) {
            return refuse(Code::Unauthenticated, error.tag());
        }
        Route::from_request(&request.method, &request.path, request.query.as_deref())
            .map_or_else(|| refuse(Code::Forbidden, "auth.role"), Ok)
    }

    fn authorize(&mut self, request: &SignedRequest) -> Result<Answer, Refusal> {
        self.admit(request)?;
        Ok(Answer::Authorized(client::ID.into()))
    }

    fn put_policy(&mut self, envelope: &[u8]) -> Result<Answer, Refusal> {
        let payload = Envelope::parse(envelope, POLICY_TYPE).and_then(|envelope| envelope.payload());
        let Ok(payload) = payload else { return refuse(Code::PolicyRefused, "dsse.malformed") };
        let Ok(policy) = Policy::parse(&payload) else {
            return refuse(Code::PolicyRefused, "policy.malformed");
        };
        let reference = policy.reference();
        if self.policy.as_ref().is_some_and(|policy| policy.version > reference.version) {
            return refuse(Code::PolicyRefused, "policy.version");
        }
        self.policy = Some(reference.clone());
        Ok(Answer::PolicyAccepted(reference))
    }

    fn take(&mut self, envelope: &[u8]) -> Result<(Order, bool), Refusal> {
        let payload = Envelope::parse(envelope, ORDER_TYPE).and_then(|envelope| envelope.payload());
        let order = payload.ok().and_then(|payload| Order::parse(&payload).ok());
        let Some(order) = order else { return refuse(Code::OrderRefused, "dsse.malformed") };
        let new = self.orders.insert(order.id());
        Ok((order, new))
    }

    fn submit(&mut self, request: &SignedRequest) -> Result<Answer, Refusal> {
        let envelope = match self.admit(request)? {
            Route::ReplaceKey(_) => api::replacement_order(&request.body).unwrap(),
            _ => request.body.to_vec(),
        };
        let (order, new) = self.take(&envelope)?;
        Ok(Answer::OrderAccepted(OrderAccepted { order: order.id(), new }))
    }

    /// A record whose ciphertext is not the double's zeros does not open.
    fn rewrap(&mut self, request: &SignedRequest, records: &[ByteBuf]) -> Result<Answer, Refusal> {
        self.admit(request)?;
        let kms_key = self.kms_keys[0].clone();
        let records: Vec<Record> = records.iter().map(|record| Record::parse(record).unwrap()).collect();
        let keys = api::rewrapped_keys(&request.body).unwrap().into_iter().map(|key_id| {
            let record = records.iter().find(|record| record.header().key_id == key_id);
            let Some(record) = record else { return refuse(Code::RecordIdentity, "record.identity") };
            if record.ciphertext() != [0; 48] {
                return refuse(Code::RecordTampered, "record.tampered");
            }
            if record.header().kms_key == kms_key {
                return Ok(Rewrapping::Current { public_key: record.header().public_key.clone() });
            }
            let public_key = record.header().public_key.clone();
            let record = rewrapped(&record.encode().unwrap(), &kms_key);
            Ok(Rewrapping::Record { record: ByteBuf::from(record), public_key })
        });
        Ok(Answer::Rewrapped(Rewrapped { keys: keys.collect(), kms_key }))
    }

    fn sign(&mut self, request: &SignedRequest, records: &[ByteBuf]) -> Result<Answer, Refusal> {
        let route = self.admit(request)?;
        let wanted = api::signatures(route, &request.body).unwrap();
        let mut keys: Vec<KeyId> = Vec::new();
        for key in wanted.iter().flat_map(|wanted| &wanted.keys) {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        let found: Vec<KeyId> =
            records.iter().map(|record| Record::parse(record).unwrap().header().key_id).collect();
        let there: Vec<KeyId> = keys.into_iter().filter(|key| found.contains(key)).collect();
        assert_eq!(found, there, "each record once, in the order of first mention");
        if route == Route::Explain {
            return Ok(Answer::Explanation(r#"{"allowed":true,"rules":"deposits"}"#.into()));
        }
        let sign = |wanted: &api::TransactionToSign| {
            if !wanted.keys.iter().all(|key| found.contains(key)) {
                return refuse(Code::RecordIdentity, "record.identity");
            }
            let bytes = api::decode_transaction(wanted.chain, &wanted.transaction);
            let Ok(bytes) = bytes else { return refuse(Code::TransactionRefused, "transaction.encoding") };
            Ok(SignedTransaction {
                transaction: ByteBuf::from(bytes),
                id: "an id".into(),
                kind: "native".into(),
                network: "1".into(),
                public_keys: wanted.keys.iter().map(|_| ByteBuf::from([2; 33])).collect(),
            })
        };
        Ok(Answer::Signatures(wanted.iter().map(sign).collect()))
    }
}

/// The same names and certificate under another KMS key.
pub fn rewrapped(record: &[u8], kms_key: &str) -> Vec<u8> {
    let record = Record::parse(record).unwrap();
    let header = RecordHeader {
        kms_key: kms_key.into(),
        data_key: ByteBuf::from(vec![2; 184]),
        nonce: ByteArray::new(rand::random()),
        ..record.header().clone()
    };
    let certificate = record.certificate().to_owned();
    Record::seal::<protocol::RecordError>(header, certificate, |_| Ok(vec![0; 48])).unwrap().encode().unwrap()
}

/// A record of the right form; each time another one.
pub fn record(deployment: &Deployment, key: &NewKey, document: DocumentHash) -> Vec<u8> {
    let session = SigningKey::from_bytes(&[9; 32]);
    let public_key = match key.chain.curve() {
        Curve::Secp256k1 => {
            HEXLOWER.decode(b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798").unwrap()
        }
        Curve::Ed25519 => session.verifying_key().to_bytes().to_vec(),
    };
    let point = PublicKey::from_bytes(key.chain.curve(), &public_key).unwrap();
    let addresses = chains::addresses(key.chain, &point, BitcoinNetwork::Mainnet).unwrap();
    let header = RecordHeader {
        deployment: deployment.clone(),
        key_id: KeyId::derive(deployment, &key.path()),
        user: key.user.clone(),
        chain: key.chain,
        purpose: key.purpose,
        index: key.index,
        label: key.label.clone(),
        public_key: ByteBuf::from(public_key),
        address: addresses.address,
        taproot_address: addresses.taproot,
        created: 1_700_000_000_123,
        kms_key: KMS_KEY.into(),
        data_key: ByteBuf::from(vec![1; 184]),
        nonce: ByteArray::new(rand::random()),
    };
    let claims = AddressClaims::from_record(&header, Pcr::new([1; 48]), document);
    let certificate = Issuer::new(&session).unwrap().issue(&claims).unwrap();
    Record::seal::<protocol::RecordError>(header, certificate, |_| Ok(vec![0; 48])).unwrap().encode().unwrap()
}

/// The keys that a request has made.
pub fn keys_of(request: &SignedRequest) -> Vec<NewKey> {
    match Route::from_request(&request.method, &request.path, None) {
        Some(Route::ReplaceKey(_)) => {
            let envelope = api::replacement_order(&request.body).unwrap();
            let payload = Envelope::parse(&envelope, ORDER_TYPE).unwrap().payload().unwrap();
            vec![Order::parse(&payload).unwrap().replacement().unwrap().clone()]
        }
        route => api::new_keys(route.unwrap(), &request.body).unwrap(),
    }
}
