//! Keeping connections: connect, ask who is there, store its boot document, prepare its boot, pass
//! on credentials; then ask again and again, and start over when the connection is lost.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wire::{Answer, Credentials, Description, Operation, Phase, Refusal, transport};

use super::{
    Enclave, boot,
    connection::{Connection, Reply, deadlines},
    live::Line,
    pool::Inner,
};
use crate::{backoff::backoff, stop::Stop};

/// Waits between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Why a connection is not, or no longer, used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("connecting: {0}")]
    Connect(#[from] std::io::Error),
    #[error("{0}")]
    Ended(&'static str),
    #[error("an answer was expected before the deadline")]
    Silent,
    #[error("the enclave refused to {0}: {1}")]
    Refused(&'static str, String),
    #[error("{0} was expected of the enclave")]
    Answer(&'static str),
    #[error("a boot document under the SHA-256 of its bytes was expected")]
    Document,
    #[error("what the boot needs of the store: {0}")]
    Store(#[from] crate::store::StoreError),
    #[error("{0}")]
    Log(#[from] crate::log::LogError),
    #[error("an enclave of the deployment that this parent serves was expected")]
    Deployment,
}

impl Enclave {
    /// Keeps the connections until told to stop.
    pub(crate) async fn run(self, stop: Stop) {
        let lines = std::iter::repeat_n(Line::Common, self.inner.limits.connections);
        let lines = lines.chain([Line::Restricting]).enumerate();
        let keeping = |(number, line)| keep(number, line, Arc::clone(&self.inner), stop.clone());
        join_all(lines.map(keeping)).await;
    }

    /// Asks what has just changed, on the line on which it was changed.
    ///
    /// # Errors
    /// [`super::EnclaveError`]
    pub(crate) async fn refresh_restricting(&self) -> Result<Description, super::EnclaveError> {
        let description = match self.call_restricting(Operation::Describe).await? {
            (Answer::Description(description), _) => *description,
            _ => return Err(super::EnclaveError::Answer("a description")),
        };
        self.inner.described(&description);
        Ok(description)
    }

    /// Stores the boot document of the enclave that is there now.
    ///
    /// # Errors
    /// When it does not say who it is, or the store fails.
    pub(crate) async fn store_document(&self) -> Result<(), crate::creation::CreationError> {
        let description = self.describe().await?;
        let stored = self.inner.attestations.store(&description.document).await?;
        if stored == description.document_hash {
            self.inner.described(&description);
            Ok(())
        } else {
            Err(super::EnclaveError::Answer("a boot document under the SHA-256 of its bytes").into())
        }
    }
}

async fn keep(number: usize, line: Line, inner: Arc<Inner>, mut stop: Stop) {
    let mut failures = 0u32;
    let mut reported = String::new();
    while !stop.is_said() {
        let started = Instant::now();
        let why = tokio::select! {
            why = connected(&inner, line) => why,
            () = stop.said() => return,
        };
        failures = if started.elapsed() > BACKOFF.1 { 0 } else { failures.saturating_add(1) };
        // The same fault over and over, on every connection, is one line.
        let text = why.to_string();
        if text != reported && number == 0 {
            tracing::warn!(enclave = %inner.endpoint, why = %text, "no connection to the enclave; trying again");
        }
        reported = text;
        tokio::select! {
            () = sleep(backoff(failures, BACKOFF.0, BACKOFF.1)) => {}
            () = stop.said() => return,
        }
    }
}

/// From connecting to losing the connection.
async fn connected(inner: &Inner, line: Line) -> Unusable {
    match introduced(inner).await {
        Ok((connection, description)) => {
            let connection = Arc::new(connection);
            inner.join(Arc::clone(&connection), description.document_hash, line);
            // Also when this future is dropped.
            let _member = Member { inner, connection: Arc::clone(&connection), line };
            let _count = inner.metrics.enclave_connection(line == Line::Restricting);
            tend(inner, &connection, line).await
        }
        Err(why) => why,
    }
}

struct Member<'i> {
    inner: &'i Inner,
    connection: Arc<Connection>,
    line: Line,
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.inner.leave(&self.connection, self.line);
        self.connection.end("it is no longer kept");
    }
}

/// Connects and gets to know the enclave. Before anyone can ask it for anything its boot document
/// is stored, its log has begun, and the orders that are stored are in effect.
async fn introduced(inner: &Inner) -> Result<(Connection, Description), Unusable> {
    let limits = &inner.limits;
    let stream = transport::connect(&inner.endpoint, limits.timeout).await?;
    let deadlines = deadlines(limits.heartbeat, limits.timeout);
    let connection = Connection::new(stream, deadlines, inner.book.clone());
    let description = known(inner, &connection, false).await?;
    Ok((connection, description))
}

/// Asks who is there, and does what its boot needs.
async fn known(inner: &Inner, connection: &Connection, in_use: bool) -> Result<Description, Unusable> {
    let description = describe(inner, connection).await?;
    if boot::prepare(inner, connection, &description, in_use).await? {
        describe(inner, connection).await
    } else {
        Ok(description)
    }
}

/// Asks who is there, and stores the boot document if it is new.
async fn describe(inner: &Inner, connection: &Connection) -> Result<Description, Unusable> {
    let description = match ask(inner, connection, Operation::Describe).await? {
        Ok(Answer::Description(description)) => *description,
        Ok(_) => return Err(Unusable::Answer("a description")),
        Err(refusal) => return Err(refused("describe itself", &refusal)),
    };
    let known = inner.state.borrow().deployment.clone().or_else(|| inner.expected.clone());
    if known.is_some_and(|known| known != description.deployment) {
        return Err(Unusable::Deployment);
    }
    if attestation::DocumentHash::of(&description.document) != description.document_hash {
        return Err(Unusable::Document);
    }
    inner.attestations.store(&description.document).await?;
    inner.described(&description);
    Ok(description)
}

/// Passes on credentials whenever there are new ones, or the enclave says that it has none; asks
/// who is there in between. Returns when the connection is lost. Credentials are for what clients ask, and
/// go on their lines alone.
async fn tend(inner: &Inner, connection: &Connection, line: Line) -> Unusable {
    let mut credentials = inner.credentials.clone();
    let mut passed_on: Option<Arc<Credentials>> = None;
    let mut beat = interval(inner.limits.heartbeat.max(Duration::from_millis(10)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    loop {
        let newest = credentials.borrow_and_update().clone();
        if line == Line::Common
            && newest != passed_on
            && let Some(newest) = newest
        {
            match pass_on(inner, connection, &newest).await {
                Ok(true) => passed_on = Some(newest),
                // Refused: again at the next beat.
                Ok(false) => {}
                Err(why) => return why,
            }
        }
        tokio::select! {
            why = connection.ended() => return Unusable::Ended(why),
            _ = beat.tick() => {}
            // Without a keeper of credentials there are no new ones: the beat goes on.
            changed = credentials.changed() => if changed.is_ok() { continue } else { beat.tick().await; },
        }
        match known(inner, connection, true).await {
            Ok(description) if description.phase == Phase::AwaitingCredentials => passed_on = None,
            Ok(_) => {}
            Err(why) => return why,
        }
    }
}

/// False when the enclave refused.
async fn pass_on(
    inner: &Inner,
    connection: &Connection,
    credentials: &Credentials,
) -> Result<bool, Unusable> {
    let operation = Operation::PutCredentials(credentials.clone());
    match ask(inner, connection, operation).await? {
        Ok(Answer::CredentialsAccepted) => {
            // The phase may have changed with them.
            describe(inner, connection).await?;
            Ok(true)
        }
        Ok(_) => Err(Unusable::Answer("word that it has the credentials")),
        Err(refusal) => {
            tracing::warn!(code = refusal.code.as_str(), "the enclave refused credentials; trying again");
            Ok(false)
        }
    }
}

/// A refusal without which the connection is of no use.
pub(super) fn refused(to: &'static str, refusal: &Refusal) -> Unusable {
    Unusable::Refused(to, refusal.tag().to_owned())
}

/// One question beside those of clients: it is not counted against their bound. What it put on the
/// log is handed over.
pub(super) async fn ask(
    inner: &Inner,
    connection: &Connection,
    operation: Operation,
) -> Result<Result<Answer, Refusal>, Unusable> {
    let (name, started) = (operation.name(), Instant::now());
    let result = connection.call(operation, None, started + inner.limits.timeout).await;
    let (outcome, result) = match result {
        Ok(Reply { result: Ok(answer), .. }) => ("ok", Ok(Ok(answer))),
        Ok(Reply { result: Err(refusal), .. }) => (refusal.code.as_str(), Ok(Err(refusal))),
        Err((super::connection::Broken::Deadline, _)) => ("deadline", Err(Unusable::Silent)),
        Err(_) => ("unavailable", Err(Unusable::Ended(connection.ended().await))),
    };
    inner.metrics.enclave_call(name, outcome, started.elapsed());
    result
}
