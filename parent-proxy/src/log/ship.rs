//! Shipping: copies closed segments, and each boot's attestation document, to the store. At least
//! once, in order, and by conditional creation: what is there is never overwritten.

use std::{pin::pin, time::Duration};

use attestation::DocumentHash;
use bytes::Bytes;
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    Book, LogError, recover,
    shelf::{DOCUMENT, Segment, name},
};
use crate::{
    backoff::backoff,
    store::{LogObjects, Shipped, Store, StoreError},
};

/// How often it is looked whether there is something to ship, if nobody says so.
const LOOK: Duration = Duration::from_secs(15);
/// Waits after a failure.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Ships a book to a store.
#[derive(Debug)]
pub struct Shipping {
    book: Book,
    objects: LogObjects,
}

#[derive(Debug, thiserror::Error)]
enum ShipError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Shipping {
    /// From this book to this store.
    pub fn new(book: Book, store: &Store) -> Self {
        Self { book, objects: store.log() }
    }

    /// Ships until told to stop.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut failures = 0u32;
        loop {
            let shipped = tokio::select! {
                biased;
                () = &mut stop => return,
                shipped = self.ship_closed() => shipped,
            };
            let wait = match shipped {
                Ok(()) => {
                    failures = 0;
                    LOOK
                }
                Err(error) => {
                    if failures == 0 {
                        tracing::warn!(%error, "the log is not shipped; trying again");
                    }
                    self.book.inner.metrics.log().shipped("failed");
                    failures = failures.saturating_add(1);
                    backoff(failures, FAILED.0, FAILED.1)
                }
            };
            self.tell_lag();
            tokio::select! {
                () = &mut stop => return,
                () = sleep(wait) => {}
                () = self.book.inner.closed.notified(), if failures == 0 => {}
            }
        }
    }

    /// All that is closed and not shipped, oldest first.
    async fn ship_closed(&self) -> Result<(), ShipError> {
        loop {
            let next = self.book.inner.shelf().to_ship();
            let Some((boot, segment)) = next else { return Ok(()) };
            self.ship(boot, segment.as_ref()).await?;
            let (folder, shipped) = {
                let mut shelf = self.book.inner.shelf();
                shelf.shipped.insert(boot.to_string(), segment.map_or(0, |segment| segment.first));
                (shelf.folder.clone(), shelf.shipped.clone())
            };
            // If this fails, it is shipped once more after a restart, and found to be there.
            let saved = spawn_blocking(move || recover::save_shipped(&folder, &shipped));
            if let Ok(Err(error)) = saved.await {
                tracing::warn!(%error, "how far the log was shipped is not on disk");
            }
            self.tell_lag();
        }
    }

    async fn ship(&self, boot: DocumentHash, segment: Option<&Segment>) -> Result<(), ShipError> {
        let name = segment.map_or_else(|| DOCUMENT.to_owned(), |segment| name(segment.first));
        let path = self.book.inner.shelf().folder_of(&boot).join(&name);
        let bytes = tokio::fs::read(&path).await.map_err(LogError::io("be read"))?;
        if segment.is_some_and(|segment| segment.length != bytes.len() as u64) {
            let expected = "a closed segment of the length that was written";
            return Err(LogError::Damaged { file: path, line: 0, expected }.into());
        }
        let shipped = self.objects.ship(&boot, &name, &Bytes::from(bytes)).await?;
        let outcome = match shipped {
            Shipped::New => "created",
            Shipped::Same => "existing",
            Shipped::Conflict => {
                let object = LogObjects::path(&boot, &name).to_string();
                tracing::error!(
                    object,
                    "the store has something else than this part of the log; it is left there"
                );
                self.book.inner.progress.send_modify(|progress| progress.conflict = Some(object));
                "conflict"
            }
        };
        self.book.inner.metrics.log().shipped(outcome);
        Ok(())
    }

    fn tell_lag(&self) {
        let since = self.book.inner.shelf().unshipped_since();
        let lag = since.and_then(|since| since.elapsed().ok()).unwrap_or_default();
        self.book.inner.metrics.log().shipping_lag(lag);
    }
}
