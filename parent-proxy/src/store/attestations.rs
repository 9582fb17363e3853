//! Boot documents, each under its SHA-256, so that an address can be verified at any later time.
//! Stored before any address that names them is acknowledged.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use attestation::{DocumentHash, document::MAX_DOCUMENT};
use bytes::Bytes;
use object_store::path::Path;

use super::{Created, Store, StoreError};

/// How many hashes are remembered; one is enough for each boot of the enclave.
const REMEMBERED: usize = 1024;

/// The boot documents of a store.
#[derive(Debug, Clone)]
pub struct Attestations {
    store: Store,
    stored: Arc<Mutex<HashSet<DocumentHash>>>,
}

impl Attestations {
    pub(super) fn new(store: Store) -> Self {
        Self { store, stored: Arc::default() }
    }

    /// Stores a document under the hash of its bytes, and returns that.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn store(&self, document: &[u8]) -> Result<DocumentHash, StoreError> {
        let hash = DocumentHash::of(document);
        if self.is_remembered(&hash) {
            return Ok(hash);
        }
        let path = path(&hash);
        if document.is_empty() || document.len() > MAX_DOCUMENT {
            return Err(StoreError::TooLarge { limit: MAX_DOCUMENT });
        }
        match self.store.create(&path, &Bytes::copy_from_slice(document), MAX_DOCUMENT).await? {
            Created::New => {}
            Created::Existing(existing) if existing == document => self.store.settle(&path).await?,
            Created::Existing(_) => return Err(StoreError::Conflict),
        }
        self.remember(hash);
        Ok(hash)
    }

    /// Whether a document of this hash is stored.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn is_stored(&self, hash: &DocumentHash) -> Result<bool, StoreError> {
        if self.is_remembered(hash) {
            return Ok(true);
        }
        let found = self.read(hash).await?.is_some();
        if found {
            self.store.settle(&path(hash)).await?;
            self.remember(*hash);
        }
        Ok(found)
    }

    /// The document of this hash. One whose bytes have another hash is as good as none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn read(&self, hash: &DocumentHash) -> Result<Option<Bytes>, StoreError> {
        let document = self.store.read(&path(hash), MAX_DOCUMENT).await?;
        Ok(document.filter(|document| DocumentHash::of(document) == *hash))
    }

    fn is_remembered(&self, hash: &DocumentHash) -> bool {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).contains(hash)
    }

    fn remember(&self, hash: DocumentHash) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if stored.len() >= REMEMBERED {
            stored.clear();
        }
        stored.insert(hash);
    }
}

fn path(hash: &DocumentHash) -> Path {
    Path::from(format!("attestations/v1/{hash}"))
}
