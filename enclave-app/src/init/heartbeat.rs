//! The sign of life that nitro-cli waits for: one byte to the parent's port 9000, and the same byte
//! back (AWS's `aws-nitro-enclaves-sdk-bootstrap`, `init.c`). It is said once the program listens, so
//! `nitro-cli run-enclave` ends well only for an enclave that serves.

use std::{io, time::Duration};

use protocol::Endpoint;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use wire::transport;

/// The port of the parent.
const PORT: u32 = 9000;
const BEAT: u8 = 0xb7;
const DEADLINE: Duration = Duration::from_secs(9);
/// How long to wait before a connection is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// Nobody on the other side waits for it.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// No connection, or it ended.
    #[error("port {PORT} of the parent: {0}")]
    Io(#[from] io::Error),
    /// An answer, but another one.
    #[error("port {PORT} of the parent: {BEAT:#x} was expected, found {0:#x}")]
    Answer(u8),
}

/// Says it to the parent with this CID.
///
/// # Errors
/// [`HeartbeatError`]; the enclave can serve all the same.
pub async fn say(parent_cid: u32) -> Result<(), HeartbeatError> {
    beat(&Endpoint::Vsock { cid: parent_cid, port: PORT }).await
}

async fn beat(parent: &Endpoint) -> Result<(), HeartbeatError> {
    let exchange = async {
        // The kernel gives up a connection after 2 s, which a busy host may need to take it.
        let mut stream = loop {
            match transport::connect(parent, DEADLINE).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => sleep(AGAIN).await,
                connected => break connected?,
            }
        };
        stream.write_all(&[BEAT]).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    match timeout(DEADLINE, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?? {
        BEAT => Ok(()),
        other => Err(HeartbeatError::Answer(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;

    async fn answered(answer: &'static [u8]) -> Result<(), HeartbeatError> {
        let path = std::env::temp_dir().join(format!("heartbeat-{}-{}", std::process::id(), answer.len()));
        let listener = UnixListener::bind(&path).unwrap();
        let parent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = stream.read_u8().await.unwrap();
            stream.write_all(answer).await.unwrap();
            heard
        });
        let result = beat(&Endpoint::Unix(path.clone())).await;
        assert_eq!(parent.await.unwrap(), 0xb7);
        std::fs::remove_file(path).unwrap();
        result
    }

    #[tokio::test]
    async fn the_byte_is_said_and_expected_back() {
        assert!(answered(&[0xb7]).await.is_ok());
        assert!(matches!(answered(&[1, 2]).await, Err(HeartbeatError::Answer(1))));
        assert!(matches!(answered(&[]).await, Err(HeartbeatError::Io(_))));
        let nobody = Endpoint::Unix("/nonexistent/heartbeat".into());
        assert!(matches!(beat(&nobody).await, Err(HeartbeatError::Io(_))));
    }
}
