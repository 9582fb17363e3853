//! The book: what others ask of the log. Cheap to clone.

use std::{
    fs::{self, File},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attestation::{DocumentHash, document::MAX_DOCUMENT};
use bytes::Bytes;
use tokio::{
    sync::{Mutex as AsyncMutex, Notify, watch},
    task::spawn_blocking,
    time::timeout,
};
use wire::{LogHead, LogLine};

use super::{
    LogError,
    disk::{Disk, Files},
    line::{Checkpoint, Entry},
    queue::{Queue, Room},
    read, recover,
    shelf::{Boot, DOCUMENT, Shelf},
    writer::Writer,
};
use crate::{durable, metrics::Metrics};

/// The most that one reading answers.
const MOST: usize = 8 << 20;

/// Bounds of the log.
#[derive(Debug, Clone, Copy)]
pub struct BookLimits {
    /// The most lines that wait to be written.
    pub lines: usize,
    /// The most bytes of them.
    pub bytes: usize,
    /// How long a missing line may be on its way before it is asked for.
    pub gap: Duration,
    /// How long somebody waits for lines to be on disk.
    pub patience: Duration,
    /// The age at which a segment that ends with a checkpoint is closed, to be shipped.
    pub ship_after: Duration,
}

impl Default for BookLimits {
    fn default() -> Self {
        Self {
            lines: 16_384,
            bytes: 32 << 20,
            gap: Duration::from_millis(100),
            patience: Duration::from_secs(10),
            ship_after: Duration::from_secs(300),
        }
    }
}

/// How far the log is.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The boot whose log is being written.
    pub boot: Option<DocumentHash>,
    /// Its last entry that is on disk; 0 before the first.
    pub stored: u64,
    /// The last entry that a checkpoint on disk covers, and that checkpoint's time.
    pub signed: (u64, u64),
    /// The entry of the last checkpoint that came too late to be on the log.
    pub late: Option<u64>,
    /// Why nothing is written, when that is so.
    pub fault: Option<LogError>,
    /// The last object of the store that is not what was to be shipped under its name.
    pub conflict: Option<String>,
}

/// The log of all boots.
#[derive(Clone)]
pub struct Book {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) limits: BookLimits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) disk: Arc<dyn Disk>,
    shelf: Mutex<Shelf>,
    queue: Mutex<Queue>,
    /// Held while lines are written, and while another boot's log begins.
    pub(super) writer: Arc<AsyncMutex<Option<Writer>>>,
    pub(super) progress: watch::Sender<Progress>,
    /// Something came that may be written.
    pub(super) wake: Notify,
    /// A segment was closed.
    pub(super) closed: Notify,
    /// For as long as the folder is ours.
    _lock: File,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("progress", &*self.inner.progress.borrow()).finish_non_exhaustive()
    }
}

impl Book {
    /// Opens the log in a folder, making it when missing. What a crash cut short is cut off; all
    /// that is complete is kept. Reads at most one segment; to be called where blocking is allowed.
    ///
    /// # Errors
    /// [`LogError`]; [`LogError::Damaged`] when a complete line is not the one that belongs there.
    pub fn open(folder: &Path, limits: BookLimits, metrics: Arc<Metrics>) -> Result<Self, LogError> {
        Self::open_on(Arc::new(Files), folder, limits, metrics)
    }

    pub(super) fn open_on(
        disk: Arc<dyn Disk>,
        folder: &Path,
        limits: BookLimits,
        metrics: Arc<Metrics>,
    ) -> Result<Self, LogError> {
        durable::make_folder(folder).map_err(LogError::io("be opened"))?;
        let lock = File::create(folder.join(".lock")).map_err(LogError::io("be opened"))?;
        lock.try_lock().map_err(|_| LogError::Locked(folder.to_owned()))?;
        let shelf = recover::shelf(folder)?;
        Ok(Self {
            inner: Arc::new(Inner {
                limits,
                metrics,
                disk,
                shelf: Mutex::new(shelf),
                queue: Mutex::new(Queue::new(Room { lines: limits.lines, bytes: limits.bytes })),
                writer: Arc::default(),
                progress: watch::Sender::new(Progress::default()),
                wake: Notify::new(),
                closed: Notify::new(),
                _lock: lock,
            }),
        })
    }

    /// The last entry that is on disk, of the newest boot that has one: what the enclave is shown
    /// when its log opens.
    pub fn last(&self) -> Option<LogHead> {
        self.inner.shelf().head.clone()
    }

    /// The newest checkpoint on the log of the newest boot that has an entry, JSON.
    pub fn last_checkpoint(&self) -> Option<String> {
        self.inner.shelf().checkpoint.clone()
    }

    /// The boots whose logs are kept, in the order in which they began.
    pub fn boots(&self) -> Vec<DocumentHash> {
        self.inner.shelf().boots.iter().map(|boot| boot.boot).collect()
    }

