//! Reading the log behind a cursor on disk. What was read counts as read only once the events that
//! came of it are in the queue.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use attestation::DocumentHash;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::{
    derive::Memory,
    event::{Event, Kind},
    outbox::Outbox,
    view::View,
};
use crate::{
    durable,
    log::{Book, LogError, is_checkpoint},
    metrics::Metrics,
};

/// How much of the log is read at once.
const PAGE: usize = 1 << 20;
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
struct Cursor {
    /// The last entry of each boot.
    read: BTreeMap<String, u64>,
    #[serde(flatten)]
    memory: Memory,
}

/// Reads the log.
pub(super) struct Reader {
    book: Book,
    outbox: Arc<Outbox>,
    metrics: Arc<Metrics>,
    path: PathBuf,
    /// In milliseconds.
    window: u64,
    cursor: Cursor,
    /// Boots that were read to their ends.
    ended: HashSet<DocumentHash>,
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
        let cursor = match fs::read(&path) {
            // Written whole or not at all; one that is damaged is a start from the beginning.
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Cursor::default(),
            Err(error) => return Err(error),
        };
        let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX).max(1);
        let (ended, pending) = (HashSet::new(), Vec::new());
        Ok(Self { book, outbox, metrics, path, window, cursor, ended, pending, changed: false })
    }

    /// Reads what is there, and queues what comes of it.
    pub(super) async fn pass(&mut self) -> Result<(), ReadError> {
        self.commit().await?;
        let writing = self.book.progress().borrow().boot;
        let boots = self.book.boots();
        if self.cursor.read.len() > boots.len() {
            let there: HashSet<String> = boots.iter().map(ToString::to_string).collect();
            self.cursor.read.retain(|boot, _| there.contains(boot));
        }
        for boot in boots {
            if writing == Some(boot) {
                self.ended.remove(&boot);
            } else if self.ended.contains(&boot) {
                continue;
            }
            while self.page(boot).await? {
                self.commit().await?;
            }
            if writing != Some(boot) {
                self.ended.insert(boot);
            }
        }
        let due = self.cursor.memory.gathering.due(None, self.window, now());
        self.pend(due);
        self.commit().await
    }

    /// Something of the parent's own, gathered.
    pub(super) fn gather(&mut self, kind: Kind, tag: &str) {
        self.cursor.memory.gathering.add_parents(kind, tag, self.window, now());
        self.changed = true;
    }

    /// Whether something is being gathered, so that time alone makes an event.
    pub(super) fn gathers(&self) -> bool {
        !self.cursor.memory.gathering.is_empty()
    }

    /// One page of a boot's log; false at its end.
    async fn page(&mut self, boot: DocumentHash) -> Result<bool, ReadError> {
        let name = boot.to_string();
        let last = self.cursor.read.get(&name).copied().unwrap_or_default();
        let page = self.book.read(Some(boot), last.saturating_add(1), PAGE).await?;
        let (mut read, now) = (last, now());
        for line in page.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            if is_checkpoint(line) {
                continue;
            }
            let Some(view) = std::str::from_utf8(line).ok().and_then(View::read) else {
                tracing::warn!(after = read, "an entry of the log is of no form that alerts read");
                continue;
            };
            if view.seq <= read {
                continue;
            }
            read = view.seq;
            let events = self.cursor.memory.entry(&view, self.window, now, self.metrics.alerts());
            self.pend(events);
        }
        if read == last {
            return Ok(false);
        }
        self.cursor.read.insert(name, read);
        self.changed = true;
        Ok(true)
    }

    fn pend(&mut self, events: Vec<Event>) {
        self.changed |= !events.is_empty();
        self.pending.extend(events);
    }

    /// Queues what is pending, and then notes how far the log was read.
    async fn commit(&mut self) -> Result<(), ReadError> {
        if !self.changed && self.pending.is_empty() {
            return Ok(());
        }
        let (outbox, path) = (Arc::clone(&self.outbox), self.path.clone());
        let pending = self.pending.clone();
        let cursor = serde_json::to_vec(&self.cursor).map_err(io::Error::from)?;
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
