//! Making addresses, one or a thousand: read what is there, have the enclave make what is not,
//! let the store's conditional creation decide, have the enclave open what the store then has, and
//! answer that.
//!
//! Nothing is acknowledged before its record, its marker and the boot document that its
//! certificate names are stored. A repetition at any later time answers the same.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future::try_join, stream};
use protocol::{Deployment, KeyId, KeyPath, NewKey, Purpose, api::AROUND_BODY, request::SignedRequest};
use serde_bytes::ByteBuf;
use wire::{frame::MAX_FRAME, message::MAX_KEYS};

use crate::{
    address::{AddressError, StoredKey},
    enclave::{Enclave, EnclaveError},
    index::{Index, IndexEntry},
    store::{self, Attestations, Keys, Store, StoreError, Users},
};

/// Reads and writes of one batch at once.
const STORE_AT_ONCE: usize = 32;
/// Requests to the enclave of one batch at once.
const ENCLAVE_AT_ONCE: usize = 2;
/// What a record takes of a frame beside its bytes.
const AROUND_RECORD: usize = 3;

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

/// A key that is stored, and that the enclave opened.
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

/// A record, made or found.
#[derive(Clone)]
struct Sealed {
    bytes: Bytes,
    key: StoredKey,
}

/// A key that is wanted, and its first position among those that the request names.
#[derive(Clone)]
struct Wanted {
    position: u32,
    key_id: KeyId,
    key: NewKey,
}

/// What is there of a key before it is made.
struct Found {
    record: Option<Sealed>,
    marked: bool,
}

/// A record that is stored for good.
struct Placed {
    created: bool,
    record: Sealed,
}

/// What the enclave said of records: whether they opened.
type Confirmed = HashMap<KeyId, Result<(), EnclaveError>>;

impl Creation {
    /// With this enclave, in this store.
    pub fn new(enclave: Enclave, store: &Store, attestations: Attestations, index: Index) -> Self {
        Self { enclave, keys: store.keys(), users: store.users(), attestations, index }
    }

