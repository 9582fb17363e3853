//! The pool of connections: admits what the bound allows, picks the least busy connection, and
//! asks once more when one is lost. Every operation is harmless when repeated.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use attestation::document::MAX_DOCUMENT;
use bytes::Bytes;
use protocol::{
    Answer, Deployment, Description, Endpoint, KeyId, NewKey, Operation, Refusal, message::MAX_KEYS,
    record::MAX_RECORD,
};
use serde_bytes::ByteBuf;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    EnclaveState,
    connection::{Broken, Connection},
};
use crate::{credentials, metrics, metrics::Metrics, store::Attestations};

/// How long a second try waits for a connection: about as long as an enclave takes to come back.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// Why the enclave did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnclaveError {
    /// As much is under way as the bound allows.
    #[error("at most {0} requests under way in the enclave were expected")]
    Overloaded(usize),
    /// There is no connection, or it was lost twice.
    #[error("a connection to the enclave was expected")]
    Unavailable,
    /// It took too long.
    #[error("an answer of the enclave was expected within {0:?}")]
    Deadline(Duration),
    /// It refused.
    #[error("the enclave refused: {0}")]
    Refused(#[from] Refusal),
    /// It answered something else than was asked.
    #[error("{0} was expected of the enclave")]
    Answer(&'static str),
}

/// Bounds of the pool.
#[derive(Debug, Clone)]
pub struct EnclaveLimits {
    /// Connections.
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

/// The enclave, as the parent reaches it.
#[derive(Clone)]
pub struct Enclave {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) endpoint: Endpoint,
    pub(super) expected: Option<Deployment>,
    pub(super) limits: EnclaveLimits,
    pub(super) attestations: Attestations,
    pub(super) credentials: credentials::Current,
    pub(super) metrics: Arc<Metrics>,
    pub(super) state: watch::Sender<EnclaveState>,
    permits: Arc<Semaphore>,
    live: RwLock<Vec<Arc<Connection>>>,
}

/// What a request holds until it is answered.
struct Admitted {
    _permit: OwnedSemaphorePermit,
    _count: metrics::Held,
}

impl Enclave {
    /// A pool that connects once it is run. `expected` is the only deployment that is accepted;
    /// without it, that of the first answer.
    pub fn new(
        endpoint: Endpoint,
        expected: Option<Deployment>,
        limits: EnclaveLimits,
        attestations: Attestations,
        credentials: credentials::Current,
        metrics: Arc<Metrics>,
    ) -> Self {
        let state = EnclaveState { deployment: expected.clone(), ..EnclaveState::default() };
        Self {
            inner: Arc::new(Inner {
                endpoint,
                expected,
                permits: Arc::new(Semaphore::new(limits.in_flight)),
                limits,
                attestations,
                credentials,
                metrics,
                state: watch::Sender::new(state),
                live: RwLock::default(),
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

    /// Makes 1 to [`MAX_KEYS`] keys: their encoded records, in order.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn create_keys(&self, keys: Vec<NewKey>) -> Result<Vec<Bytes>, EnclaveError> {
        let count = keys.len();
        if !(1..=MAX_KEYS).contains(&count) {
            return Err(EnclaveError::Answer("1 to 256 keys to be asked"));
        }
        match self.call("create_keys", Operation::CreateKeys { keys }).await? {
            Answer::Records(records)
                if records.len() == count && records.iter().all(|record| record.len() <= MAX_RECORD) =>
            {
                Ok(records.into_iter().map(|record| Bytes::from(record.into_vec())).collect())
            }
            _ => Err(EnclaveError::Answer("one record for each key")),
        }
    }

    /// A fresh attestation document with this nonce.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn attest(&self, nonce: Vec<u8>) -> Result<Vec<u8>, EnclaveError> {
        match self.call("attest", Operation::Attest { nonce: ByteBuf::from(nonce) }).await? {
            Answer::Document(document) if (1..=MAX_DOCUMENT).contains(&document.len()) => {
                Ok(document.into_vec())
            }
            _ => Err(EnclaveError::Answer("an attestation document")),
        }
    }

    /// Has a stored record opened.
    ///
    /// # Errors
    /// [`EnclaveError`]; the enclave's refusal says what is wrong with the record.
    pub async fn check_record(&self, key_id: KeyId, record: &[u8]) -> Result<(), EnclaveError> {
        let record = ByteBuf::from(record);
        match self.call("check_record", Operation::CheckRecord { key_id, record }).await? {
            Answer::RecordOpened => Ok(()),
            _ => Err(EnclaveError::Answer("word that the record opened")),
        }
    }

    /// Who the enclave is now.
    ///
    /// # Errors
    /// [`EnclaveError`]
    pub async fn describe(&self) -> Result<Description, EnclaveError> {
        match self.call("describe", Operation::Describe).await? {
            Answer::Description(description) => Ok(description),
            _ => Err(EnclaveError::Answer("a description")),
        }
    }

    async fn call(&self, name: &'static str, operation: Operation) -> Result<Answer, EnclaveError> {
        let started = Instant::now();
        let result = self.admitted_call(operation, started).await;
        let outcome = match &result {
            Ok(_) => "ok",
            Err(EnclaveError::Overloaded(_)) => "overloaded",
            Err(EnclaveError::Unavailable) => "unavailable",
            Err(EnclaveError::Deadline(_)) => "deadline",
            Err(EnclaveError::Refused(refusal)) => refusal.code.as_str(),
            Err(EnclaveError::Answer(_)) => "unexpected",
        };
        self.inner.metrics.enclave_call(name, outcome, started.elapsed());
        result
    }

    async fn admitted_call(
        &self,
        mut operation: Operation,
        started: Instant,
    ) -> Result<Answer, EnclaveError> {
        let limits = &self.inner.limits;
        let permit = Arc::clone(&self.inner.permits)
            .try_acquire_owned()
            .map_err(|_| EnclaveError::Overloaded(limits.in_flight))?;
        let admitted =
            Arc::new(Admitted { _permit: permit, _count: self.inner.metrics.enclave_call_in_flight() });
        let deadline = started + limits.timeout;
        for second in [false, true] {
            let connection = if second { self.pick_soon().await } else { self.pick() };
            let connection = connection.ok_or(EnclaveError::Unavailable)?;
            let held = Arc::clone(&admitted);
            match connection.call(operation, Some(held), deadline).await {
                Ok(result) => return Ok(result?),
                Err((Broken::Lost, unanswered)) => operation = unanswered,
                Err((Broken::Deadline, _)) => return Err(EnclaveError::Deadline(limits.timeout)),
                Err((Broken::Request, _)) => {
                    return Err(EnclaveError::Answer("a request that fits a frame"));
                }
            }
        }
        Err(EnclaveError::Unavailable)
    }

    /// The live connection with the least under way.
    fn pick(&self) -> Option<Arc<Connection>> {
        let live = self.inner.live.read().unwrap_or_else(PoisonError::into_inner);
        live.iter().filter(|connection| connection.is_open()).min_by_key(|c| c.under_way()).cloned()
    }

    /// As [`Self::pick`], waiting a little for one.
    async fn pick_soon(&self) -> Option<Arc<Connection>> {
        let picked = async {
            loop {
                // Connections of one enclave end together: time to notice that of the others.
                sleep(Duration::from_millis(20)).await;
                if let Some(connection) = self.pick() {
                    return connection;
                }
            }
        };
        timeout(RETRY_WAIT, picked).await.ok()
    }
}

impl Inner {
    pub(super) fn join(&self, connection: Arc<Connection>) {
        self.live.write().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.state.send_modify(EnclaveState::connected);
        self.publish();
    }

    pub(super) fn leave(&self, connection: &Arc<Connection>) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.retain(|other| !Arc::ptr_eq(other, connection));
        drop(live);
        self.state.send_modify(EnclaveState::disconnected);
        self.publish();
    }

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

    fn publish(&self) {
        self.metrics.enclave_serving(self.state.borrow().is_serving());
    }
}
