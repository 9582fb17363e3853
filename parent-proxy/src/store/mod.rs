//! The blob store: sealed records, markers for listing by user, boot documents, policies, orders,
//! the log. Untrusted like all of the parent: what is read is bounded, parsed and compared, never
//! believed.
//!
//! Everything is made by conditional creation and never changed: nothing here overwrites.

mod attestations;
mod backend;
mod error;
mod keys;
mod list;
mod log;
mod orders;
mod policies;
mod probe;
mod url;
mod users;

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::{
    GetOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path, prefix::PrefixStore,
};
use protocol::Region;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

pub use attestations::Attestations;
pub use error::StoreError;
pub use keys::{Keys, Placed};
pub use log::{LogObjects, Shipped};
pub use orders::Orders;
pub use policies::Policies;
pub use probe::{ProbeError, probe};
pub use url::{StoreUrl, StoreUrlError};
pub use users::{Cursor, CursorError, MarkerPage, Users};

use crate::{backoff::backoff, metrics::Metrics};
use backend::Folder;

/// How often a creation that met a conflict is tried.
const CREATE_ATTEMPTS: u32 = 6;
/// Waits between those attempts.
const CONFLICT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// Whether a creation created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// These bytes are now the object.
    New,
    /// Another creation won; these are the object's bytes.
    Existing(Bytes),
}

/// Bounds of a store.
#[derive(Debug, Clone, Copy)]
pub struct StoreLimits {
    /// Operations under way.
    pub in_flight: usize,
    /// For one operation, repetitions included.
    pub timeout: Duration,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self { in_flight: 128, timeout: Duration::from_secs(15) }
    }
}

/// A store of immutable objects.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<StoreInner>,
    /// Whether it is for what restricts, whose operations do not wait behind everybody's.
    apart: bool,
}

/// Operations under way for what restricts.
const APART: usize = 16;

#[derive(Debug)]
struct StoreInner {
    objects: PrefixStore<Arc<dyn ObjectStore>>,
    /// When it is a folder: listing is unordered there, and durability is ours to finish.
    folder: Option<Folder>,
    permits: Semaphore,
    apart: Semaphore,
    limits: StoreLimits,
    metrics: Arc<Metrics>,
}

impl Store {
    /// Opens the store at `url`. `region` and `credentials` are for S3.
    ///
    /// # Errors
    /// [`StoreError::Open`]
    pub fn open(
        url: &StoreUrl,
        region: &Region,
        credentials: Option<object_store::aws::AwsCredentialProvider>,
        limits: StoreLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        match url {
            StoreUrl::Folder(root) => {
                let (objects, folder) = Folder::open(root)?;
                Ok(Self::new(Arc::new(objects), Path::default(), Some(folder), limits, metrics))
            }
            StoreUrl::Bucket { bucket, prefix } => {
                let objects = backend::bucket(bucket, region, credentials, limits.timeout)?;
                Ok(Self::new(Arc::new(objects), prefix.clone(), None, limits, metrics))
            }
        }
    }

    /// A store of objects that list in order and are durable once acknowledged, as S3's.
    pub fn from_objects(
        objects: Arc<dyn ObjectStore>,
        prefix: Path,
        limits: StoreLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self::new(objects, prefix, None, limits, metrics)
    }

    fn new(
        objects: Arc<dyn ObjectStore>,
        prefix: Path,
        folder: Option<Folder>,
        limits: StoreLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let objects = PrefixStore::new(objects, prefix);
        let permits = Semaphore::new(limits.in_flight);
        let apart = Semaphore::new(APART);
        Self {
            inner: Arc::new(StoreInner { objects, folder, permits, apart, limits, metrics }),
            apart: false,
        }
    }

    /// Sealed records.
    pub fn keys(&self) -> Keys {
        Keys::new(self.clone())
    }

    /// Which keys a user has.
    pub fn users(&self) -> Users {
        Users::new(self.clone())
    }

    /// The log's segments.
    pub fn log(&self) -> LogObjects {
        LogObjects::new(self.clone())
    }

    /// Orders.
    pub fn orders(&self) -> Orders {
        Orders::new(self.apart())
    }

    /// Policies.
    pub fn policies(&self) -> Policies {
        Policies::new(self.apart())
    }

    fn apart(&self) -> Self {
        Self { apart: true, ..self.clone() }
    }

    /// Boot documents.
    pub fn attestations(&self) -> Attestations {
        Attestations::new(self.clone())
    }

