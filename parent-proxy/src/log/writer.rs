//! Writes a boot's lines in order: many at once with one write and one flush. Nothing counts as
//! stored before the flush; what a failure left half written is cut off before the next attempt.

use std::{
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use attestation::DocumentHash;

use super::{
    disk::{Disk, Sheet},
    line::{Checkpoint, End, Entry, LineHash},
    read,
    shelf::{Index, name},
};

/// A segment of so many bytes is followed by the next.
pub(super) const SEGMENT_BYTES: u64 = 4 << 20;
/// Or of so many lines.
pub(super) const SEGMENT_LINES: u64 = 64 * 1024;
/// How many entries late a checkpoint may come. Verifiers take 1024.
const LATEST: u64 = 1000;

/// Writes one boot's log.
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    pub(super) boot: DocumentHash,
    folder: PathBuf,
    /// The number of the next entry.
    pub(super) next: u64,
    /// The hash of the one before.
    pub(super) prev: LineHash,
    /// What the last checkpoint on the log says: see [`Checkpoint::mark`].
    pub(super) signed: (u64, u64),
    /// The last entry before that checkpoint's line.
    signed_at: u64,
    /// The entry of the last checkpoint that came too late.
    pub(super) late: Option<u64>,
    open: Option<Open>,
}

/// The segment that is being written.
struct Open {
    sheet: Box<dyn Sheet>,
    first: u64,
    /// On disk for good; what is beyond is left of a failure.
    length: u64,
    torn: bool,
    lines: u64,
    since: SystemTime,
    begun: Instant,
    index: Index,
    ends_signed: bool,
}

/// Lines to write at once: entries that follow each other, and checkpoints over any up to the
/// last of them.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// The segment that was written, as it is now.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) first: u64,
    pub(super) length: u64,
    pub(super) since: SystemTime,
    pub(super) index: Arc<Index>,
    /// The last checkpoint that was written.
    pub(super) checkpoint: Option<String>,
    pub(super) flush: Duration,
}

impl Writer {
    pub(super) fn new(disk: Arc<dyn Disk>, boot: DocumentHash, folder: PathBuf, end: &End) -> Self {
        let signed = end.checkpoint.as_ref().map_or((0, 0), Checkpoint::mark);
        let (next, prev, signed_at) = (end.seq + 1, end.hash, end.signed_at);
        Self { disk, boot, folder, next, prev, signed, signed_at, late: None, open: None }
    }

    /// How many lines and bytes the segment has room for that the next entry goes to.
    pub(super) fn room(&self) -> (usize, usize) {
        let (lines, length) = match &self.open {
            Some(open) if !open.is_full() => (open.lines, open.length),
            _ => (0, 0),
        };
        ((SEGMENT_LINES - lines) as usize, (SEGMENT_BYTES - length) as usize)
    }

    /// Whether the next entry goes to another segment.
    pub(super) fn is_full(&self) -> bool {
        self.open.as_ref().is_some_and(Open::is_full)
    }

