//! The parent's side of the wire, frame by frame.

use std::{path::Path, time::Duration};

use chains::Chain;
use protocol::{
    Answer, Index, NewKey, Operation, Purpose, Refusal, Request, Response,
    frame::{self, Deadlines},
};
use tokio::{io::AsyncWriteExt, net::UnixStream};

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_secs(60), frame: Duration::from_secs(60) };

/// One connection to an enclave.
pub struct Wire {
    stream: UnixStream,
    next: u64,
}

impl Wire {
    pub async fn connect(socket: &Path) -> Self {
        Self { stream: UnixStream::connect(socket).await.unwrap(), next: 1 }
    }

    /// Asks and waits for the answer.
    pub async fn ask(&mut self, operation: Operation) -> Result<Answer, Refusal> {
        let id = self.send(operation).await;
        let response = self.receive().await.expect("an answer");
        assert_eq!(response.id, id);
        response.result
    }

    /// Asks without waiting; returns the request's id.
    pub async fn send(&mut self, operation: Operation) -> u64 {
        let id = self.next;
        self.next += 1;
        let body = Request { id, operation }.encode().unwrap();
        frame::write(&mut self.stream, &body, DEADLINES).await.unwrap();
        id
    }

    /// The next answer, in whatever order they come; `None` when the enclave closed.
    pub async fn receive(&mut self) -> Option<Response> {
        let body = frame::read(&mut self.stream, DEADLINES).await.ok()??;
        Some(Response::decode(&body).unwrap())
    }

    /// Sends bytes that may be no frame at all.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }
}

/// A key to ask for.
pub fn new_key(user: &str, chain: Chain, index: u64) -> NewKey {
    NewKey {
        user: user.parse().unwrap(),
        chain,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
        label: None,
    }
}
