//! Events of the log, behind a cursor on disk. What was read counts as read only once the events that
//! came of it are in the queue.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{
    derive::Memory,
    event::{Event, EventKind},
    outbox::Outbox,
    tail::{Read, Tail},
};
use crate::{
    durable,
    log::{Book, LogError},
    metrics::Metrics,
};

const CURSOR: &str = "reader.json";

/// Why the log is not read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the queue of events: {0}")]
    Queue(#[from] io::Error),
}

/// How far the log was read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct LogCursor {
    #[serde(default)]
    read: Read,
    #[serde(flatten)]
    memory: Memory,
}

/// Reads the log.
pub(super) struct Reader {
    tail: Tail,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    path: PathBuf,
    /// In milliseconds.
    window: u64,
    memory: Memory,
    /// What is not in the queue yet.
    pending: Vec<Event>,
    changed: bool,
}

impl Reader {
    pub(super) fn open(
        book: Book,
        outbox: Arc<Outbox>,
        metrics: Arc<Metrics>,
        folder: &Path,
        window: Duration,
    ) -> io::Result<Self> {
        let path = folder.join(CURSOR);
        let cursor: LogCursor = match fs::read(&path) {
            // Written whole or not at all; one that is damaged is a start from the beginning.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => LogCursor::default(),
            Err(error) => return Err(error),
        };
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        let (tail, memory) = (Tail::new(book, cursor.read), cursor.memory);
        Ok(Self { tail, outbox, metrics, path, window, memory, pending: Vec::new(), changed: false })
    }

    /// Reads what is there, and queues what comes of it.
    pub(super) async fn pass(&mut self) -> Result<(), ReadError> {
        self.commit().await?;
        for boot in self.tail.boots() {
            while let Some(views) = self.tail.page(&boot).await? {
                let now = now();
                for view in &views {
                    let events = self.memory.entry(view, self.window, now);
                    self.pending.extend(events);
                }
                self.changed = true;
                self.commit().await?;
            }
        }
        let due = self.memory.gathering.due(None, self.window, now());
        self.pending.extend(due);
        self.commit().await
    }

    /// Something of the parent's own, gathered.
    pub(super) fn gather(&mut self, kind: EventKind, tag: &str) {
        self.memory.gathering.add_parents(kind, tag, self.window, now());
        self.changed = true;
    }

    /// Whether something is being gathered, so that time alone makes an event.
    pub(super) fn gathers(&self) -> bool {
        !self.memory.gathering.is_empty()
    }

    /// Queues what is pending, and then notes how far the log was read.
    async fn commit(&mut self) -> Result<(), ReadError> {
        if !self.changed && self.pending.is_empty() {
            return Ok(());
        }
        let (outbox, path) = (Arc::clone(&self.outbox), self.path.clone());
        let pending = self.pending.clone();
        let cursor = LogCursor { read: self.tail.read().clone(), memory: self.memory.clone() };
        let cursor = serde_json::to_vec(&cursor).map_err(io::Error::from)?;
        let queued = spawn_blocking(move || outbox.append(&pending)).await.map_err(io::Error::other)?;
        queued?;
        for event in self.pending.drain(..) {
            self.metrics.alerts().event(event.kind.as_str());
        }
        spawn_blocking(move || durable::replace(&path, &cursor)).await.map_err(io::Error::other)??;
        self.changed = false;
        Ok(())
    }
}

/// The parent's time, in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