    /// Makes an object unless there is one, which is then read.
    pub(crate) async fn create(
        &self,
        path: &Path,
        bytes: &Bytes,
        limit: usize,
    ) -> Result<Created, StoreError> {
        for attempt in 0..CREATE_ATTEMPTS {
            if self.put_new(path, bytes).await? {
                return Ok(Created::New);
            }
            // The winner, unless this was S3's 409: a conflict with a creation that is under way
            // and may yet fail. Then there is nothing to read, and it is our turn again.
            if let Some(existing) = self.read(path, limit).await? {
                return Ok(Created::Existing(existing));
            }
            sleep(backoff(attempt, CONFLICT.0, CONFLICT.1)).await;
        }
        Err(StoreError::Conflict)
    }

    /// One conditional creation; false when there is an object already, or may be.
    pub(crate) async fn put_new(&self, path: &Path, bytes: &Bytes) -> Result<bool, StoreError> {
        let options = PutOptions::from(PutMode::Create);
        let put = self.inner.objects.put_opts(path, PutPayload::from_bytes(bytes.clone()), options);
        self.operation("create", "exists", async {
            match put.await {
                Ok(_) => Ok(Some(())),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                    Ok(None)
                }
                Err(source) => Err(StoreError::Failed { operation: "create", source }),
            }
        })
        .await
        .map(|created| created.is_some())
    }

    /// Reads an object of at most `limit` bytes; a longer one is refused before it is read.
    pub(crate) async fn read(&self, path: &Path, limit: usize) -> Result<Option<Bytes>, StoreError> {
        let failed = |source| StoreError::Failed { operation: "read", source };
        self.operation("read", "missing", async {
            let found = match self.inner.objects.get_opts(path, GetOptions::default()).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                Err(source) => return Err(failed(source)),
            };
            let size = usize::try_from(found.meta.size).unwrap_or(usize::MAX);
            if size > limit {
                return Err(StoreError::TooLarge { limit });
            }
            // What was announced may be a lie as well.
            let mut body = BytesMut::with_capacity(size);
            let mut chunks = found.into_stream();
            while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
                if body.len().saturating_add(chunk.len()) > limit {
                    return Err(StoreError::TooLarge { limit });
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Some(body.freeze()))
        })
        .await
    }

    /// Whether there is an object.
    pub(crate) async fn exists(&self, path: &Path) -> Result<bool, StoreError> {
        self.operation("head", "missing", async {
            match self.inner.objects.head(path).await {
                Ok(_) => Ok(Some(())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(source) => Err(StoreError::Failed { operation: "head", source }),
            }
        })
        .await
        .map(|found| found.is_some())
    }

    pub(crate) async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        self.operation("delete", "missing", async {
            match self.inner.objects.delete(path).await {
                Ok(()) => Ok(Some(())),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(source) => Err(StoreError::Failed { operation: "delete", source }),
            }
        })
        .await
        .map(drop)
    }

    /// Makes sure that an object which can be seen also outlasts a power cut. Whoever created it
    /// does so before acknowledging it, but another may see it between the two.
    pub(crate) async fn settle(&self, path: &Path) -> Result<(), StoreError> {
        match &self.inner.folder {
            Some(folder) => self
                .operation("settle", "missing", async { folder.settle(path).await.map(Some) })
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// Whether the store answers at all.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn check(&self) -> Result<(), StoreError> {
        self.exists(&Path::from("probe/v1/check")).await.map(drop)
    }

    /// One operation: within the bound on those under way, within the deadline, and counted.
    async fn operation<T>(
        &self,
        operation: &'static str,
        nothing: &'static str,
        work: impl Future<Output = Result<Option<T>, StoreError>>,
    ) -> Result<Option<T>, StoreError> {
        let started = Instant::now();
        let within = self.inner.limits.timeout;
        let bounded = async {
            // The semaphore is never closed; if it were, going on without a permit is harmless.
            let permits = if self.apart { &self.inner.apart } else { &self.inner.permits };
            let _permit = permits.acquire().await;
            work.await
        };
        let result =
            timeout(within, bounded).await.unwrap_or(Err(StoreError::Deadline { operation, within }));
        let outcome = match &result {
            Ok(Some(_)) => "ok",
            Ok(None) => nothing,
            Err(StoreError::Deadline { .. }) => "deadline",
            Err(StoreError::TooLarge { .. }) => "too_large",
            Err(_) => "failed",
        };
        self.inner.metrics.store_operation(operation, outcome, started.elapsed());
        result
    }
}
