//! The probe for storage that lies. Some servers accept `If-None-Match: *` and overwrite all the
//! same: two enclaves would then make two keys of one name, and the first would be lost together
//! with what was paid to it. A store that shows this is not used.

use std::time::Duration;

use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::future::join_all;
use object_store::path::Path;
use tokio::time::sleep;

use super::{Store, StoreError};
use crate::backoff::backoff;

/// Concurrent creations of one object.
const BURST: usize = 16;
/// How many bursts. A server that looks first and writes later is only caught by chance: four
/// bursts of a few bytes missed one (s3s-fs) at every eighth start, these at none of 600.
const BURSTS: usize = 24;
/// How often a step whose outcome says nothing is repeated.
const ATTEMPTS: u32 = 8;
/// Waits between them.
const WAIT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// Length of an object of the probe: what takes time to write leaves others time to look.
const LENGTH: usize = 16 * 1024;

/// Why a store is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The store failed during the probe.
    #[error("the store could not be probed: {0}")]
    Store(#[from] StoreError),
    /// Creations of one object in sequence were both acknowledged.
    #[error(
        "the store overwrites: it acknowledged a second conditional creation (If-None-Match: *) of one object. Keys would be lost"
    )]
    Overwrites,
    /// An object is not what was acknowledged as created.
    #[error("the store does not keep what it acknowledged: an object is not its first creation")]
    Changed,
    /// Concurrent creations of one object were acknowledged more than once.
    #[error(
        "the store lets {winners} of {BURST} concurrent creations (If-None-Match: *) of one object win, not 1. Keys would be lost"
    )]
    Winners {
        /// How many were acknowledged.
        winners: usize,
    },
    /// Nothing could be created.
    #[error("the store acknowledges no conditional creation (If-None-Match: *) of a new object")]
    Creates,
}

/// Checks that conditional creation creates, once, and keeps: in sequence and in concurrent
/// bursts. Leaves nothing behind.
///
/// # Errors
/// [`ProbeError`]
pub async fn probe(store: &Store) -> Result<(), ProbeError> {
    let id = HEXLOWER.encode(&rand::random::<[u8; 16]>());
    let mut used = Vec::new();
    let result = run(store, &id, &mut used).await;
    for path in &used {
        if let Err(error) = store.delete(path).await {
            tracing::warn!(%error, "an object of the probe is left in the store");
        }
    }
    result
}

async fn run(store: &Store, id: &str, used: &mut Vec<Path>) -> Result<(), ProbeError> {
    for step in 0..=BURSTS {
        let mut attempt = 0;
        loop {
            let path = Path::from(format!("probe/v1/{id}-{step}-{attempt}"));
            used.push(path.clone());
            let told = if step == 0 { sequence(store, &path).await? } else { burst(store, &path).await? };
            if told {
                break;
            }
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(ProbeError::Creates);
            }
            sleep(backoff(attempt, WAIT.0, WAIT.1)).await;
        }
    }
    Ok(())
}

/// Two creations in sequence. False when not even the first was acknowledged, which says nothing:
/// its answer may have been lost and asked for again, or S3 saw a conflict.
async fn sequence(store: &Store, path: &Path) -> Result<bool, ProbeError> {
    let (first, second) = (Bytes::from_static(b"first"), Bytes::from_static(b"second"));
    if !store.put_new(path, &first).await? {
        return Ok(false);
    }
    if store.put_new(path, &second).await? {
        return Err(ProbeError::Overwrites);
    }
    if store.read(path, LENGTH).await? == Some(first) { Ok(true) } else { Err(ProbeError::Changed) }
}

/// Concurrent creations, each with other bytes. False when none was acknowledged.
async fn burst(store: &Store, path: &Path) -> Result<bool, ProbeError> {
    let bodies: Vec<Bytes> = (0..BURST as u8).map(|number| Bytes::from(vec![number; LENGTH])).collect();
    // On tasks of their own, so that they are under way at once on every thread.
    let creations = bodies.iter().map(|body| {
        let (store, path, body) = (store.clone(), path.clone(), body.clone());
        tokio::spawn(async move { store.put_new(&path, &body).await })
    });
    let creations: Vec<_> = creations.collect();
    let mut won = Vec::new();
    for (creation, body) in join_all(creations).await.into_iter().zip(&bodies) {
        let created = creation.map_err(|_| ProbeError::Creates)??;
        if created {
            won.push(body);
        }
    }
    match won.as_slice() {
        [] => Ok(false),
        [winner] if store.read(path, LENGTH).await?.as_ref() == Some(*winner) => Ok(true),
        [_] => Err(ProbeError::Changed),
        more => Err(ProbeError::Winners { winners: more.len() }),
    }
}