    /// Whether a checkpoint can be written without an entry. A segment begins with an entry.
    pub(super) fn takes_checkpoints(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.length > 0)
    }

    /// Writes and flushes. After an error nothing of the batch counts, and it may be written again.
    pub(super) fn write(&mut self, batch: &Batch) -> io::Result<Option<Written>> {
        if !batch.entries.is_empty() && self.is_full() {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let sheet = self.disk.create(&self.folder.join(name(self.next)))?;
                self.open.insert(Open::new(sheet, self.next))
            }
        };
        if open.torn {
            open.sheet.cut(open.length)?;
            open.torn = false;
        }
        let mut page = Page::new(open, self.signed, self.signed_at);
        let mut checkpoints = batch.checkpoints.iter().peekable();
        let mut last = self.next - 1;
        for entry in &batch.entries {
            // Those over earlier entries, unless the segment has no entry yet.
            while page.has_entry
                && let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.seq < entry.seq)
            {
                page.checkpoint(checkpoint, last);
            }
            page.entry(entry);
            last = entry.seq;
        }
        checkpoints.for_each(|checkpoint| page.checkpoint(checkpoint, last));
        self.late = page.late.or(self.late);
        if page.bytes.is_empty() {
            return Ok(None);
        }
        let Page { bytes, lines, index, signed, signed_at, checkpoint, ends_signed, .. } = page;
        open.torn = true;
        open.sheet.append(&bytes)?;
        let started = Instant::now();
        open.sheet.flush()?;
        open.torn = false;
        open.length += bytes.len() as u64;
        open.lines += lines;
        open.index = index;
        open.ends_signed = ends_signed;
        (self.signed, self.signed_at) = (signed, signed_at);
        self.next += batch.entries.len() as u64;
        if let Some(entry) = batch.entries.last() {
            self.prev = entry.hash();
        }
        Ok(Some(Written {
            first: open.first,
            length: open.length,
            since: open.since,
            index: Arc::new(open.index.clone()),
            checkpoint,
            flush: started.elapsed(),
        }))
    }

    /// Closes the segment if it ends with a checkpoint and is older than this. Then it is known to
    /// whoever has it up to its last line, and may be shipped.
    pub(super) fn close_after(&mut self, age: Duration) -> Option<u64> {
        let due = |open: &Open| open.ends_signed && !open.torn && open.begun.elapsed() >= age;
        self.open.take_if(|open| due(open)).map(|open| open.first)
    }
}

impl Open {
    fn new(sheet: Box<dyn Sheet>, first: u64) -> Self {
        Self {
            sheet,
            first,
            length: 0,
            torn: false,
            lines: 0,
            since: SystemTime::now(),
            begun: Instant::now(),
            index: Index::new(),
            ends_signed: false,
        }
    }

    fn is_full(&self) -> bool {
        self.length >= SEGMENT_BYTES || self.lines >= SEGMENT_LINES
    }
}

/// What is about to be written at the end of a segment.
struct Page {
    bytes: Vec<u8>,
    begin: u64,
    lines: u64,
    index: Index,
    signed: (u64, u64),
    signed_at: u64,
    checkpoint: Option<String>,
    late: Option<u64>,
    has_entry: bool,
    ends_signed: bool,
}

impl Page {
    fn new(open: &Open, signed: (u64, u64), signed_at: u64) -> Self {
        Self {
            bytes: Vec::new(),
            begin: open.length,
            lines: 0,
            index: open.index.clone(),
            signed,
            signed_at,
            checkpoint: None,
            late: None,
            has_entry: open.length > 0,
            ends_signed: open.ends_signed,
        }
    }

    fn entry(&mut self, entry: &Entry) {
        read::note(&mut self.index, self.begin + self.bytes.len() as u64, entry.text.as_bytes());
        self.bytes.extend_from_slice(entry.text.as_bytes());
        self.bytes.push(b'\n');
        self.lines += 1;
        self.has_entry = true;
        self.ends_signed = false;
    }

    /// Left out is what verifiers refuse: a checkpoint that comes too late, or after one over a
    /// later entry. Also one over an entry before the last checkpoint's line: whoever goes on after
    /// that entry would meet the other one, and take it for out of place.
    fn checkpoint(&mut self, checkpoint: &Checkpoint, last: u64) {
        if checkpoint.mark() <= self.signed {
            return;
        }
        if last.saturating_sub(checkpoint.seq) > LATEST || checkpoint.seq < self.signed_at {
            tracing::warn!(checkpoint.seq, last, "a checkpoint came too late for the log");
            self.late = Some(checkpoint.seq);
            return;
        }
        checkpoint.write(&mut self.bytes);
        self.lines += 1;
        (self.signed, self.signed_at) = (checkpoint.mark(), last);
        self.checkpoint = Some(checkpoint.json.clone());
        self.ends_signed = checkpoint.seq == last;
    }
}
