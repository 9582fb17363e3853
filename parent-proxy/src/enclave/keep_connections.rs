//! Keeping connections: connect, ask who is there, store its boot document, prepare its boot, pass
//! on credentials; then ask again and again, and start over when the connection is lost.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use wire::{Answer, Credentials, Description, Operation, Phase, transport};

use super::{
    Enclave, EnclaveError,
    ask::{Unusable, ask, refused},
    boot,
    connection::{Connection, deadlines},
    live::Line,
    pool::Pool,
};
use crate::{backoff::backoff, stop::Stop, store::StoreError};

/// Waits between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

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
    /// [`EnclaveError`]
    pub(crate) async fn refresh_restricting(&self) -> Result<Description, EnclaveError> {
        let description = match self.call_restricting(Operation::Describe).await? {
            (Answer::Description(description), _) => *description,
            _ => return Err(EnclaveError::Answer("a description")),
        };
        self.inner.described(&description);
        Ok(description)
    }

    /// Stores the boot document of the enclave that is there now.
    ///
    /// # Errors
    /// [`EnclaveError`] when it does not say who it is; within, what the store failed with.
    pub(crate) async fn store_document(&self) -> Result<Result<(), StoreError>, EnclaveError> {
        let description = self.describe().await?;
        match self.inner.attestations.store(&description.document).await {
            Ok(stored) if stored == description.document_hash => {
                self.inner.described(&description);
                Ok(Ok(()))
            }
            Ok(_) => Err(EnclaveError::Answer("a boot document under the SHA-256 of its bytes")),
            Err(error) => Ok(Err(error)),
        }
    }
}

async fn keep(number: usize, line: Line, pool: Arc<Pool>, mut stop: Stop) {
    let mut failures = 0u32;
    let mut reported = String::new();
    while !stop.is_said() {
        let started = Instant::now();
        let why = tokio::select! {
            why = connected(&pool, line) => why,
            () = stop.said() => return,
        };
        failures = if started.elapsed() > BACKOFF.1 { 0 } else { failures.saturating_add(1) };
        // The same fault over and over, on every connection, is one line.
        let text = why.to_string();
        if text != reported && number == 0 {
            tracing::warn!(enclave = %pool.endpoint, why = %text, "no connection to the enclave; trying again");
        }
        reported = text;
        tokio::select! {
            () = sleep(backoff(failures, BACKOFF.0, BACKOFF.1)) => {}
            () = stop.said() => return,
        }
    }
}

/// From connecting to losing the connection.
async fn connected(pool: &Pool, line: Line) -> Unusable {
    match introduced(pool).await {
        Ok((connection, description)) => {
            let connection = Arc::new(connection);
            pool.join(Arc::clone(&connection), description.document_hash, line);
            // Also when this future is dropped.
            let _member = Member { pool, connection: Arc::clone(&connection), line };
            let _count = pool.metrics.enclave_connection(line == Line::Restricting);
            tend(pool, &connection, line).await
        }
        Err(why) => why,
    }
}

struct Member<'i> {
    pool: &'i Pool,
    connection: Arc<Connection>,
    line: Line,
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        self.pool.leave(&self.connection, self.line);
        self.connection.end("it is no longer kept");
    }
}

/// Connects and gets to know the enclave. Before anyone can ask it for anything its boot document
/// is stored, its log has begun, and the orders that are stored are in effect.
async fn introduced(pool: &Pool) -> Result<(Connection, Description), Unusable> {
    let limits = &pool.limits;
    let stream = transport::connect(&pool.endpoint, limits.timeout).await?;
    let deadlines = deadlines(limits.heartbeat, limits.timeout);
    let connection = Connection::new(stream, deadlines, pool.book.clone());
    let description = known(pool, &connection, false).await?;
    Ok((connection, description))
}

/// Asks who is there, and does what its boot needs.
async fn known(pool: &Pool, connection: &Connection, in_use: bool) -> Result<Description, Unusable> {
    let description = describe(pool, connection).await?;
    if boot::prepare(pool, connection, &description, in_use).await? {
        describe(pool, connection).await
    } else {
        Ok(description)
    }
}

/// Asks who is there, and stores the boot document if it is new.
async fn describe(pool: &Pool, connection: &Connection) -> Result<Description, Unusable> {
    let description = match ask(pool, connection, Operation::Describe).await? {
        Ok(Answer::Description(description)) => *description,
        Ok(_) => return Err(Unusable::Answer("a description")),
        Err(refusal) => return Err(refused("describe itself", &refusal)),
    };
    let known = pool.state.borrow().deployment.clone().or_else(|| pool.expected.clone());
    if known.is_some_and(|known| known != description.deployment) {
        return Err(Unusable::Deployment);
    }
    if attestation::DocumentHash::of(&description.document) != description.document_hash {
        return Err(Unusable::Document);
    }
    pool.attestations.store(&description.document).await?;
    pool.described(&description);
    Ok(description)
}

/// Passes on credentials whenever there are new ones, or the enclave says that it has none; asks
/// who is there in between. Returns when the connection is lost. Credentials are for what clients ask, and
/// go on their lines alone.
async fn tend(pool: &Pool, connection: &Connection, line: Line) -> Unusable {
    let mut credentials = pool.credentials.clone();
    let mut passed_on: Option<Arc<Credentials>> = None;
    let mut beat = interval(pool.limits.heartbeat.max(Duration::from_millis(10)));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.reset();
    loop {
        let newest = credentials.borrow_and_update().clone();
        if line == Line::Common
            && newest != passed_on
            && let Some(newest) = newest
        {
            match pass_on(pool, connection, &newest).await {
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
        match known(pool, connection, true).await {
            Ok(description) if description.phase == Phase::AwaitingCredentials => passed_on = None,
            Ok(_) => {}
            Err(why) => return why,
        }
    }
}

/// False when the enclave refused.
async fn pass_on(pool: &Pool, connection: &Connection, credentials: &Credentials) -> Result<bool, Unusable> {
    let operation = Operation::PutCredentials(credentials.clone());
    match ask(pool, connection, operation).await? {
        Ok(Answer::CredentialsAccepted) => {
            // The phase may have changed with them.
            describe(pool, connection).await?;
            Ok(true)
        }
        Ok(_) => Err(Unusable::Answer("word that it has the credentials")),
        Err(refusal) => {
            tracing::warn!(code = refusal.code.as_str(), "the enclave refused credentials; trying again");
            Ok(false)
        }
    }
}