    /// How far the log is, and each change of it.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.inner.progress.subscribe()
    }

    /// Begins or continues a boot's log. `document` is its attestation document, whose SHA-256 is
    /// the boot's name. From now on lines of other boots are refused. Harmless when repeated.
    ///
    /// # Errors
    /// [`LogError`]
    pub async fn begin(&self, boot: DocumentHash, document: &[u8]) -> Result<(), LogError> {
        if DocumentHash::of(document) != boot || document.len() > MAX_DOCUMENT {
            return Err(LogError::Line("the boot's attestation document"));
        }
        let mut writer = Arc::clone(&self.inner.writer).lock_owned().await;
        if writer.as_ref().is_some_and(|writer| writer.boot == boot) {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let document = document.to_vec();
        let begun = spawn_blocking(move || {
            if let Some(former) = writer.as_mut() {
                // What came of it, as far as there is no gap.
                while inner.write(former).is_more() {}
            }
            let begun = inner.begin(boot, &document)?;
            let (stored, signed) = (begun.next - 1, begun.signed);
            inner.queue().clear();
            *writer = Some(begun);
            inner.closed.notify_one();
            inner.progress.send_modify(|progress| {
                progress.boot = Some(boot);
                progress.stored = stored;
                progress.signed = signed;
                progress.late = None;
                progress.fault = None;
            });
            Ok(())
        });
        begun.await.map_err(|_| LogError::Stopped)?
    }

    /// Takes lines, in any order and any number of times. Lines of another boot than the one that
    /// began last, and what is no line, are left out, counted and told in the program's log.
    pub fn take(&self, lines: Vec<LogLine>) {
        let _ = self.put(lines);
    }

    /// Waits until all entries up to `seq` of the boot that began last are on disk.
    ///
    /// # Errors
    /// [`LogError`]: at once while the disk fails.
    pub async fn durable(&self, seq: u64) -> Result<(), LogError> {
        let boot = self.inner.progress.borrow().boot.ok_or(LogError::NotBegun)?;
        self.durable_of(boot, seq).await
    }

    /// Takes the lines that came with an answer, and waits until they and all before are on disk.
    /// Only then may the answer be passed on.
    ///
    /// # Errors
    /// [`LogError`]; [`LogError::OtherBoot`] when the lines are of an enclave that is gone.
    pub async fn store(&self, lines: Vec<LogLine>) -> Result<(), LogError> {
        match self.put(lines)? {
            Some((boot, seq)) => self.durable_of(boot, seq).await,
            None => Ok(()),
        }
    }

    /// The enclave says that its log stands at `seq`: lines up to there that do not come are asked
    /// for.
    pub fn expect(&self, seq: u64) {
        self.inner.queue().want(seq);
        self.inner.wake.notify_one();
    }

    /// Takes a checkpoint, the JSON object as the enclave answered it. It is written after the
    /// entry that it covers. Where the segment is closed already, that is after the next entry.
    ///
    /// # Errors
    /// [`LogError::Line`], [`LogError::OtherBoot`]
    pub fn checkpoint(&self, json: String) -> Result<(), LogError> {
        self.put_checkpoint(json).map(drop)
    }

    /// Takes a checkpoint and waits until it, or one that says more, is on disk. Only what is
    /// on disk may be shown to anyone: [`Self::last_checkpoint`].
    ///
    /// # Errors
    /// [`LogError`]; [`LogError::Line`] also when it comes too late for the log. The next one will
    /// do.
    pub async fn store_checkpoint(&self, json: String) -> Result<(), LogError> {
        let checkpoint = self.put_checkpoint(json)?;
        let (boot, seq, mark) = (checkpoint.boot, checkpoint.seq, checkpoint.mark());
        let decided = |progress: &Progress| progress.signed >= mark || progress.late == Some(seq);
        self.reached(boot, seq, decided).await?;
        if self.inner.progress.borrow().signed >= mark {
            Ok(())
        } else {
            Err(LogError::Line("a checkpoint in time"))
        }
    }

    /// Whole lines of a boot, or of the newest: entry `from`, those after it, and the checkpoints
    /// after each. At most `limit` bytes, which count as 66 KiB at least and 8 MiB at most, and at
    /// least one entry where there is one. Empty after the last.
    ///
    /// # Errors
    /// [`LogError::UnknownBoot`], [`LogError::NotBegun`], [`LogError::Io`]
    pub async fn read(&self, boot: Option<DocumentHash>, from: u64, limit: usize) -> Result<Bytes, LogError> {
        let places = self.inner.shelf().places(boot.as_ref(), from)?;
        let limit = limit.clamp(read::LEAST, MOST);
        let found = spawn_blocking(move || read::lines_from(&places, from, limit)).await;
        let found = found.map_err(|_| LogError::Stopped)?.map_err(LogError::io("be read"))?;
        let mut shelf = self.inner.shelf();
        for (place, index) in found.indexes {
            shelf.remember(&place.path, place.first, index);
        }
        Ok(found.bytes.into())
    }

    /// The attestation document of a boot.
    ///
    /// # Errors
    /// [`LogError::UnknownBoot`], [`LogError::Io`]
    pub async fn document(&self, boot: DocumentHash) -> Result<Bytes, LogError> {
        let path = {
            let shelf = self.inner.shelf();
            shelf.boot(&boot).ok_or(LogError::UnknownBoot)?;
            shelf.folder_of(&boot).join(DOCUMENT)
        };
        tokio::fs::read(path).await.map(Bytes::from).map_err(LogError::io("be read"))
    }

    /// The boot and the last number of the lines that were taken.
    fn put(&self, lines: Vec<LogLine>) -> Result<Option<(DocumentHash, u64)>, LogError> {
        let progress = self.inner.progress.borrow().clone();
        let boot = progress.boot.ok_or(LogError::NotBegun)?;
        let mut result = Ok(None);
        let mut last = 0;
        let mut queue = self.inner.queue();
        for line in lines {
            let entry = Entry::of(line)
                .and_then(|entry| if entry.boot == boot { Ok(entry) } else { Err(LogError::OtherBoot) });
            match entry {
                Ok(entry) => {
                    last = last.max(entry.seq);
                    queue.put(entry, progress.stored + 1);
                }
                Err(error) => {
                    self.inner.metrics.log().refused_line();
                    tracing::error!(%error, "a line of the log is not taken");
                    result = Err(error);
                }
            }
        }
        self.inner.metrics.log().backlog(queue.len());
        let has_next = queue.has(progress.stored + 1);
        drop(queue);
        // The last one that came in its place did not follow; this one may.
        if has_next && matches!(progress.fault, Some(LogError::Line(_))) {
            self.inner.metrics.log().failing(None);
            self.inner.progress.send_modify(|progress| {
                progress.fault.take_if(|fault| matches!(fault, LogError::Line(_)));
            });
        }
        self.inner.wake.notify_one();
        result.map(|_: Option<()>| (last > 0).then_some((boot, last)))
    }

    fn put_checkpoint(&self, json: String) -> Result<Checkpoint, LogError> {
        let checkpoint = Checkpoint::of(json)?;
        if self.inner.progress.borrow().boot != Some(checkpoint.boot) {
            return Err(LogError::OtherBoot);
        }
        self.inner.queue().put_checkpoint(checkpoint.clone());
        self.inner.wake.notify_one();
        Ok(checkpoint)
    }

    async fn durable_of(&self, boot: DocumentHash, seq: u64) -> Result<(), LogError> {
        if self.inner.progress.borrow().stored < seq {
            self.expect(seq);
        }
        self.reached(boot, seq, |progress| progress.stored >= seq).await
    }

    /// Waits for a boot's progress.
    async fn reached(
        &self,
        boot: DocumentHash,
        seq: u64,
        reached: impl Fn(&Progress) -> bool,
    ) -> Result<(), LogError> {
        let mut progress = self.inner.progress.subscribe();
        let done = |progress: &Progress| {
            progress.boot != Some(boot) || reached(progress) || progress.fault.is_some()
        };
        let within = self.inner.limits.patience;
        let late = LogError::Deadline { seq, within };
        let is = timeout(within, progress.wait_for(done)).await.map_err(|_| late)?;
        let is = is.map_err(|_| LogError::Stopped)?;
        match &is.fault {
            _ if is.boot != Some(boot) => Err(LogError::OtherBoot),
            _ if reached(&is) => Ok(()),
            Some(fault) => Err(fault.clone()),
            None => Err(LogError::Stopped),
        }
    }
}

impl Inner {
    pub(super) fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a boot's folder and its place in the order; where its log is to go on.
    fn begin(&self, boot: DocumentHash, document: &[u8]) -> Result<Writer, LogError> {
        let begin = || LogError::io("begin");
        let (root, folder, mut boots) = {
            let shelf = self.shelf();
            (shelf.folder.clone(), shelf.folder_of(&boot), shelf.boots.clone())
        };
        durable::make_folder(&folder).map_err(begin())?;
        let path = folder.join(DOCUMENT);
        if fs::read(&path).ok().as_deref() != Some(document) {
            durable::replace(&path, document).map_err(begin())?;
        }
        boots.retain(|known| known.boot != boot);
        // From the disk, where a failure may have left more than is known.
        let mut begun = Boot { boot, segments: recover::segments(&folder).map_err(begin())? };
        let end = recover::end(&folder, &mut begun)?.unwrap_or_default();
        boots.iter_mut().flat_map(|boot| &mut boot.segments).for_each(|segment| segment.closed = true);
        boots.push(begun);
        recover::save_order(&root, &boots).map_err(begin())?;
        self.shelf().boots = boots;
        Ok(Writer::new(Arc::clone(&self.disk), boot, folder, &end))
    }
}
