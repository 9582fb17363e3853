//! The pool of connections: admits what the bound allows, picks the least busy connection, and
//! asks once more when one is lost. Every operation is harmless when repeated.

use std::{sync::Arc, time::Duration};

use attestation::DocumentHash;
use protocol::{Deployment, Endpoint};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};
use wire::{Answer, Description, LogLine, Operation, Refusal};

use super::{
    EnclaveState,
    connection::{Broken, Connection, Reply},
    live::{Line, LiveConnections},
    told::Told,
};
use crate::{
    clients::Clients,
    credentials,
    log::{Book, LogError},
    metrics,
    metrics::Metrics,
    store::{Attestations, Orders, Policies, Store},
};

/// The tag of a request that the enclave took before.
const REPLAYED: &str = "auth.replayed";

/// Why the enclave did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnclaveError {
    /// As much is under way as the bound allows.
    #[error("{0} requests are under way in the enclave, as many as are allowed: retry later")]
    Overloaded(usize),
    /// There is no connection, or it was lost twice.
    #[error("there is no connection to the enclave: retry later")]
    Unavailable,
    /// It took too long.
    #[error("the enclave did not answer within {0:?}")]
    Deadline(Duration),
    /// It refused.
    #[error("the enclave refused: {0}")]
    Refused(#[from] Refusal),
    /// It answered something else than was asked.
    #[error("the enclave was asked for {0}, and answered something else")]
    Answer(&'static str),
    /// What it is asked does not fit a frame.
    #[error("the request does not fit a frame of 1 MiB")]
    TooLarge,
    /// What it put on the log is not stored, so nobody hears its answer.
    #[error("the log: {0}")]
    Log(#[source] LogError),
}

/// Bounds of the pool.
#[derive(Debug, Clone)]
pub struct EnclaveLimits {
    /// Connections for what clients ask. There is one more for what restricts.
    pub connections: usize,
    /// Requests under way.
    pub in_flight: usize,
    /// For an answer, a second try included.
    pub timeout: Duration,
    /// Between questions on a connection.
    pub heartbeat: Duration,
}

impl Default for EnclaveLimits {
    fn default() -> Self {
        Self {
            connections: 4,
            in_flight: 256,
            timeout: Duration::from_secs(10),
            heartbeat: Duration::from_secs(5),
        }
    }
}

/// What a pool works with.
pub struct EnclaveParts {
    /// Where the enclave listens.
    pub endpoint: Endpoint,
    /// The only deployment that is accepted; without it, that of the first answer.
    pub expected: Option<Deployment>,
    /// Bounds.
    pub limits: EnclaveLimits,
    /// Where boot documents, policies and orders are.
    pub store: Store,
    /// Boot documents, with what is known of them.
    pub attestations: Attestations,
    /// For the enclave to reach KMS with.
    pub credentials: credentials::Current,
    /// Where the enclave's lines go.
    pub book: Book,
    /// Who hears of policies that are in force.
    pub clients: Arc<Clients>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// The enclave, as the parent reaches it.
#[derive(Clone)]
pub struct Enclave {
    pub(super) inner: Arc<Pool>,
}

pub(super) struct Pool {
    pub(super) endpoint: Endpoint,
    pub(super) expected: Option<Deployment>,
    pub(super) limits: EnclaveLimits,
    pub(super) attestations: Attestations,
    pub(super) orders: Orders,
    pub(super) policies: Policies,
    pub(super) credentials: credentials::Current,
    pub(super) book: Book,
    pub(super) clients: Arc<Clients>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: watch::Sender<EnclaveState>,
    pub(super) told: AsyncMutex<Told>,
    permits: Arc<Semaphore>,
    live: LiveConnections,
}

/// What a request holds until it is answered.
struct Admitted {
    /// None for what restricts, whose number the API bounds.
    _permit: Option<OwnedSemaphorePermit>,
    _count: metrics::Held,
}

impl Enclave {
    /// A pool that connects once it is run.
    pub fn new(parts: EnclaveParts) -> Self {
        let EnclaveParts {
            endpoint,
            expected,
            limits,
            store,
            attestations,
            credentials,
            book,
            clients,
            metrics,
        } = parts;
        let state = EnclaveState { deployment: expected.clone(), ..EnclaveState::default() };
        Self {
            inner: Arc::new(Pool {
                endpoint,
                expected,
                permits: Arc::new(Semaphore::new(limits.in_flight)),
                limits,
                attestations,
                orders: store.orders(),
                policies: store.policies(),
                credentials,
                book,
                clients,
                metrics,
                state: watch::Sender::new(state),
                told: AsyncMutex::default(),
                live: LiveConnections::default(),
            }),
        }
    }

    /// What is known of the enclave.
    pub fn state(&self) -> EnclaveState {
        self.inner.state.borrow().clone()
    }

    /// Changes of what is known of the enclave.
    pub fn watch(&self) -> watch::Receiver<EnclaveState> {
        self.inner.state.subscribe()
    }

    /// Asks for a client. The answer is passed on once all that it put on the log is on disk.
    pub(super) async fn call(&self, operation: Operation) -> Result<Answer, EnclaveError> {
        self.call_as(operation.name(), operation).await
    }

    /// The same, counted under another name.
    pub(super) async fn call_as(
        &self,
        name: &'static str,
        operation: Operation,
    ) -> Result<Answer, EnclaveError> {
        let started = Instant::now();
        let result = self.admitted_call(operation, Line::Common, started).await;
        let result = result.map(|(answer, _)| answer);
        self.count(name, &result, started);
        result
    }

    /// Asks for what restricts, on the line for it. With the answer comes the last line that this put
    /// on the log.
    pub(super) async fn call_restricting(
        &self,
        operation: Operation,
    ) -> Result<(Answer, Option<LogLine>), EnclaveError> {
        let (name, started) = (operation.name(), Instant::now());
        let result = self.admitted_call(operation, Line::Restricting, started).await;
        self.count(name, &result, started);
        result
    }

    /// Asks beside what clients ask: not counted against their bound, and without waiting for the
    /// log. Only of the boot whose log is being written.
    pub(super) async fn ask_aside(&self, operation: Operation) -> Result<Answer, EnclaveError> {
        let (name, started) = (operation.name(), Instant::now());
        let boot = self.inner.book.progress().borrow().boot;
        let limit = self.inner.limits.timeout;
        let asked = async {
            let connection =
                self.inner.live.pick(Line::Restricting, boot).ok_or(EnclaveError::Unavailable)?;
            match connection.call(operation, None, started + limit).await {
                Ok(Reply { result, .. }) => Ok(result?),
                Err((Broken::Lost, _)) => Err(EnclaveError::Unavailable),
                Err((Broken::Deadline, _)) => Err(EnclaveError::Deadline(limit)),
                Err((Broken::Request, _)) => Err(EnclaveError::TooLarge),
            }
        };
        let result = asked.await;
        self.count(name, &result, started);
        result
    }

    fn count<T>(&self, name: &'static str, result: &Result<T, EnclaveError>, started: Instant) {
        let outcome = match result {
            Ok(_) => "ok",
            Err(EnclaveError::Overloaded(_)) => "overloaded",
            Err(EnclaveError::Unavailable) => "unavailable",
            Err(EnclaveError::Deadline(_)) => "deadline",
            Err(EnclaveError::Refused(refusal)) => refusal.code.as_str(),
            Err(EnclaveError::Answer(_)) => "unexpected",
            Err(EnclaveError::TooLarge) => "too_large",
            Err(EnclaveError::Log(_)) => "log",
        };
        self.inner.metrics.enclave_call(name, outcome, started.elapsed());
    }

    async fn admitted_call(
        &self,
        mut operation: Operation,
        line: Line,
        started: Instant,
    ) -> Result<(Answer, Option<LogLine>), EnclaveError> {
        let limits = &self.inner.limits;
        let permit = || Arc::clone(&self.inner.permits).try_acquire_owned();
        let permit = (line == Line::Common).then(permit).transpose();
        let permit = permit.map_err(|_| EnclaveError::Overloaded(limits.in_flight))?;
        let admitted =
            Arc::new(Admitted { _permit: permit, _count: self.inner.metrics.enclave_call_in_flight() });
        let deadline = started + limits.timeout;
        for second in [false, true] {
            let live = &self.inner.live;
            let connection = if second { live.pick_soon(line).await } else { live.pick(line, None) };
            let connection = connection.ok_or(EnclaveError::Unavailable)?;
            let held = Arc::clone(&admitted);
            match connection.call(operation, Some(held), deadline).await {
                Ok(Reply { result, log }) => {
                    let last = log.last();
                    if let Err(error) = log.stored().await {
                        if matches!(error, LogError::OtherBoot) {
                            // The enclave is another one now: get to know it.
                            connection.end("its lines are of another boot than the one that was introduced");
                        }
                        return Err(EnclaveError::Log(error));
                    }
                    return match result {
                        // It was our first try that the enclave took; its answer is lost.
                        Err(refusal) if second && refusal.tag() == REPLAYED => Err(EnclaveError::Unavailable),
                        result => Ok((result?, last)),
                    };
                }
                Err((Broken::Lost, unanswered)) => operation = unanswered,
                Err((Broken::Deadline, _)) => return Err(EnclaveError::Deadline(limits.timeout)),
                Err((Broken::Request, _)) => return Err(EnclaveError::TooLarge),
            }
        }
        Err(EnclaveError::Unavailable)
    }
}

impl Pool {
    pub(super) fn described(&self, description: &Description) {
        let mut before = EnclaveState::default();
        self.state.send_if_modified(|state| {
            before = state.clone();
            state.described(description);
            *state != before
        });
        if before.document != Some(description.document_hash) {
            tracing::info!(
                deployment = %description.deployment,
                pcr0 = %description.pcr0,
                document = %description.document_hash,
                "an enclave that started anew"
            );
        }
        self.publish();
    }

    pub(super) fn join(&self, connection: Arc<Connection>, boot: DocumentHash, line: Line) {
        self.live.add(connection, boot, line);
        // Whether it serves is a question of what clients can reach.
        if line == Line::Common {
            self.state.send_modify(EnclaveState::connected);
        }
        self.publish();
    }

    pub(super) fn leave(&self, connection: &Arc<Connection>, line: Line) {
        self.live.remove(connection);
        if line == Line::Common {
            self.state.send_modify(EnclaveState::disconnected);
        }
        self.publish();
    }

    fn publish(&self) {
        self.metrics.enclave_serving(self.state.borrow().is_serving());
    }
}
