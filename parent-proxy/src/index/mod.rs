//! The index: which keys there are, and which key an address is of, on the parent's own disk. The
//! store can answer neither: its objects are named by key id, and a folder lists in no order.
//!
//! It is not trusted and holds nothing that the store does not. Whoever is answered from it gets the
//! records themselves, which prove what they are; what it leaves out, it leaves out. A file that is
//! lost or damaged is made anew from the store, and all that the store lists is looked through at every
//! start and then again and again, so that keys of other parents of the deployment are found as well.
//! Nothing here keeps the parent from serving.

mod database;
mod refresh;
mod writing;

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use protocol::KeyId;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, mpsc},
    task::spawn_blocking,
};

use crate::{address::StoredKey, metrics::Metrics, store::Keys};
use database::{Database, DatabaseError};
use writing::Adding;

/// The most keys that are found for an address. There is one, unless the store was made to lie.
const MOST_OF_ADDRESS: usize = 16;
/// Additions that wait to be written.
const WAITING: usize = 1024;

/// What the index is made of.
#[derive(Debug, Clone)]
pub struct IndexConfig {
    /// The file.
    pub path: PathBuf,
    /// Which store it is of; an index of another one is made anew.
    pub store: String,
    /// The time between two looks through the store.
    pub refresh: Duration,
}

/// Why the index does not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The store was not looked through since the start: what was found so far may not be all.
    #[error("the index of keys is being made from the store")]
    Building,
    /// Its file cannot be used.
    #[error("the index of keys cannot be read: {0}")]
    Failed(String),
}

/// Some keys of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundKeys {
    /// In the order of their ids.
    pub keys: Vec<KeyId>,
    /// Whether there are more behind them.
    pub more: bool,
    /// All that the store had at this time is in the index.
    pub as_of: Option<SystemTime>,
}

/// A key, and what it is found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// The key.
    pub key: KeyId,
    /// Its addresses; none where its record cannot be read.
    pub addresses: Option<Vec<String>>,
}

impl IndexEntry {
    /// Of a stored key.
    pub fn from_stored(key: &StoredKey) -> Self {
        let addresses = key.addresses().map(str::to_owned).collect();
        Self { key: key.key_id(), addresses: Some(addresses) }
    }
}

/// The index. Cheap to clone.
#[derive(Clone)]
pub struct Index {
    inner: Arc<IndexInner>,
}

struct IndexInner {
    config: IndexConfig,
    keys: Keys,
    metrics: Arc<Metrics>,
    state: RwLock<OpenIndex>,
    add: mpsc::Sender<Adding>,
    /// What is to be added, for whoever writes.
    adding: AsyncMutex<mpsc::Receiver<Adding>>,
    /// Its file is of no more use.
    broken: Notify,
}

#[derive(Default)]
struct OpenIndex {
    database: Option<Arc<Database>>,
    /// When the last look through the store that came to its end began.
    as_of: Option<SystemTime>,
    /// The file is damaged, and to be made anew.
    damaged: bool,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Index {
    /// Of these records. It answers once [`Self::run`] has looked through them.
    pub fn new(config: IndexConfig, keys: Keys, metrics: Arc<Metrics>) -> Self {
        let (add, adding) = mpsc::channel(WAITING);
        let (state, adding, broken) = (RwLock::default(), AsyncMutex::new(adding), Notify::new());
        Self { inner: Arc::new(IndexInner { config, keys, metrics, state, add, adding, broken }) }
    }

    /// Keys after this one, at most `limit`.
    ///
    /// # Errors
    /// [`IndexError`]
    pub async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<FoundKeys, IndexError> {
        let (database, as_of) = self.inner.complete()?;
        let mut keys =
            self.ask(database, move |database| database.page(after, limit.saturating_add(1))).await?;
        let more = keys.len() > limit;
        keys.truncate(limit);
        Ok(FoundKeys { keys, more, as_of: Some(as_of) })
    }

    /// The keys that have an address. Whether they do is for their records to say.
    ///
    /// # Errors
    /// [`IndexError`]; [`IndexError::Building`] only where none is found yet.
    pub async fn find(&self, address: &str) -> Result<FoundKeys, IndexError> {
        let (database, as_of) = {
            let state = self.inner.state();
            (state.database.clone().ok_or(IndexError::Building)?, state.as_of)
        };
        let address = address.to_owned();
        let keys = self.ask(database, move |database| database.find(&address, MOST_OF_ADDRESS)).await?;
        if keys.is_empty() && as_of.is_none() {
            return Err(IndexError::Building);
        }
        Ok(FoundKeys { keys, more: false, as_of })
    }

    /// Asks the file. One that fails is opened again, and one that is damaged made anew.
    async fn ask<T: Send + 'static>(
        &self,
        database: Arc<Database>,
        question: impl FnOnce(&Database) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, IndexError> {
        let (error, damaged) = match spawn_blocking(move || question(&database)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => (error.to_string(), database::is_damage(&error)),
            Err(fault) => (fault.to_string(), true),
        };
        self.inner.close(&error, damaged);
        Err(IndexError::Failed(error))
    }
}

impl IndexInner {
    fn state(&self) -> std::sync::RwLockReadGuard<'_, OpenIndex> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, OpenIndex> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self) -> Result<(Arc<Database>, SystemTime), IndexError> {
        let state = self.state();
        state.database.clone().zip(state.as_of).ok_or(IndexError::Building)
    }

    /// Uses the open file no more.
    fn close(&self, error: &str, damaged: bool) {
        tracing::error!(error, damaged, "the index of keys failed; it is opened again, or made anew");
        let mut state = self.state_mut();
        let damaged = damaged || state.damaged;
        *state = OpenIndex { damaged, ..OpenIndex::default() };
        drop(state);
        self.metrics.index().complete(false);
        self.broken.notify_one();
    }
}

/// How an address is compared: of those that may be written in two cases, the lower one.
pub fn canonical(address: &str) -> String {
    let lower = address.to_ascii_lowercase();
    let any_case = ["0x", "bc1", "tb1", "bcrt1"].iter().any(|prefix| lower.starts_with(prefix));
    if any_case { lower } else { address.to_owned() }
}
