//! Data keys: which one seals next, and which unwrapped ones are in memory.
//!
//! A data key seals once KMS has opened it again, up to a count of records and to an age. Unwrapped ones
//! are held in a bounded cache, up to the same age: once KMS denies the key, nothing opens any more
//! after that age.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Arc, PoisonError},
    time::Instant,
};

use lru::LruCache;
use protocol::Purpose;
use protocol::measured::Limits;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OnceCell};

use crate::{
    Secret,
    clock::Clock,
    kms::{Kms, KmsError, WrappedDataKey},
};

/// A data key in clear, and how it is stored.
pub struct DataKey {
    /// The key. Held by everyone who is using it; wiped when the last lets go.
    pub secret: Arc<Secret>,
    /// What a record keeps.
    pub wrapped: Arc<WrappedDataKey>,
}

/// A data key and for how many records it may be used.
pub struct Reservation {
    /// The key.
    pub key: DataKey,
    /// How many records to seal with it.
    pub records: u32,
}

struct Sealing {
    key: DataKey,
    left: u32,
    /// By the enclave's clock, in milliseconds since 1970.
    expires: u64,
}

struct Opened {
    secret: Arc<Secret>,
    /// By the enclave's clock, in milliseconds since 1970.
    expires: u64,
}

/// What seals now, by purpose, and how the last call for more failed.
#[derive(Default)]
struct SealingKeys {
    keys: BTreeMap<Purpose, Sealing>,
    failed: Option<(Instant, KmsError)>,
}

type CacheKey = [u8; 32];
/// Filled once, by whoever asked KMS; a failure is for all who waited for it.
type Cell = Arc<OnceCell<Result<Opened, KmsError>>>;

/// All data keys of this enclave.
pub struct DataKeys {
    kms: Arc<dyn Kms>,
    clock: Clock,
    records: u32,
    age: u64,
    sealing: Mutex<SealingKeys>,
    opened: std::sync::Mutex<LruCache<CacheKey, Cell>>,
}

impl DataKeys {
    /// Holds data keys of this KMS within these limits.
    pub fn new(kms: Arc<dyn Kms>, clock: Clock, limits: &Limits) -> Self {
        let capacity = NonZeroUsize::new(limits.data_key_cache).unwrap_or(NonZeroUsize::MIN);
        Self {
            kms,
            clock,
            records: limits.data_key_records.max(1),
            age: limits.data_key_age_seconds.saturating_mul(1000),
            sealing: Mutex::default(),
            opened: std::sync::Mutex::new(LruCache::new(capacity)),
        }
    }

    /// Data keys to seal `records` with: what the present one still allows, then fresh ones. One
    /// caller at a time asks KMS; the others wait, and share its failure as well: otherwise every
    /// waiter would pay the full timeout in turn.
    ///
    /// # Errors
    /// [`KmsError`]
    pub async fn reserve(&self, purpose: Purpose, records: u32) -> Result<Vec<Reservation>, KmsError> {
        let mut reservations = Vec::new();
        let mut wanted = records;
        let asked = Instant::now();
        let mut sealing = self.sealing.lock().await;
        while wanted > 0 {
            let usable =
                sealing.keys.get(&purpose).is_some_and(|s| s.left > 0 && self.clock.now() < s.expires);
            if !usable {
                if let Some((at, error)) = &sealing.failed
                    && *at >= asked
                {
                    return Err(error.clone());
                }
                match self.fresh(purpose).await {
                    Ok(fresh) => drop(sealing.keys.insert(purpose, fresh)),
                    Err(error) => {
                        sealing.failed = Some((Instant::now(), error.clone()));
                        return Err(error);
                    }
                }
            }
            let Some(present) = sealing.keys.get_mut(&purpose) else { continue };
            let taken = wanted.min(present.left);
            present.left = present.left.saturating_sub(taken);
            wanted = wanted.saturating_sub(taken);
            reservations.push(Reservation { key: present.key.share(), records: taken });
        }
        Ok(reservations)
    }

