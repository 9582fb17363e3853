//! Making addresses, one or a thousand: read what is there, have the enclave make what is not,
//! let the store's conditional creation decide, and answer what the store then has.
//!
//! Nothing is acknowledged before its record, its marker and the boot document that its
//! certificate names are stored. A repetition at any later time answers the same.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use protocol::{Deployment, KeyId, KeyPath, NewKey, Purpose};
use wire::message::MAX_KEYS;

use crate::{
    address::{AddressError, StoredKey},
    enclave::{Enclave, EnclaveError},
    index::{Index, IndexEntry},
    store::{Attestations, Keys, Placed, Store, StoreError, Users},
};

/// Reads and writes of one batch at once.
const STORE_AT_ONCE: usize = 32;
/// Requests to the enclave of one batch at once.
const ENCLAVE_AT_ONCE: usize = 2;

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub enum CreationError {
    /// Which deployment this is has not been heard yet.
    #[error("the enclave has not said yet which deployment it is of: try again soon")]
    Deployment,
    /// The enclave made none.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored for the key is not its record. It is left as it is.
    #[error("stored for {key_id}: {error}")]
    Stored {
        /// The key.
        key_id: KeyId,
        /// What is wrong.
        error: AddressError,
    },
}

/// A key that is stored.
#[derive(Debug, Clone)]
pub struct Made {
    /// Whether this request made it.
    pub created: bool,
    /// The key.
    pub key: StoredKey,
}

/// Makes addresses.
#[derive(Clone)]
pub struct Creation {
    enclave: Enclave,
    keys: Keys,
    users: Users,
    attestations: Attestations,
    index: Index,
}

/// What the enclave made of a key.
struct New {
    bytes: Bytes,
    key: StoredKey,
}

/// A key that is wanted, and its first position among those that a ticket allows.
#[derive(Clone)]
struct Wanted {
    position: u32,
    key_id: KeyId,
    key: NewKey,
}

/// What is there of a key before it is made.
struct Found {
    record: Option<StoredKey>,
    marked: bool,
}

impl Creation {
    /// With this enclave, in this store.
    pub fn new(enclave: Enclave, store: &Store, attestations: Attestations, index: Index) -> Self {
        Self { enclave, keys: store.keys(), users: store.users(), attestations, index }
    }

