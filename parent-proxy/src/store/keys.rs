//! Sealed records, each under its key id; those that were rewrapped under the KMS key as well. The
//! first creation of an object decides; what was decided is never changed and never deleted.

use bytes::Bytes;
use futures::{Stream, TryStreamExt, future::ready};
use object_store::path::Path;
use protocol::{KeyId, record::MAX_RECORD};

use super::{Created, Store, StoreError};

/// The records of a store.
#[derive(Debug, Clone)]
pub struct Keys {
    store: Store,
}

/// The record that a key has after a creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placed {
    /// The one that was given.
    Ours,
    /// One that was there first.
    Theirs(Bytes),
}

impl Keys {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The stored bytes of a key's record.
    ///
    /// # Errors
    /// [`StoreError`]; one that is longer than a record is refused unread.
    pub async fn read(&self, key: &KeyId) -> Result<Option<Bytes>, StoreError> {
        self.store.read(&path(key), MAX_RECORD).await
    }

    /// All keys that have a record, however many, in no order. What has another name is left out.
    pub fn all(&self) -> impl Stream<Item = Result<KeyId, StoreError>> + Send + use<> {
        self.store.all_names(&Path::from("keys/v1")).try_filter_map(|name| ready(Ok(name.parse().ok())))
    }

    /// Stores a key's record unless it has one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn create(&self, key: &KeyId, record: &Bytes) -> Result<Placed, StoreError> {
        self.place(path(key), record).await
    }

    /// The stored bytes of a key's record that was rewrapped under this KMS key.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub async fn read_rewrapped(&self, key: &KeyId, kms_key: &str) -> Result<Option<Bytes>, StoreError> {
        self.store.read(&Path::from(key.rewrapped_path(kms_key)), MAX_RECORD).await
    }

    /// Stores a key's record under this KMS key unless it has one. In a folder it outlasts a power cut
    /// together with the folders that it is the first in.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn create_rewrapped(
        &self,
        key: &KeyId,
        kms_key: &str,
        record: &Bytes,
    ) -> Result<Placed, StoreError> {
        let path = Path::from(key.rewrapped_path(kms_key));
        let placed = self.place(path.clone(), record).await?;
        self.store.settle(&path).await?;
        Ok(placed)
    }

    async fn place(&self, path: Path, record: &Bytes) -> Result<Placed, StoreError> {
        match self.store.create(&path, record, MAX_RECORD).await? {
            Created::New => Ok(Placed::Ours),
            // A store that was asked twice because its answer was lost shows us our own.
            Created::Existing(existing) if existing == *record => Ok(Placed::Ours),
            Created::Existing(existing) => {
                self.store.settle(&path).await?;
                Ok(Placed::Theirs(existing))
            }
        }
    }

    /// Makes sure that a record which was read outlasts a power cut.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn settle(&self, key: &KeyId) -> Result<(), StoreError> {
        self.store.settle(&path(key)).await
    }
}

fn path(key: &KeyId) -> Path {
    Path::from(key.object_path())
}
