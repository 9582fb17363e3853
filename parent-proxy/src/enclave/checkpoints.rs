//! The log from the enclave's side: lines that did not come are asked for again, and every second
//! with something new the enclave signs where its log stands.

use std::time::Duration;

use attestation::DocumentHash;
use protocol::log::Checkpoint;
use tokio::time::{sleep, timeout};
use wire::{Answer, LogLine, Operation};

use super::{Enclave, EnclaveError};
use crate::{
    log::{LogError, Source},
    stop::Stop,
};

/// How often the enclave is asked to sign.
const EVERY: Duration = Duration::from_secs(1);
/// How long the last checkpoint may take when the parent ends.
const LAST: Duration = Duration::from_secs(5);

impl Source for Enclave {
    async fn read(&self, from: u64) -> Vec<LogLine> {
        match self.ask_aside(Operation::ReadLog { from }).await {
            Ok(Answer::LogLines(lines)) => lines,
            Ok(_) => Vec::new(),
            Err(error) => {
                tracing::warn!(%error, from, "the enclave gives no lines of its log");
                Vec::new()
            }
        }
    }
}

impl Enclave {
    /// A signed checkpoint over all that the enclave wrote, JSON. Everything that it covers is on
    /// disk, and so will it be.
    ///
    /// # Errors
    /// [`EnclaveError`]; [`EnclaveError::Log`] when what it covers cannot be stored.
    pub async fn checkpoint(&self) -> Result<String, EnclaveError> {
        let (json, checkpoint) = self.signed_place().await?;
        self.inner.book.durable(checkpoint.head.seq).await.map_err(EnclaveError::Log)?;
        Ok(json)
    }

    /// Has the enclave sign every second in which something new was stored, until told to stop.
    pub(crate) async fn run_checkpoints(self, mut stop: Stop) {
        let mut done: Option<(DocumentHash, u64)> = None;
        loop {
            tokio::select! {
                () = sleep(EVERY) => {}
                () = stop.said() => return,
            }
            let stored = {
                let progress = self.inner.book.progress();
                let progress = progress.borrow();
                progress.boot.map(|boot| (boot, progress.stored))
            };
            if stored.is_none() || stored == done || !self.state().log_open {
                continue;
            }
            match self.signed_place().await {
                Ok(_) => done = stored,
                Err(EnclaveError::Unavailable) => {}
                Err(error) => tracing::warn!(%error, "the log has no new checkpoint"),
            }
        }
    }

    /// The last checkpoint before the parent ends: then the log ends with one.
    pub(crate) async fn last_checkpoint(&self) {
        if self.state().log_open && !matches!(timeout(LAST, self.checkpoint()).await, Ok(Ok(_))) {
            tracing::warn!("the log ends without a checkpoint; the next start makes good for it");
        }
    }

    /// Asks for a checkpoint and gives it to the book.
    async fn signed_place(&self) -> Result<(String, Checkpoint), EnclaveError> {
        let stored = self.inner.book.progress().borrow().stored;
        let Answer::Checkpoint(json) = self.ask_aside(Operation::Checkpoint { stored }).await? else {
            return Err(EnclaveError::Answer("a checkpoint"));
        };
        let checkpoint =
            Checkpoint::parse(json.as_bytes()).map_err(|_| EnclaveError::Answer("a checkpoint"))?;
        match self.inner.book.checkpoint(json.clone()) {
            Ok(()) => Ok((json, checkpoint)),
            Err(LogError::Line(expected)) => Err(EnclaveError::Answer(expected)),
            Err(error) => Err(EnclaveError::Log(error)),
        }
    }
}
