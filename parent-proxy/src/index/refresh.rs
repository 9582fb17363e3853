//! Looking through the store, at the start and again and again, for keys that the index does not have.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::KeyId;
use tokio::{task::spawn_blocking, time::sleep};

use super::{Index, IndexEntry, IndexError, OpenIndex, database::Database};
use crate::{address::StoredKey, backoff::backoff, store::StoreError};

/// Keys that are compared with the index at once.
const CHUNK: usize = 512;
/// Records that are read at once: what clients ask for comes first.
const READ_AT_ONCE: usize = 16;
/// Waits after a failure.
const FAILED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Why the store was not looked through.
#[derive(Debug, thiserror::Error)]
enum RefreshError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Index(#[from] IndexError),
}

impl Index {
    /// Keeps the index until told to stop.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = stop => {}
            () = self.write() => {}
            () = self.keep() => {}
        }
        // Closed in order, so that the next start need not look for what a crash left of it.
        *self.inner.state_mut() = OpenIndex::default();
    }

    async fn keep(&self) {
        let mut failures = 0u32;
        loop {
            let refreshed = match self.open().await {
                Ok(database) => self.refresh(&database).await,
                Err(error) => Err(error.into()),
            };
            let pause = match refreshed {
                Ok(()) => {
                    failures = 0;
                    self.inner.config.refresh
                }
                Err(error) => {
                    self.inner.metrics.index().failed();
                    tracing::warn!(%error, "the store was not looked through for keys; trying again");
                    let pause = backoff(failures, FAILED.0, FAILED.1);
                    failures = failures.saturating_add(1);
                    pause
                }
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.inner.broken.notified() => sleep(FAILED.0).await,
            }
        }
    }

    /// The file, opened where it is not.
    async fn open(&self) -> Result<Arc<Database>, IndexError> {
        let damaged = {
            let state = self.inner.state();
            if let Some(database) = &state.database {
                return Ok(Arc::clone(database));
            }
            state.damaged
        };
        let config = self.inner.config.clone();
        let opened = spawn_blocking(move || {
            if damaged {
                Database::remove(&config.path).map_err(|error| error.to_string())?;
            }
            Database::open(&config.path, &config.store).map_err(|error| error.to_string())
        });
        let opened = opened.await.map_err(|fault| fault.to_string()).and_then(|opened| opened);
        let database = Arc::new(opened.map_err(IndexError::Failed)?);
        *self.inner.state_mut() =
            OpenIndex { database: Some(Arc::clone(&database)), as_of: None, damaged: false };
        Ok(database)
    }

    /// Adds what the store lists and the index does not have.
    async fn refresh(&self, database: &Arc<Database>) -> Result<(), RefreshError> {
        let began = SystemTime::now();
        let mut chunks = self.inner.keys.all().try_chunks(CHUNK).boxed();
        while let Some(chunk) = chunks.next().await {
            // Those that came before an error are seen again.
            self.add_missing(database, chunk.map_err(|error| error.1)?).await?;
        }
        let keys = self.ask(Arc::clone(database), |database| database.add(&[], true)).await?;
        let mut state = self.inner.state_mut();
        // Of a file that failed meanwhile nothing is said.
        if state.database.as_ref().is_some_and(|open| Arc::ptr_eq(open, database)) {
            state.as_of = Some(began);
            self.inner.metrics.index().refreshed(began, keys);
        }
        Ok(())
    }

    async fn add_missing(&self, database: &Arc<Database>, keys: Vec<KeyId>) -> Result<(), RefreshError> {
        let missing = self.ask(Arc::clone(database), move |database| database.missing(&keys)).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let records = stream::iter(missing).map(|key| async move {
            match self.inner.keys.read(&key).await {
                Ok(record) => Ok(record.map(|record| entry(key, &record))),
                // Longer than a record: it is there, and no use.
                Err(StoreError::TooLarge { .. }) => Ok(Some(IndexEntry { key, addresses: None })),
                Err(error) => Err(RefreshError::Store(error)),
            }
        });
        let entries: Vec<Option<IndexEntry>> = records.buffer_unordered(READ_AT_ONCE).try_collect().await?;
        let entries: Vec<IndexEntry> = entries.into_iter().flatten().collect();
        self.ask(Arc::clone(database), move |database| database.add(&entries, true)).await?;
        Ok(())
    }
}

fn entry(key: KeyId, record: &Bytes) -> IndexEntry {
    StoredKey::parse(record, &key)
        .map_or(IndexEntry { key, addresses: None }, |stored| IndexEntry::from_stored(&stored))
}