    /// The addresses of `wanted`, in order, made where there was none. `request` names exactly these.
    /// Repetitions within are made once; the note of the first counts. What is stored of one key, or the
    /// store's failing for it, is that key's error alone.
    ///
    /// # Errors
    /// [`CreationError`], of all of them: that of the enclave. What was stored until then stays, and is
    /// found by the next attempt.
    pub async fn ensure<E: Clone + From<CreationError>>(
        &self,
        request: &SignedRequest,
        wanted: Vec<NewKey>,
    ) -> Result<Vec<Result<Made, E>>, E> {
        let deployment = self.enclave.state().deployment.ok_or(CreationError::Deployment)?;
        let (unique, places) = without_repetitions(&deployment, wanted);
        let found: Vec<Result<Found, CreationError>> = stream::iter(unique.clone())
            .map(|wanted| self.find(wanted))
            .buffered(STORE_AT_ONCE)
            .collect()
            .await;
        let missing: Vec<Wanted> = unique
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.as_ref().is_ok_and(|found| found.record.is_none()))
            .map(|(wanted, _)| wanted.clone())
            .collect();
        // Nothing is written, and nothing said, before the enclave knows who asks.
        let there = found.iter().flatten().filter_map(|found| found.record.as_ref());
        let there: Vec<Sealed> = there.cloned().collect();
        let mut confirmed = Confirmed::new();
        if missing.is_empty() || !there.is_empty() {
            confirmed = self.confirm(request, there).await?;
        }
        let mut made = self.make(request, missing).await?;
        let placing = unique.into_iter().zip(found).map(|(wanted, found)| {
            let (new, known) = (made.remove(&wanted.key_id), confirmed.get(&wanted.key_id));
            let known = known.cloned().unwrap_or(Ok(()));
            async move {
                known?;
                self.place(wanted.key_id, wanted.key, found?, new).await
            }
        });
        let placed: Vec<Result<Placed, CreationError>> =
            stream::iter(placing.collect::<Vec<_>>()).buffered(STORE_AT_ONCE).collect().await;
        let new = placed.iter().flatten().map(|placed| &placed.record);
        let new = new.filter(|new| !confirmed.contains_key(&new.key.key_id()));
        let new: Vec<Sealed> = new.cloned().collect();
        if !new.is_empty() {
            confirmed.extend(self.confirm(request, new).await?);
        }
        let shown = placed.into_iter().map(|placed| {
            let Placed { created, record: Sealed { key, .. } } = placed?;
            let opened = confirmed.get(&key.key_id()).cloned();
            opened.unwrap_or(Err(EnclaveError::Answer("word of each record")))?;
            Ok::<_, CreationError>(Made { created, key })
        });
        let made: Vec<Result<Made, E>> = shown.map(|made| made.map_err(E::from)).collect();
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
        let record = record.map(|bytes| stored(bytes, key_id)).transpose()?;
        Ok(Found { record, marked })
    }

    /// Has the enclave open records as they are stored, and say what is shown of each: its certificate.
    async fn confirm(
        &self,
        request: &SignedRequest,
        records: Vec<Sealed>,
    ) -> Result<Confirmed, CreationError> {
        // As many at once as a frame has room for beside the request.
        let room = MAX_FRAME.saturating_sub(AROUND_BODY).saturating_sub(request.body.len());
        let (mut chunks, mut length) = (vec![Vec::new()], 0usize);
        for record in records {
            let more = record.bytes.len() + AROUND_RECORD;
            if length + more > room || chunks.last().is_none_or(|chunk| chunk.len() == MAX_KEYS) {
                chunks.push(Vec::new());
                length = 0;
            }
            length += more;
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(record);
            }
        }
        let confirmed: Vec<Vec<_>> = stream::iter(chunks)
            .map(|chunk| self.confirm_chunk(request.clone(), chunk))
            .buffered(ENCLAVE_AT_ONCE)
            .try_collect()
            .await?;
        Ok(confirmed.into_iter().flatten().collect())
    }

    async fn confirm_chunk(
        &self,
        request: SignedRequest,
        chunk: Vec<Sealed>,
    ) -> Result<Vec<(KeyId, Result<(), EnclaveError>)>, CreationError> {
        let records = chunk.iter().map(|record| ByteBuf::from(record.bytes.to_vec())).collect();
        let shown = self.enclave.confirm(request, records).await?;
        let confirmed = chunk.iter().zip(shown).map(|(record, shown)| {
            let opened = shown.map_err(EnclaveError::from).and_then(|certificate| {
                let same = certificate == record.key.certificate();
                same.then_some(()).ok_or(EnclaveError::Answer("the certificate of the stored record"))
            });
            (record.key.key_id(), opened)
        });
        Ok(confirmed.collect())
    }

    /// Has the enclave make keys, and checks that they are those. A data key is for one purpose, so
    /// each request is, too.
    async fn make(
        &self,
        request: &SignedRequest,
        missing: Vec<Wanted>,
    ) -> Result<HashMap<KeyId, Sealed>, CreationError> {
        let mut chunks: Vec<Vec<Wanted>> = Vec::new();
        for purpose in Purpose::ALL {
            let of_purpose: Vec<Wanted> =
                missing.iter().filter(|wanted| wanted.key.purpose == purpose).cloned().collect();
            chunks.extend(of_purpose.chunks(MAX_KEYS).map(<[_]>::to_vec));
        }
        let made: Vec<Vec<Sealed>> = stream::iter(chunks)
            .map(|chunk| self.make_chunk(request.clone(), chunk))
            .buffered(ENCLAVE_AT_ONCE)
            .try_collect()
            .await?;
        Ok(made.into_iter().flatten().map(|new| (new.key.key_id(), new)).collect())
    }

    async fn make_chunk(
        &self,
        request: SignedRequest,
        chunk: Vec<Wanted>,
    ) -> Result<Vec<Sealed>, CreationError> {
        let positions = chunk.iter().map(|wanted| wanted.position).collect();
        let records = self.enclave.create(request, positions).await?;
        let new = chunk.iter().zip(records).map(|(Wanted { key_id, key, .. }, bytes)| {
            let made = StoredKey::parse(&bytes, key_id).ok().filter(|made| made.is_new(key));
            let key = made.ok_or(EnclaveError::Answer("the record of the key that was asked for"))?;
            Ok(Sealed { bytes, key })
        });
        let new: Vec<Sealed> = new.collect::<Result<_, EnclaveError>>()?;
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
        new: Option<Sealed>,
    ) -> Result<Placed, CreationError> {
        let mark = async { if found.marked { Ok(()) } else { self.users.mark(&key.user, &key_id).await } };
        let place = async {
            match (found.record, new) {
                (Some(record), _) => {
                    self.keys.settle(&key_id).await?;
                    Ok(Placed { created: false, record })
                }
                (None, Some(new)) => match self.keys.create(&key_id, &new.bytes).await? {
                    store::Placed::Ours => Ok(Placed { created: true, record: new }),
                    store::Placed::Theirs(bytes) => {
                        Ok(Placed { created: false, record: stored(bytes, key_id)? })
                    }
                },
                (None, None) => Err(EnclaveError::Answer("one record for each key").into()),
            }
        };
        let (placed, ()) = try_join(place, async { Ok::<_, CreationError>(mark.await?) }).await?;
        Ok(placed)
    }
}

fn stored(bytes: Bytes, key_id: KeyId) -> Result<Sealed, CreationError> {
    match StoredKey::parse(&bytes, &key_id) {
        Ok(key) => Ok(Sealed { bytes, key }),
        Err(error) => Err(CreationError::Stored { key_id, error }),
    }
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
