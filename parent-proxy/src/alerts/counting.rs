//! Counting entries of the log for Prometheus, whether anybody is told of events or not. How far the
//! log was read is noted beside it, so that a parent that starts anew counts no entry a second time.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};

use super::{
    event::EventKind,
    meter::family,
    tail::{Read, Tail},
    view::{Policy, View},
};
use crate::{
    log::{Book, LogError},
    metrics::{AlertMetrics, Metrics},
};

/// In the log's folder; a name that begins with a dot is no part of the log.
const COUNTED: &str = ".counted.json";
/// The least time between two readings of the log.
const PAUSE: Duration = Duration::from_millis(100);
/// The least time between two notes of how far it was read: what a crash has counted once more.
const NOTE: Duration = Duration::from_secs(1);
/// The wait after a log that could not be read.
const FAILED: Duration = Duration::from_secs(1);

/// How far the log was counted, and what of it the next entry is compared with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Counted {
    read: Read,
    policy: Option<Policy>,
}

/// Counts the entries of the log.
pub struct Counting {
    book: Book,
    tail: Tail,
    policy: Option<Policy>,
    metrics: Arc<Metrics>,
    path: PathBuf,
    noted: Option<Instant>,
    /// Whether more was counted than is noted.
    ahead: bool,
}

impl std::fmt::Debug for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counting").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Counting {
    /// Goes on where an earlier process stopped counting the log in `folder`. Without its note, or with
    /// a damaged one, all that is there is counted again.
    pub fn open(folder: &Path, book: Book, metrics: Arc<Metrics>) -> Self {
        let path = folder.join(COUNTED);
        let place: Counted =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let tail = Tail::new(book.clone(), place.read);
        Self { book, tail, policy: place.policy, metrics, path, noted: None, ahead: false }
    }

    /// Counts whenever the log grew, until told to stop.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = stop => {}
            () = self.count() => {}
        }
        // What came last on the log.
        if self.pass().await.is_ok() {
            self.note().await;
        }
    }

    async fn count(&mut self) {
        let mut progress = self.book.progress();
        let mut failing = false;
        loop {
            progress.borrow_and_update();
            let passed = self.pass().await;
            if let (Err(error), false) = (&passed, failing) {
                tracing::error!(%error, "entries of the log are not counted; trying again");
            }
            failing = passed.is_err();
            if self.noted.is_none_or(|noted| noted.elapsed() >= NOTE) {
                self.note().await;
            }
            sleep(if failing { FAILED } else { PAUSE }).await;
            tokio::select! {
                changed = progress.changed() => if changed.is_err() { return },
                () = sleep(NOTE), if self.ahead || failing => {}
            }
        }
    }

    /// Counts what is there.
    async fn pass(&mut self) -> Result<(), LogError> {
        for boot in self.tail.boots() {
            while let Some(views) = self.tail.page(&boot).await? {
                views.iter().for_each(|view| entry(view, &mut self.policy, self.metrics.alerts()));
                self.ahead = true;
            }
        }
        Ok(())
    }

    /// Notes how far was counted. It need not outlast a power cut, and where it cannot be written, as on
    /// a full disk, counting goes on.
    async fn note(&mut self) {
        if !self.ahead {
            return;
        }
        self.noted = Some(Instant::now());
        let place = Counted { read: self.tail.read().clone(), policy: self.policy.clone() };
        let (path, new) = (self.path.clone(), self.path.with_extension("new"));
        let write = move || -> io::Result<()> {
            fs::write(&new, serde_json::to_vec(&place)?)?;
            fs::rename(&new, &path)
        };
        match spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => self.ahead = false,
            Err(error) => tracing::warn!(%error, "how far the log was counted is not noted"),
        }
    }
}

/// Counts an entry. `policy` is the one that was last put.
fn entry(view: &View, policy: &mut Option<Policy>, metrics: &AlertMetrics) {
    if view.is_denied() {
        for (tag, times) in view.denials() {
            match EventKind::from_denial(tag) {
                EventKind::AuthFailed => metrics.auth_failed(tag, times),
                EventKind::KmsDenied => metrics.kms_denied(),
                _ => metrics.denied(tag, times),
            }
        }
    } else {
        allowed(view, policy, metrics);
    }
    for meter in view.near_limit() {
        metrics.near_limit(&family(meter));
    }
}

fn allowed(view: &View, policy: &mut Option<Policy>, metrics: &AlertMetrics) {
    match view.operation.as_str() {
        "boot" => metrics.booted(),
        "order.submit" | "key.replace" => metrics.order(order_type(view)),
        // Every boot is given the policy anew.
        "policy.put" if view.policy != *policy => {
            policy.clone_from(&view.policy);
            metrics.policy_changed();
        }
        "transaction.sign" => metrics.signature(view.text("kind")),
        _ => {}
    }
}

/// The type of an order, from the fixed set.
fn order_type(view: &View) -> &'static str {
    match view.text("type") {
        "freeze_all" => "freeze_all",
        "freeze_chain" => "freeze_chain",
        "freeze_user" => "freeze_user",
        "freeze_key" => "freeze_key",
        "pause_crediting" => "pause_crediting",
        "retire_key" => "retire_key",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