    /// The addresses of `wanted`, in order, made where there was none. `ticket` stands for the
    /// request that names exactly these. Repetitions within are made once; the note of the first
    /// counts. What is stored of one key, or the store's failing for it, is that key's error alone.
    ///
    /// # Errors
    /// [`CreationError`], of all of them: that of the enclave. What was stored until then stays, and is
    /// found by the next attempt.
    pub async fn ensure<E: Clone + From<CreationError>>(
        &self,
        ticket: u64,
        wanted: Vec<NewKey>,
    ) -> Result<Vec<Result<Made, E>>, E> {
        let deployment = self.enclave.state().deployment.ok_or(CreationError::Deployment)?;
        let (unique, places) = without_repetitions(&deployment, wanted);
        let found: Vec<Result<Found, E>> = stream::iter(unique.clone())
            .map(|wanted| async { self.find(wanted).await.map_err(E::from) })
            .buffered(STORE_AT_ONCE)
            .collect()
            .await;
        let missing: Vec<Wanted> = unique
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.as_ref().is_ok_and(|found| found.record.is_none()))
            .map(|(wanted, _)| wanted.clone())
            .collect();
        let mut made = self.make(ticket, missing).await?;
        let placing = unique.into_iter().zip(found).map(|(wanted, found)| {
            let new = made.remove(&wanted.key_id);
            async move { self.place(wanted.key_id, wanted.key, found?, new).await.map_err(E::from) }
        });
        let made: Vec<Result<Made, E>> =
            stream::iter(placing.collect::<Vec<_>>()).buffered(STORE_AT_ONCE).collect().await;
        let new = made.iter().flatten().filter(|made| made.created);
        self.index.add(new.map(|made| IndexEntry::from_stored(&made.key)).collect()).await;
        let mut seen = HashSet::new();
        let one = |place: usize| {
            let made = made.get(place)?.clone();
            Some(made.map(|made| Made { created: made.created && seen.insert(place), ..made }))
        };
        Ok(places.into_iter().filter_map(one).collect())
    }

    async fn find(&self, wanted: Wanted) -> Result<Found, CreationError> {
        let Wanted { key_id, key, .. } = wanted;
        let (record, marked) =
            try_join(self.keys.read(&key_id), self.users.is_marked(&key.user, &key_id)).await?;
        let record = record.map(|bytes| stored(&bytes, key_id)).transpose()?;
        Ok(Found { record, marked })
    }

    /// Has the enclave make keys, and checks that they are those. A data key is for one purpose, so
    /// each request is, too.
    async fn make(&self, ticket: u64, missing: Vec<Wanted>) -> Result<HashMap<KeyId, New>, CreationError> {
        let mut chunks: Vec<Vec<Wanted>> = Vec::new();
        for purpose in Purpose::ALL {
            let of_purpose: Vec<Wanted> =
                missing.iter().filter(|wanted| wanted.key.purpose == purpose).cloned().collect();
            chunks.extend(of_purpose.chunks(MAX_KEYS).map(<[_]>::to_vec));
        }
        let made: Vec<Vec<New>> = stream::iter(chunks)
            .map(|chunk| self.make_chunk(ticket, chunk))
            .buffered(ENCLAVE_AT_ONCE)
            .try_collect()
            .await?;
        Ok(made.into_iter().flatten().map(|new| (new.key.key_id(), new)).collect())
    }

    async fn make_chunk(&self, ticket: u64, chunk: Vec<Wanted>) -> Result<Vec<New>, CreationError> {
        let positions = chunk.iter().map(|wanted| wanted.position).collect();
        let records = self.enclave.create_keys(ticket, positions).await?;
        let new = chunk.iter().zip(records).map(|(Wanted { key_id, key, .. }, bytes)| {
            let made = StoredKey::parse(&bytes, key_id).ok().filter(|made| made.is_new(key));
            let key = made.ok_or(EnclaveError::Answer("the record of the key that was asked for"))?;
            Ok(New { bytes, key })
        });
        let new: Vec<New> = new.collect::<Result<_, EnclaveError>>()?;
        let documents: HashSet<_> = new.iter().map(|new| *new.key.document()).collect();
        for document in documents {
            if !self.attestations.is_stored(&document).await? {
                // The enclave started anew, and its description has not been heard yet.
                self.enclave.store_document().await??;
                if !self.attestations.is_stored(&document).await? {
                    return Err(EnclaveError::Answer("a certificate that names its boot document").into());
                }
            }
        }
        Ok(new)
    }

    /// Makes sure that the record and its marker are stored for good.
    async fn place(
        &self,
        key_id: KeyId,
        key: NewKey,
        found: Found,
        new: Option<New>,
    ) -> Result<Made, CreationError> {
        let mark = async { if found.marked { Ok(()) } else { self.users.mark(&key.user, &key_id).await } };
        let place = async {
            match (found.record, new) {
                (Some(key), _) => {
                    self.keys.settle(&key_id).await?;
                    Ok(Made { created: false, key })
                }
                (None, Some(New { bytes, key })) => match self.keys.create(&key_id, &bytes).await? {
                    Placed::Ours => Ok(Made { created: true, key }),
                    Placed::Theirs(record) => Ok(Made { created: false, key: stored(&record, key_id)? }),
                },
                (None, None) => Err(EnclaveError::Answer("one record for each key").into()),
            }
        };
        let (made, ()) = try_join(place, async { Ok::<_, CreationError>(mark.await?) }).await?;
        Ok(made)
    }
}

fn stored(bytes: &[u8], key_id: KeyId) -> Result<StoredKey, CreationError> {
    StoredKey::parse(bytes, &key_id).map_err(|error| CreationError::Stored { key_id, error })
}

/// The distinct keys, and for each wanted one where among them it is.
fn without_repetitions(deployment: &Deployment, wanted: Vec<NewKey>) -> (Vec<Wanted>, Vec<usize>) {
    let mut unique = Vec::with_capacity(wanted.len());
    let mut seen: HashMap<KeyPath, usize> = HashMap::with_capacity(wanted.len());
    let places = (0..)
        .zip(wanted)
        .map(|(position, key)| {
            *seen.entry(key.path()).or_insert_with_key(|path| {
                unique.push(Wanted { position, key_id: KeyId::derive(deployment, path), key });
                unique.len() - 1
            })
        })
        .collect();
    (unique, places)
}
