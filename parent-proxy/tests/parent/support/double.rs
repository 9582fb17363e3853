//! A double of the enclave's end of the wire. What it would usually answer is in `usual.rs`; a test
//! may have it say anything else.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use protocol::Endpoint;
use tokio::{io::AsyncWriteExt, sync::Mutex as AsyncMutex, task::JoinHandle};
use wire::{
    Answer, Operation, Refusal, Request, Response,
    frame::{self, Deadlines},
    transport::{self, Stream},
};

pub use super::usual::{KMS_KEY, State, keys_of, record, rewrapped};

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(60), frame: Duration::from_secs(10) };

/// What the double says to a request.
pub enum Reply {
    /// What an enclave would.
    Usual,
    /// This.
    Say(Result<Answer, Refusal>),
    /// What an enclave would, but later; other requests are answered meanwhile.
    After(Duration),
    /// What an enclave would, without the lines that this put on the log.
    WithoutLines,
    /// Nothing.
    Nothing,
    /// Nothing, and for so long it reads nothing more on this connection.
    Deaf(Duration),
    /// What an enclave would, but nobody hears it: it closes the connection.
    DoneAndClose,
    /// It closes the connection.
    Close,
    /// It writes these bytes, which are no frame.
    Raw(Vec<u8>),
    /// What an enclave would, under another id.
    OtherId,
}

type Script = dyn Fn(&Operation) -> Reply + Send + Sync;

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
            state: Arc::new(Mutex::new(State::new())),
            script: Arc::new(Mutex::new(Arc::new(|_: &Operation| Reply::Usual))),
            connections: Arc::default(),
            accepting: Arc::default(),
        };
        double.start(socket);
        double
    }

    /// Begins to accept, on the same or another socket.
    pub fn start(&self, socket: &Path) {
        let mut listener = transport::listen(&Endpoint::Unix(socket.into())).unwrap();
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

    /// Ends and comes back as another boot, as soon as its socket is free.
    pub async fn restart(&self, socket: &Path, document: &[u8]) {
        self.kill();
        self.reboot(document);
        while transport::listen(&Endpoint::Unix(socket.into())).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.start(socket);
    }

    /// As an enclave that was started anew: nothing of before is known to it.
    pub fn reboot(&self, document: &[u8]) {
        let mut state = self.state.lock().unwrap();
        let before = std::mem::replace(&mut *state, State::new());
        state.document = document.to_vec();
        state.phase = before.phase;
        state.operations = before.operations;
        state.keys_made = before.keys_made;
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
            self.state.lock().unwrap().operations.push(request.operation.name());
            let script = Arc::clone(&self.script.lock().unwrap());
            let mut id = request.id;
            let mut delay = Duration::ZERO;
            let usual = |operation| self.state.lock().unwrap().usual(operation);
            let (result, log) = match script(&request.operation) {
                Reply::Usual => usual(request.operation),
                Reply::Say(result) => (result, Vec::new()),
                Reply::After(time) => {
                    delay = time;
                    usual(request.operation)
                }
                Reply::WithoutLines => (usual(request.operation).0, Vec::new()),
                Reply::Nothing => continue,
                Reply::Deaf(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
                Reply::DoneAndClose => {
                    let _ = usual(request.operation);
                    return;
                }
                Reply::Close => return,
                Reply::Raw(bytes) => {
                    let mut writer = writer.lock().await;
                    writer.write_all(&bytes).await.unwrap();
                    writer.flush().await.unwrap();
                    continue;
                }
                Reply::OtherId => {
                    id += 1000;
                    usual(request.operation)
                }
            };
            let writer = Arc::clone(&writer);
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                let bytes = Response { id, result, log }.encode().unwrap();
                let _ = frame::write(&mut *writer.lock().await, &bytes, DEADLINES).await;
            });
        }
    }
}
