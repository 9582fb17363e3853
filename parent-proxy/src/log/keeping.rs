//! Keeping the book: one task writes what waits, asks the enclave for lines that do not come, and
//! tries again after a failure of the disk.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use attestation::DocumentHash;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};
use wire::LogLine;

use super::{
    Book, LogError,
    book::Inner,
    shelf::Segment,
    writer::{Batch, Writer, Written},
};
use crate::backoff::backoff;

/// Waits after a failure of the disk.
const FAILED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Waits between questions for a line that does not come.
const ASKED: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// For one such question.
const ANSWER: Duration = Duration::from_secs(10);

/// Who has lines that did not come: the enclave, through `Operation::ReadLog`.
pub trait Source: Send + Sync + 'static {
    /// Lines from number `from` on, as many as one answer has; none when they cannot be had now.
    fn read(&self, from: u64) -> impl Future<Output = Vec<LogLine>> + Send;
}

/// What became of an attempt to write.
pub(super) enum Attempt {
    /// Lines were written; there may be more.
    Wrote,
    /// There is nothing to write, or a line is missing.
    Nothing,
    /// The disk failed.
    Failed,
}

impl Attempt {
    pub(super) const fn is_more(&self) -> bool {
        matches!(self, Self::Wrote)
    }
}

/// A missing line: which, since when, and how often it was asked for.
struct Gap {
    next: u64,
    since: Instant,
    asked: u32,
}

impl Book {
    /// Writes until told to stop, and then what still waits.
    pub async fn run(self, source: impl Source, stop: impl Future<Output = ()> + Send) {
        let inner = &self.inner;
        let source = Arc::new(source);
        let mut stop = pin!(stop);
        let mut failures = 0u32;
        let mut gap: Option<Gap> = None;
        let mut asking: Option<Pin<Box<dyn Future<Output = Vec<LogLine>> + Send>>> = None;
        let tick = inner.limits.ship_after.clamp(Duration::from_millis(10), Duration::from_secs(5));
        loop {
            let attempt = inner.attempt().await;
            let mut wait = tick;
            match attempt {
                Attempt::Wrote => {
                    failures = 0;
                    wait = Duration::ZERO;
                }
                Attempt::Nothing => failures = 0,
                Attempt::Failed => {
                    wait = backoff(failures, FAILED.0, FAILED.1);
                    failures = failures.saturating_add(1);
                }
            }
            gap = inner.gap(gap).await;
            if let Some(gap) = &mut gap
                && asking.is_none()
            {
                let pause =
                    if gap.asked == 0 { Duration::ZERO } else { backoff(gap.asked, ASKED.0, ASKED.1) };
                let due = inner.limits.gap.saturating_add(pause).saturating_sub(gap.since.elapsed());
                if due.is_zero() {
                    let (source, from) = (Arc::clone(&source), gap.next);
                    asking = Some(Box::pin(async move {
                        timeout(ANSWER, source.read(from)).await.unwrap_or_default()
                    }));
                    gap.asked = gap.asked.saturating_add(1);
                    gap.since = Instant::now();
                    inner.metrics.log().asked();
                } else {
                    wait = wait.min(due);
                }
            }
            let failing = failures > 0;
            tokio::select! {
                biased;
                () = &mut stop => break,
                lines = answer(&mut asking) => {
                    asking = None;
                    self.take(lines);
                }
                () = inner.wake.notified(), if !failing => {}
                () = pause(wait) => {}
            }
        }
        while inner.attempt().await.is_more() {}
        inner.progress.send_modify(|progress| progress.fault = Some(LogError::Stopped));
    }
}

async fn answer(asking: &mut Option<Pin<Box<dyn Future<Output = Vec<LogLine>> + Send>>>) -> Vec<LogLine> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// At once, or after a while.
async fn pause(wait: Duration) {
    if wait.is_zero() { tokio::task::yield_now().await } else { sleep(wait).await }
}

impl Inner {
    /// Writes once, and closes the segment if it is due. Whoever waits for it may go: it is done
    /// to its end all the same.
    async fn attempt(self: &Arc<Self>) -> Attempt {
        let mut writer = Arc::clone(&self.writer).lock_owned().await;
        let inner = Arc::clone(self);
        let attempt = spawn_blocking(move || {
            let Some(writer) = writer.as_mut() else { return Attempt::Nothing };
            let attempt = inner.write(writer);
            if let Some(first) = writer.close_after(inner.limits.ship_after) {
                inner.close(&writer.boot, first);
            }
            attempt
        });
        // It does not panic; if it did, nothing would be on disk of what it was to write.
        attempt.await.unwrap_or(Attempt::Failed)
    }

