//! The log in the store: each closed segment, and each boot's attestation document, under the name
//! that it has on disk. A copy of `log/v1` is a log's folder and verifies as one.

use attestation::DocumentHash;
use bytes::Bytes;
use object_store::path::Path;

use super::{Created, Store, StoreError};

/// The log's objects of a store.
#[derive(Debug, Clone)]
pub struct LogObjects {
    store: Store,
}

/// What became of an object that was shipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shipped {
    /// It is new.
    New,
    /// It was there, with the same bytes.
    Same,
    /// Something else is there under its name. It is left as it is.
    Conflict,
}

impl LogObjects {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The path of a boot's object.
    pub fn path(boot: &DocumentHash, name: &str) -> Path {
        Path::from(format!("log/v1/{boot}/{name}"))
    }

    /// Makes the object unless it is there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn ship(&self, boot: &DocumentHash, name: &str, bytes: &Bytes) -> Result<Shipped, StoreError> {
        let path = Self::path(boot, name);
        let shipped = match self.store.create(&path, bytes, bytes.len()).await {
            Ok(Created::New) => Shipped::New,
            Ok(Created::Existing(existing)) if existing == *bytes => Shipped::Same,
            // A longer one is not read.
            Ok(Created::Existing(_)) | Err(StoreError::TooLarge { .. }) => return Ok(Shipped::Conflict),
            Err(error) => return Err(error),
        };
        // The boot's folder may be new.
        self.store.settle(&path).await?;
        Ok(shipped)
    }
}
