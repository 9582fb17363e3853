//! The book on a disk that fails, counts, or was cut short.

mod reading;

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use attestation::DocumentHash;
use futures::future::join_all;
use tokio::sync::oneshot;
use wire::LogLine;

use super::{
    Book, BookLimits, LogError, Source,
    disk::{Disk, Files, Sheet},
    double,
    shelf::name,
};
use crate::metrics::Metrics;

/// A disk that is full, fails half-way or fails to flush on demand, and counts.
#[derive(Default)]
struct Faulty {
    full: AtomicBool,
    deaf: AtomicBool,
    writes: AtomicUsize,
    flushes: AtomicUsize,
}

struct FaultySheet(Box<dyn Sheet>, Arc<Faulty>);

impl Disk for Arc<Faulty> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sheet>> {
        Ok(Box::new(FaultySheet(Files.create(path)?, Self::clone(self))))
    }
}

impl Sheet for FaultySheet {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.1.writes.fetch_add(1, Ordering::SeqCst);
        if self.1.full.load(Ordering::SeqCst) {
            // As much as fits.
            self.0.append(&bytes[..bytes.len() / 2])?;
            return Err(ErrorKind::StorageFull.into());
        }
        self.0.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flushes.fetch_add(1, Ordering::SeqCst);
        if self.1.deaf.load(Ordering::SeqCst) {
            return Err(ErrorKind::Other.into());
        }
        // As slow as a disk, so that others come meanwhile.
        std::thread::sleep(Duration::from_millis(5));
        self.0.flush()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }
}

/// An enclave that has these lines.
struct Has(Vec<LogLine>, Arc<AtomicUsize>);

impl Source for Has {
    async fn read(&self, from: u64) -> Vec<LogLine> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.iter().filter(|line| line.seq >= from).take(10).cloned().collect()
    }
}

fn nobody() -> Has {
    Has(Vec::new(), Arc::default())
}

fn limits() -> BookLimits {
    BookLimits {
        gap: Duration::from_millis(20),
        patience: Duration::from_secs(5),
        ship_after: Duration::from_secs(3600),
        ..BookLimits::default()
    }
}