    fn close(&self, boot: &DocumentHash, first: u64) {
        let mut shelf = self.shelf();
        let segments = shelf.boot_mut(boot).map(|boot| &mut boot.segments);
        let segment = segments.and_then(|all| all.iter_mut().find(|segment| segment.first == first));
        segment.into_iter().for_each(|segment| segment.closed = true);
        self.closed.notify_one();
    }

    /// The gap that there is now; the same one as before keeps its age.
    async fn gap(&self, before: Option<Gap>) -> Option<Gap> {
        let next = self.writer.lock().await.as_ref()?.next;
        if !self.queue().gap(next) {
            return None;
        }
        before.filter(|gap| gap.next == next).or(Some(Gap { next, since: Instant::now(), asked: 0 }))
    }

    /// Writes what waits, as much as one segment has room for. Blocks.
    pub(super) fn write(&self, writer: &mut Writer) -> Attempt {
        let (batch, refused) = self.batch(writer);
        if batch.entries.is_empty() && batch.checkpoints.is_empty() {
            if refused {
                self.failed(LogError::Line("a line that follows the one before it"));
            }
            return Attempt::Nothing;
        }
        match writer.write(&batch) {
            Ok(written) => {
                self.wrote(writer, &batch, written);
                Attempt::Wrote
            }
            Err(error) => {
                self.queue().put_back(batch.entries, batch.checkpoints);
                self.failed(LogError::io("be written")(error));
                Attempt::Failed
            }
        }
    }

    /// What can be written now. An entry that does not follow the one before it is left out: it
    /// is asked for again.
    fn batch(&self, writer: &Writer) -> (Batch, bool) {
        let (lines, bytes) = writer.room();
        let mut queue = self.queue();
        // A full segment ends with the checkpoint that waits for it.
        if writer.is_full() && queue.has_checkpoint(writer.next - 1) {
            return (Batch { entries: Vec::new(), checkpoints: queue.checkpoints(writer.next - 1) }, false);
        }
        let mut entries = queue.run(writer.next, lines, bytes);
        let mut prev = writer.prev;
        let wrong = entries.iter().position(|entry| {
            let follows = entry.prev == prev;
            prev = entry.hash();
            !follows
        });
        if let Some(wrong) = wrong {
            let mut after = entries.split_off(wrong).into_iter();
            after.next();
            queue.put_back(after.collect(), Vec::new());
            self.metrics.log().refused_line();
        }
        let mut batch = Batch { entries, checkpoints: Vec::new() };
        let last = batch.entries.last().map_or(writer.next - 1, |entry| entry.seq);
        if !batch.entries.is_empty() || writer.takes_checkpoints() && queue.has_checkpoint(last) {
            batch.checkpoints = queue.checkpoints(last);
        }
        (batch, wrong.is_some())
    }

    fn wrote(&self, writer: &Writer, batch: &Batch, written: Option<Written>) {
        let metrics = self.metrics.log();
        if let Some(written) = written {
            metrics.wrote(batch.entries.len() as u64, written.checkpoint.is_some(), written.flush);
            let mut shelf = self.shelf();
            if let Some(boot) = shelf.boot_mut(&writer.boot) {
                note(&mut boot.segments, &written, &self.closed);
            }
            if !batch.entries.is_empty() {
                let hash = serde_bytes::ByteArray::new(writer.prev);
                if shelf.head.as_ref().is_none_or(|head| head.boot != writer.boot) {
                    shelf.checkpoint = None;
                }
                shelf.head = Some(wire::LogHead { boot: writer.boot, seq: writer.next - 1, hash });
            }
            if written.checkpoint.is_some() {
                shelf.checkpoint = written.checkpoint;
            }
        }
        metrics.backlog(self.queue().len());
        let mut was_failing = false;
        self.progress.send_modify(|progress| {
            progress.stored = writer.next - 1;
            progress.signed = writer.signed;
            progress.late = writer.late;
            was_failing = progress.fault.take().is_some();
        });
        if was_failing {
            metrics.failing(None);
            tracing::info!("the log is written again");
        }
    }

    fn failed(&self, error: LogError) {
        self.metrics.log().failing(Some(error.kind()));
        let mut was_failing = false;
        self.progress.send_modify(|progress| {
            was_failing = progress.fault.replace(error.clone()).is_some();
        });
        if !was_failing {
            tracing::error!(%error, "the log is not written; nothing is answered that must be on it");
        }
    }
}

/// The segment as it is now; a new one closes those before it.
fn note(segments: &mut Vec<Segment>, written: &Written, closed: &tokio::sync::Notify) {
    let Written { first, length, since, ref index, .. } = *written;
    let index = Some(Arc::clone(index));
    match segments.iter_mut().find(|segment| segment.first == first) {
        Some(segment) => {
            segment.length = length;
            segment.index = index;
        }
        None => {
            segments.iter_mut().for_each(|segment| segment.closed = true);
            segments.push(Segment { first, length, closed: false, since, index });
            closed.notify_one();
        }
    }
}