    /// Makes a data key and has KMS open it once. A key that KMS gives and never opens again, because
    /// its policy allows the one and not the other, or by a fault, would be the loss of every private
    /// key sealed under it.
    async fn fresh(&self, purpose: Purpose) -> Result<Sealing, KmsError> {
        // The age counts from before the calls: it never exceeds what KMS allowed.
        let expires = self.expiry();
        let (secret, wrapped) = self.kms.generate_data_key(purpose).await?;
        if !self.kms.decrypt(purpose, &wrapped).await?.is(&secret) {
            return Err(KmsError::DataKey);
        }
        let key = DataKey { secret: Arc::new(secret), wrapped: Arc::new(wrapped) };
        let opened = Opened { secret: key.secret.clone(), expires };
        self.lock_opened()
            .put(cache_key(purpose, &key.wrapped), Arc::new(OnceCell::new_with(Some(Ok(opened)))));
        Ok(Sealing { key, left: self.records, expires })
    }

    /// The data key behind `wrapped`, if it is in memory.
    pub fn held(&self, purpose: Purpose, wrapped: &WrappedDataKey) -> Option<Arc<Secret>> {
        let now = self.clock.now();
        let mut cache = self.lock_opened();
        let cell = cache.get(&cache_key(purpose, wrapped))?;
        let opened = cell.get()?.as_ref().ok()?;
        (now < opened.expires).then(|| opened.secret.clone())
    }

    /// The data key behind `wrapped`, from memory or from KMS. Many who want the same one cost
    /// one call.
    ///
    /// # Errors
    /// [`KmsError`]
    pub async fn open(&self, purpose: Purpose, wrapped: &WrappedDataKey) -> Result<Arc<Secret>, KmsError> {
        let cache_key = cache_key(purpose, wrapped);
        let cell = self.cell(cache_key);
        let opening = cell.get_or_init(|| async {
            let expires = self.expiry();
            let secret = Arc::new(self.kms.decrypt(purpose, wrapped).await?);
            Ok(Opened { secret, expires })
        });
        match opening.await {
            Ok(opened) => Ok(opened.secret.clone()),
            Err(error) => {
                // Nothing that failed takes a place that a good key could have.
                let mut cache = self.lock_opened();
                if cache.peek(&cache_key).is_some_and(|kept| Arc::ptr_eq(kept, &cell)) {
                    cache.pop(&cache_key);
                }
                Err(error.clone())
            }
        }
    }

    /// The data key behind `wrapped`, from KMS and never from memory: for whoever must know that KMS
    /// still gives it.
    ///
    /// # Errors
    /// [`KmsError`]
    pub async fn ask(&self, purpose: Purpose, wrapped: &WrappedDataKey) -> Result<Arc<Secret>, KmsError> {
        self.kms.decrypt(purpose, wrapped).await.map(Arc::new)
    }

    /// Lets go of every data key past its age, and of places that nobody fills any more. Never
    /// waits for KMS: where somebody asks it for a sealing key just now, that one is replaced anyway.
    pub fn expire(&self) {
        let now = self.clock.now();
        let mut cache = self.lock_opened();
        let abandoned = |cell: &Cell| !cell.initialized() && Arc::strong_count(cell) == 1;
        let gone: Vec<CacheKey> = cache
            .iter()
            .filter(|(_, cell)| is_stale(cell, now) || abandoned(cell))
            .map(|(key, _)| *key)
            .collect();
        for key in gone {
            cache.pop(&key);
        }
        drop(cache);
        if let Ok(mut sealing) = self.sealing.try_lock() {
            sealing.keys.retain(|_, sealing| now < sealing.expires);
        }
    }

    fn cell(&self, key: CacheKey) -> Cell {
        let mut cache = self.lock_opened();
        match cache.get(&key) {
            Some(cell) if !is_stale(cell, self.clock.now()) => cell.clone(),
            _ => {
                let cell = Arc::new(OnceCell::new());
                cache.put(key, cell.clone());
                cell
            }
        }
    }

    fn expiry(&self) -> u64 {
        self.clock.now().saturating_add(self.age)
    }

    fn lock_opened(&self) -> std::sync::MutexGuard<'_, LruCache<CacheKey, Cell>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DataKey {
    fn share(&self) -> Self {
        Self { secret: self.secret.clone(), wrapped: self.wrapped.clone() }
    }
}

fn is_stale(cell: &Cell, now: u64) -> bool {
    cell.get().is_some_and(|opened| opened.as_ref().map_or(true, |opened| now >= opened.expires))
}

/// Purpose, KMS key and blob together: the same blob under another name is another entry.
fn cache_key(purpose: Purpose, wrapped: &WrappedDataKey) -> CacheKey {
    let fields = [purpose.as_str().as_bytes(), wrapped.kms_key.as_bytes(), &wrapped.blob];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
