//! Adding what was made here, before it is answered: many at once in one transaction.

use std::time::{Duration, Instant};

use tokio::{sync::oneshot, time::timeout};

use super::{Index, IndexEntry};

/// How long an answer waits for it. What does not come in by then is found by the next look through
/// the store.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most additions in one transaction.
const AT_ONCE: usize = 256;
/// How long what was added may be in memory alone. What a crash takes of it, the next start finds in
/// the store.
const FLUSH: Duration = Duration::from_secs(1);

/// Something to add, and who waits for it.
pub(super) struct Adding {
    entries: Vec<IndexEntry>,
    done: oneshot::Sender<()>,
}

impl Index {
    /// Adds keys whose records are stored, and comes back when they are found by it. Never fails: a
    /// key is there whether the index knows of it or not.
    pub async fn add(&self, entries: Vec<IndexEntry>) {
        let (done, added) = oneshot::channel();
        if entries.is_empty() || self.inner.add.try_send(Adding { entries, done }).is_err() {
            return;
        }
        let _ = timeout(PATIENCE, added).await;
    }

    /// Writes what is to be added, for ever.
    pub(super) async fn write(&self) {
        let mut adding = self.inner.adding.lock().await;
        let mut flushed: Option<Instant> = None;
        while let Some(first) = adding.recv().await {
            let mut group = vec![first];
            while group.len() < AT_ONCE {
                let Ok(next) = adding.try_recv() else { break };
                group.push(next);
            }
            let (entries, waiting): (Vec<_>, Vec<_>) =
                group.into_iter().map(|adding| (adding.entries, adding.done)).unzip();
            let durable = flushed.is_none_or(|flushed| flushed.elapsed() >= FLUSH);
            self.commit(entries.concat(), durable).await;
            if durable {
                flushed = Some(Instant::now());
            }
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    /// Adds, where there is a file to add to.
    async fn commit(&self, entries: Vec<IndexEntry>, durable: bool) {
        let Some(database) = self.inner.state().database.clone() else { return };
        match self.ask(database, move |database| database.add(&entries, durable)).await {
            Ok(keys) => self.inner.metrics.index().keys(keys),
            Err(_) => self.inner.metrics.index().failed(),
        }
    }
}
