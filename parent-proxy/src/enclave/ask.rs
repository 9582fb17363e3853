//! Questions that keep a connection, beside those of clients, and why one is of no use.

use tokio::time::Instant;
use wire::{Answer, Operation, Refusal};

use super::{
    connection::{Broken, Connection, Reply},
    pool::Pool,
};

/// Why a connection is not, or no longer, used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("connecting: {0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Ended(&'static str),
    #[error("the enclave did not answer before the deadline")]
    Silent,
    #[error("the enclave refused to {0}: {1}")]
    Refused(&'static str, String),
    #[error("the enclave was asked for {0}, and answered something else")]
    Answer(&'static str),
    #[error("the enclave's boot document has another SHA-256 than it says")]
    Document,
    #[error("what the boot needs of the store: {0}")]
    Store(#[from] crate::store::StoreError),
    #[error("{0}")]
    Log(#[from] crate::log::LogError),
    #[error("the enclave is of another deployment than this parent serves")]
    Deployment,
}

/// A refusal without which the connection is of no use.
pub(super) fn refused(to: &'static str, refusal: &Refusal) -> Unusable {
    Unusable::Refused(to, refusal.tag().to_owned())
}

/// One question beside those of clients: it is not counted against their bound. What it put on the
/// log is handed over.
pub(super) async fn ask(
    pool: &Pool,
    connection: &Connection,
    operation: Operation,
) -> Result<Result<Answer, Refusal>, Unusable> {
    let (name, started) = (operation.name(), Instant::now());
    let result = connection.call(operation, None, started + pool.limits.timeout).await;
    let (outcome, result) = match result {
        Ok(Reply { result: Ok(answer), .. }) => ("ok", Ok(Ok(answer))),
        Ok(Reply { result: Err(refusal), .. }) => (refusal.code.as_str(), Ok(Err(refusal))),
        Err((Broken::Deadline, _)) => ("deadline", Err(Unusable::Silent)),
        Err(_) => ("unavailable", Err(Unusable::Ended(connection.ended().await))),
    };
    pool.metrics.enclave_call(name, outcome, started.elapsed());
    result
}
