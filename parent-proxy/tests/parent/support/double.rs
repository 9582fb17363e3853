//! A double of the enclave's end of the wire. It seals nothing and knows no secret: its records
//! have the right form and a ciphertext of zeros.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use attestation::{DocumentHash, Pcr};
use chains::{BitcoinNetwork, Curve, PublicKey};
use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use protocol::{
    AddressClaims, Answer, Credentials, Deployment, Description, Endpoint, KeyId, NewKey, Operation, Phase,
    Record, RecordHeader, Refusal, RefusalCode, Request, Response,
    certificate::Issuer,
    frame::{self, Deadlines},
    transport::Stream,
};
use serde_bytes::{ByteArray, ByteBuf};
use tokio::{io::AsyncWriteExt, sync::Mutex as AsyncMutex, task::JoinHandle};

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(60), frame: Duration::from_secs(10) };

/// What the double says to a request.
pub enum Reply {
    /// What an enclave would.
    Usual,
    /// This.
    Say(Result<Answer, Refusal>),
    /// What an enclave would, but later; other requests are answered meanwhile.
    After(Duration),
    /// Nothing.
    Nothing,
    /// It closes the connection.
    Close,
    /// It writes these bytes, which are no frame.
    Raw(Vec<u8>),
    /// What an enclave would, under another id.
    OtherId,
}

type Script = dyn Fn(&Operation) -> Reply + Send + Sync;

/// What the double has, and what it has seen.
pub struct State {
    pub deployment: Deployment,
    pub phase: Phase,
    pub document: Vec<u8>,
    pub claimed_hash: Option<DocumentHash>,
    pub credentials: Vec<Credentials>,
    pub operations: Vec<&'static str>,
    pub keys_made: usize,
}

/// The double.
#[derive(Clone)]
pub struct Double {
    pub state: Arc<Mutex<State>>,
    script: Arc<Mutex<Arc<Script>>>,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    accepting: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Double {
    /// Listens on a socket file.
    pub fn listen(socket: &Path) -> Self {
        let double = Self {
            state: Arc::new(Mutex::new(State {
                deployment: "laptop".parse().unwrap(),
                phase: Phase::Serving,
                document: b"the first boot document".to_vec(),
                claimed_hash: None,
                credentials: Vec::new(),
                operations: Vec::new(),
                keys_made: 0,
            })),
            script: Arc::new(Mutex::new(Arc::new(|_: &Operation| Reply::Usual))),
            connections: Arc::default(),
            accepting: Arc::default(),
        };
        double.start(socket);
        double
    }

    /// Begins to accept, on the same or another socket.
    pub fn start(&self, socket: &Path) {
        let mut listener = Endpoint::Unix(socket.into()).listen().unwrap();
        let double = self.clone();
        let accepting = tokio::spawn(async move {
            while let Ok(stream) = listener.accept().await {
                let serving = tokio::spawn(double.clone().serve(stream));
                double.connections.lock().unwrap().push(serving);
            }
        });
        *self.accepting.lock().unwrap() = Some(accepting);
    }

    /// Stops at once, as a killed process would.
    pub fn kill(&self) {
        if let Some(accepting) = self.accepting.lock().unwrap().take() {
            accepting.abort();
        }
        self.connections.lock().unwrap().drain(..).for_each(|connection| connection.abort());
    }

    /// What to say from now on.
    pub fn script(&self, script: impl Fn(&Operation) -> Reply + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    /// How many requests of a kind there were.
    pub fn count(&self, operation: &str) -> usize {
        self.state.lock().unwrap().operations.iter().filter(|name| **name == operation).count()
    }

    async fn serve(self, stream: Stream) {
        let (mut reader, writer) = tokio::io::split(stream);
        let writer = Arc::new(AsyncMutex::new(writer));
        while let Ok(Some(bytes)) = frame::read(&mut reader, DEADLINES).await {
            let request = Request::decode(&bytes).unwrap();
            self.state.lock().unwrap().operations.push(name(&request.operation));
            let script = Arc::clone(&self.script.lock().unwrap());
            let mut id = request.id;
            let mut delay = Duration::ZERO;
            let result = match script(&request.operation) {
                Reply::Usual => self.usual(request.operation),
                Reply::Say(result) => result,
                Reply::After(time) => {
                    delay = time;
                    self.usual(request.operation)
                }
                Reply::Nothing => continue,
                Reply::Close => return,
                Reply::Raw(bytes) => {
                    let mut writer = writer.lock().await;
                    writer.write_all(&bytes).await.unwrap();
                    writer.flush().await.unwrap();
                    continue;
                }
                Reply::OtherId => {
                    id += 1000;
                    self.usual(request.operation)
                }
            };
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let bytes = Response { id, result }.encode().unwrap();
                let _ = frame::write(&mut *writer.lock().await, &bytes, DEADLINES).await;
            });
        }
    }

    /// What an enclave would answer.
    pub fn usual(&self, operation: Operation) -> Result<Answer, Refusal> {
        let mut state = self.state.lock().unwrap();
        match operation {
            Operation::Describe => Ok(Answer::Description(Description {
                deployment: state.deployment.clone(),
                phase: state.phase,
                pcr0: Pcr::new([1; 48]),
                document: ByteBuf::from(state.document.clone()),
                document_hash: state.claimed_hash.unwrap_or_else(|| DocumentHash::of(&state.document)),
                time: 1_700_000_000_000,
            })),
            Operation::Attest { nonce } => Ok(Answer::Document(nonce)),
            Operation::PutCredentials(credentials) => {
                state.credentials.push(credentials);
                if state.phase == Phase::AwaitingCredentials {
                    state.phase = Phase::Serving;
                }
                Ok(Answer::CredentialsAccepted)
            }
            Operation::CreateKeys { .. } if state.phase != Phase::Serving => {
                Err(Refusal::new(RefusalCode::NotReady, "credentials were expected"))
            }
            Operation::CreateKeys { keys } => {
                state.keys_made += keys.len();
                let document = DocumentHash::of(&state.document);
                let records = keys.iter().map(|key| ByteBuf::from(record(&state.deployment, key, document)));
                Ok(Answer::Records(records.collect()))
            }
            Operation::CheckRecord { key_id, record } => match Record::parse(&record) {
                Ok(record) if record.header().key_id == key_id => Ok(Answer::RecordOpened),
                Ok(_) => Err(Refusal::new(RefusalCode::RecordIdentity, "another key's record")),
                Err(_) => Err(Refusal::new(RefusalCode::RecordMalformed, "a record was expected")),
            },
        }
    }
}

fn name(operation: &Operation) -> &'static str {
    match operation {
        Operation::Describe => "describe",
        Operation::Attest { .. } => "attest",
        Operation::PutCredentials(_) => "put_credentials",
        Operation::CreateKeys { .. } => "create_keys",
        Operation::CheckRecord { .. } => "check_record",
    }
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
        kms_key: "arn:aws:kms:us-east-1:000000000000:key/k".into(),
        data_key: ByteBuf::from(vec![1; 184]),
        nonce: ByteArray::new(rand::random()),
    };
    let claims = AddressClaims::of(&header, Pcr::new([1; 48]), document);
    let certificate = Issuer::new(&session).unwrap().issue(&claims).unwrap();
    Record::seal::<protocol::RecordError>(header, certificate, |_| Ok(vec![0; 48])).unwrap().encode().unwrap()
}
