//! Which of a key's records the enclave is given: the one under the earliest of its KMS keys. That is
//! the record which was made with the key, unless the key was rewrapped under an earlier one since.
//! The enclave believes none of this: it opens what it is given.

use bytes::Bytes;
use protocol::{KeyId, Record, RecordHeader};

use crate::{
    enclave::Enclave,
    store::{Keys, Placed, StoreError},
};

/// The records of a store, as an enclave is to see them.
#[derive(Clone)]
pub struct Records {
    keys: Keys,
    enclave: Enclave,
}

/// A record, and where it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its bytes.
    pub record: Bytes,
    /// Its object's path.
    pub object: String,
}

impl Records {
    /// For this enclave, in this store.
    pub const fn new(keys: Keys, enclave: Enclave) -> Self {
        Self { keys, enclave }
    }

    /// The record of a key. One that was rewrapped counts only where it agrees with the one that was
    /// made with the key.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn find(&self, key: &KeyId) -> Result<Option<FoundRecord>, StoreError> {
        let Some(made) = self.keys.read(key).await? else { return Ok(None) };
        if let Ok(made) = Record::read(&made) {
            for kms_key in self.enclave.state().kms_keys.iter() {
                // Whatever is asked for after this one is later than it.
                if *kms_key == made.header().kms_key {
                    break;
                }
                let object = key.rewrapped_path(kms_key);
                match self.keys.read_rewrapped(key, kms_key).await {
                    Ok(None) => {}
                    Ok(Some(record)) if is_of_same_key(&made, &record, kms_key) => {
                        return Ok(Some(FoundRecord { record, object }));
                    }
                    Ok(Some(_)) | Err(StoreError::TooLarge { .. }) => {
                        tracing::error!(
                            object,
                            "what is stored is not a record of its key: it is passed over"
                        );
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(Some(FoundRecord { record: made, object: key.object_path() }))
    }

    /// Stores a record that the enclave rewrapped under `kms_key`, reads it back, and returns its
    /// object's path. `None` where what is stored then is another key's, or nothing of the kind: it is
    /// left as it is.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn keep(
        &self,
        key: &KeyId,
        kms_key: &str,
        before: &Bytes,
        record: &Bytes,
    ) -> Result<Option<String>, StoreError> {
        let Ok(made) = Record::read(before) else { return Ok(None) };
        if !is_of_same_key(&made, record, kms_key) {
            return Ok(None);
        }
        let stored = match self.keys.create_rewrapped(key, kms_key, record).await {
            Ok(Placed::Ours) => {
                self.keys.read_rewrapped(key, kms_key).await?.filter(|stored| stored == record)
            }
            Ok(Placed::Theirs(theirs)) => Some(theirs),
            Err(StoreError::TooLarge { .. }) => None,
            Err(error) => return Err(error),
        };
        let stored = stored.filter(|stored| is_of_same_key(&made, stored, kms_key));
        Ok(stored.map(|_| key.rewrapped_path(kms_key)))
    }
}

/// Whether `bytes` are a record under `kms_key` that says of the key, its address and its certificate
/// what `made` says.
fn is_of_same_key(made: &Record, bytes: &[u8], kms_key: &str) -> bool {
    let Ok(record) = Record::read(bytes) else { return false };
    let sealed_otherwise = RecordHeader {
        kms_key: made.header().kms_key.clone(),
        data_key: made.header().data_key.clone(),
        nonce: made.header().nonce,
        ..record.header().clone()
    };
    record.header().kms_key == kms_key
        && sealed_otherwise == *made.header()
        && record.certificate() == made.certificate()
}