struct Running {
    book: Book,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn of(book: Book, source: impl Source) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(book.clone().run(source, async move { drop(stopped.await) }));
        Self { book, stop, task }
    }

    async fn begun(folder: &Path, source: impl Source) -> Self {
        let book = Book::open(folder, limits(), Arc::default()).unwrap();
        let running = Self::of(book, source);
        running.book.begin(double::boot(), double::DOCUMENT).await.unwrap();
        running
    }

    async fn stop(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

fn text(lines: &[LogLine]) -> String {
    lines.iter().map(|line| format!("{}\n", line.line)).collect()
}

/// All of a boot that is on disk.
fn on_disk(folder: &Path, boot: &DocumentHash) -> String {
    let mut names: Vec<_> =
        fs::read_dir(folder.join(boot.to_string())).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    names.sort();
    names.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_in_any_order_and_twice_are_stored_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let lines = double::lines(500);
    let answers = lines.chunks(3).rev().map(|chunk| {
        let (book, chunk) = (running.book.clone(), chunk.to_vec());
        tokio::spawn(async move {
            book.store(chunk.iter().rev().cloned().collect()).await.unwrap();
            // Everything up to here is there by now.
            let last = chunk.last().unwrap().seq;
            assert!(book.progress().borrow().stored >= last);
            book.store(chunk).await.unwrap();
        })
    });
    join_all(answers.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines));
    let last = running.book.last().unwrap();
    assert_eq!((last.boot, last.seq), (double::boot(), 500));
    assert_eq!(last.hash.into_array(), *DocumentHash::of(lines[499].line.as_bytes()).as_bytes());
    assert_eq!(running.book.inner.queue().len(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_wait_share_one_write_and_one_flush() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let book = Book::open_on(Arc::new(Arc::clone(&disk)), folder.path(), limits(), Arc::default()).unwrap();
    let running = Running::of(book, nobody());
    running.book.begin(double::boot(), double::DOCUMENT).await.unwrap();
    let started = Instant::now();
    let answers = double::lines(2000).into_iter().map(|line| {
        let book = running.book.clone();
        tokio::spawn(async move { book.store(vec![line]).await.unwrap() })
    });
    join_all(answers.collect::<Vec<_>>()).await.into_iter().for_each(Result::unwrap);
    let (writes, flushes) = (disk.writes.load(Ordering::SeqCst), disk.flushes.load(Ordering::SeqCst));
    assert_eq!(writes, flushes);
    assert!(flushes < 200, "{flushes} flushes for 2000 answers in {:?}", started.elapsed());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_does_not_come_is_asked_of_the_enclave() {
    let folder = tempfile::tempdir().unwrap();
    let lines = double::lines(40);
    let asked = Arc::new(AtomicUsize::new(0));
    let running = Running::begun(folder.path(), Has(lines.clone(), Arc::clone(&asked))).await;
    running.book.store(vec![lines[0].clone(), lines[4].clone()]).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(on_disk(folder.path(), &double::boot()).starts_with(&text(&lines[..5])));
    // Where the enclave says it stands.
    running.book.expect(40);
    running.book.durable(40).await.unwrap();
    assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_never_comes_costs_its_deadline_and_nothing_after_it_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let patience = Duration::from_millis(300);
    let book = Book::open(folder.path(), BookLimits { patience, ..limits() }, Arc::default()).unwrap();
    assert!(matches!(book.durable(1).await, Err(LogError::NotBegun)));
    assert!(matches!(book.store(double::lines(1)).await, Err(LogError::NotBegun)));
    let running = Running::of(book, nobody());
    running.book.begin(double::boot(), double::DOCUMENT).await.unwrap();
    let lines = double::lines(3);
    let late = running.book.store(vec![lines[0].clone(), lines[2].clone()]).await;
    assert!(matches!(late, Err(LogError::Deadline { seq: 3, .. })), "{late:?}");
    assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines[..1]));
    running.book.store(vec![lines[1].clone()]).await.unwrap();
    running.book.durable(3).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_at_once_and_nothing_is_lost_or_doubled_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(Faulty::default());
    let metrics = Arc::new(Metrics::new());
    let book = Book::open_on(Arc::new(Arc::clone(&disk)), folder.path(), limits(), Arc::clone(&metrics));
    let running = Running::of(book.unwrap(), nobody());
    running.book.begin(double::boot(), double::DOCUMENT).await.unwrap();
    let lines = double::lines(60);
    running.book.store(lines[..10].to_vec()).await.unwrap();
    for (round, fault) in [&disk.full, &disk.deaf].into_iter().enumerate() {
        fault.store(true, Ordering::SeqCst);
        let at = 10 + round * 20;
        let failed = running.book.store(lines[at..at + 10].to_vec()).await;
        assert!(matches!(failed, Err(LogError::Io { .. })), "{failed:?}");
        let again = running.book.store(lines[at + 10..at + 15].to_vec()).await;
        assert!(matches!(again, Err(LogError::Io { .. })), "{again:?}");
        assert!(metrics.encode().unwrap().contains("cofferdam_parent_log_failing 1"));
        assert!(running.book.store(lines[..10].to_vec()).await.is_ok(), "what is on disk is on disk");
        // Nobody is told anything that is half written.
        let read = running.book.read(None, 1, 1 << 20).await.unwrap();
        assert_eq!(read, text(&lines[..at]));
        fault.store(false, Ordering::SeqCst);
        while running.book.store(lines[at + 15..at + 20].to_vec()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines[..at + 20]));
        assert!(metrics.encode().unwrap().contains("cofferdam_parent_log_failing 0"));
    }
    running.book.store(lines).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_byte_of_the_last_line_costs_that_line_alone() {
    let lines = double::lines(4);
    let whole = text(&lines);
    let kept = text(&lines[..3]);
    for cut in kept.len()..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let boot = folder.path().join(double::boot().to_string());
        fs::create_dir(&boot).unwrap();
        fs::write(boot.join(name(1)), &whole.as_bytes()[..cut]).unwrap();
        let running = Running::begun(folder.path(), nobody()).await;
        let there = if cut == whole.len() { 4 } else { 3 };
        assert_eq!(running.book.last().unwrap().seq, there);
        assert_eq!(running.book.read(None, 1, 1 << 20).await.unwrap(), text(&lines[..there as usize]));
        running.book.store(lines.clone()).await.unwrap();
        assert_eq!(on_disk(folder.path(), &double::boot()), whole);
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_only_line_that_was_cut_short_leaves_no_segment() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    running.stop().await;
    let segment = folder.path().join(double::boot().to_string()).join(name(1));
    for rest in ["", "{\"v\":1"] {
        fs::write(&segment, rest).unwrap();
        let running = Running::begun(folder.path(), nobody()).await;
        assert_eq!(running.book.last(), None);
        assert!(!segment.exists());
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_line_that_does_not_belong_is_for_a_person_to_look_at() {
    let lines = double::lines(3);
    let other = double::lines_of(&DocumentHash::of(b"other"), 1, 0);
    for wrong in [
        format!("{}\n{}\n", lines[0].line, lines[2].line),
        format!("{}\n\n", lines[0].line),
        format!("{}\n{}\n", lines[0].line, "\0".repeat(100)),
        format!("{}\n", other[0].line),
        format!(
            "{}\n{}\n",
            lines[0].line,
            lines[1].line.replace("\"prev\":\"", "\"prev\":\"0").replacen("0\"}", "\"}", 1)
        ),
        format!("{{\"checkpoint\":{}}}\n", double::checkpoint(1)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let boot = folder.path().join(double::boot().to_string());
        fs::create_dir(&boot).unwrap();
        fs::write(boot.join(name(1)), &wrong).unwrap();
        let refused = Book::open(folder.path(), limits(), Arc::default());
        assert!(matches!(refused, Err(LogError::Damaged { .. })), "{wrong}: {refused:?}");
        assert_eq!(fs::read_to_string(boot.join(name(1))).unwrap(), wrong, "left as it is");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_line_of_this_boot_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::begun(folder.path(), nobody()).await;
    let lines = double::lines(4);
    running.book.store(lines[..2].to_vec()).await.unwrap();
    let line = |line: String| vec![LogLine { seq: 3, line }];
    let next = &lines[2].line;
    for bad in [
        line(format!("{next}\n")),
        line(format!("{}\n{next}", lines[1].line)),
        line(format!("{{\"x\":\"{}\"}}", "x".repeat(65_536))),
        line(String::new()),
        vec![LogLine { seq: 7, line: next.clone() }],
        double::lines_of(&DocumentHash::of(b"other"), 1, 0),
    ] {
        let refused = running.book.store(bad).await;
        assert!(matches!(refused, Err(LogError::Line(_) | LogError::OtherBoot)), "{refused:?}");
    }
    // It has the right form, and does not follow.
    let forked = next.replace("\"time\":17", "\"time\":18");
    running.book.store(line(forked.clone())).await.unwrap();
    let after = running.book.store(lines[3..].to_vec()).await;
    assert!(matches!(after, Err(LogError::Line(_))), "{after:?}");
    assert_eq!(on_disk(folder.path(), &double::boot()), text(&lines[..2]) + &forked + "\n");
    running.stop().await;
}
