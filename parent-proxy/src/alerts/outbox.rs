//! The queue of events on disk: payloads in the order of their numbers, in files that are never
//! changed but at their end. Bounded: when it is full the oldest file goes, and whoever had not
//! taken its events hears how many were lost to it. What was taken stays for as long, so that it
//! can be delivered again.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::event::Event;
use crate::durable;

/// A file of so many bytes is followed by the next.
const FILE_BYTES: u64 = 256 * 1024;

/// The queue.
#[derive(Debug)]
pub(super) struct Outbox {
    folder: PathBuf,
    /// The most bytes of all files.
    bytes: u64,
    state: Mutex<Files>,
    end: watch::Sender<u64>,
}

#[derive(Debug)]
struct Files {
    files: VecDeque<Part>,
    /// The last file, once something was written to it.
    open: Option<File>,
    /// Whether a failure left something beyond the last file's length.
    torn: bool,
}

/// A file of the queue.
#[derive(Debug, Clone)]
struct Part {
    /// The number of its first event.
    first: u64,
    count: u64,
    bytes: u64,
}

impl Outbox {
    /// Opens the queue in a folder. A payload that a crash cut short is cut off.
    pub(super) fn open(folder: &Path, bytes: u64) -> io::Result<Self> {
        let mut files = VecDeque::new();
        for (first, path) in names(folder)? {
            let text = fs::read(&path)?;
            let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
            if whole < text.len() {
                OpenOptions::new().write(true).open(&path)?.set_len(whole as u64)?;
            }
            let count = text.iter().filter(|b| **b == b'\n').count() as u64;
            files.push_back(Part { first, count, bytes: whole as u64 });
        }
        let end = files.back().map_or(1, |part: &Part| part.first + part.count);
        let state = Files { files, open: None, torn: false };
        Ok(Self { folder: folder.to_owned(), bytes, state: Mutex::new(state), end: watch::Sender::new(end) })
    }

    /// The number that the next event will have, and each change of it.
    pub(super) fn end(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// The number of the oldest event that is there.
    pub(super) fn begin(&self) -> u64 {
        let state = self.state();
        state.files.front().map_or_else(|| *self.end.borrow(), |part| part.first)
    }

    /// Puts events at the end, on disk for good. After an error none of them is there. Blocks.
    pub(super) fn append(&self, events: &[Event]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut state = self.state();
        let state = &mut *state;
        let next = *self.end.borrow();
        let full = state.files.back().is_none_or(|part| part.bytes >= FILE_BYTES);
        if full {
            let path = self.folder.join(name(next));
            let file = OpenOptions::new().append(true).create(true).truncate(false).open(path)?;
            file.set_len(0)?;
            durable::sync_folder(&self.folder)?;
            state.open = Some(file);
            state.torn = false;
            state.files.push_back(Part { first: next, count: 0, bytes: 0 });
        }
        let Some(part) = state.files.back_mut() else { return Err(io::ErrorKind::NotFound.into()) };
        let file = match &mut state.open {
            Some(file) => file,
            None => {
                let path = self.folder.join(name(part.first));
                state.open.insert(OpenOptions::new().append(true).open(path)?)
            }
        };
        if state.torn {
            file.set_len(part.bytes)?;
        }
        let text: String = events.iter().map(|event| event.payload() + "\n").collect();
        state.torn = true;
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        state.torn = false;
        part.count += events.len() as u64;
        part.bytes += text.len() as u64;
        while state.files.len() > 1 && state.files.iter().map(|part| part.bytes).sum::<u64>() > self.bytes {
            let Some(oldest) = state.files.pop_front() else { break };
            // If it stays, it is found again at the next start.
            let _ = fs::remove_file(self.folder.join(name(oldest.first)));
        }
        self.end.send_replace(next + events.len() as u64);
        Ok(())
    }

    /// Payloads from number `from` on, as many as are in one file. Blocks.
    pub(super) fn read(&self, from: u64) -> io::Result<Vec<String>> {
        let part = {
            let state = self.state();
            let holds = |part: &&Part| part.first <= from && from < part.first + part.count;
            state.files.iter().find(holds).cloned()
        };
        let Some(part) = part else { return Ok(Vec::new()) };
        let text = fs::read(self.folder.join(name(part.first)))?;
        let text = String::from_utf8_lossy(&text);
        let skip = usize::try_from(from - part.first).map_err(io::Error::other)?;
        let count = usize::try_from(part.count).map_err(io::Error::other)?;
        Ok(text.lines().take(count).skip(skip).map(str::to_owned).collect())
    }

    fn state(&self) -> MutexGuard<'_, Files> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All payloads that are in a folder, with their numbers, also while another process writes.
pub(super) fn payloads(folder: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut all = Vec::new();
    for (first, path) in names(folder)? {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        all.extend((first..).zip(whole.map(|line| line.trim_end().to_owned())));
    }
    Ok(all)
}

/// The files of a folder, in order.
fn names(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut names = Vec::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let file_name = found.file_name();
        let digits = file_name.to_str().and_then(|name| name.strip_prefix("events-")?.strip_suffix(".jsonl"));
        let first = digits.and_then(|digits| digits.parse().ok());
        names.extend(first.filter(|first| *name(*first) == *file_name).map(|first| (first, found.path())));
    }
    names.sort();
    Ok(names)
}

fn name(first: u64) -> String {
    format!("events-{first:012}.jsonl")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::event::EventKind;

    fn events(count: u64) -> Vec<Event> {
        (0..count).map(|time| Event::from_parent(EventKind::LogFailing, time)).collect()
    }

    #[test]
    fn events_are_there_again_after_a_crash_at_any_byte_of_the_last() {
        let folder = tempfile::tempdir().unwrap();
        let all = events(3);
        Outbox::open(folder.path(), 1 << 20).unwrap().append(&all).unwrap();
        let path = folder.path().join(name(1));
        let whole = fs::read(&path).unwrap();
        let last = all[2].payload().len() + 1;
        for cut in (whole.len() - last)..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let outbox = Outbox::open(folder.path(), 1 << 20).unwrap();
            let there = if cut == whole.len() { 3 } else { 2 };
            assert_eq!(*outbox.end().borrow(), there as u64 + 1);
            assert_eq!(outbox.read(1).unwrap().len(), there);
            outbox.append(&all[there..]).unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn the_oldest_go_when_there_is_no_room_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path(), 1 << 20).unwrap();
        for _ in 0..100 {
            outbox.append(&events(100)).unwrap();
        }
        let (begin, end) = (outbox.begin(), *outbox.end().borrow());
        assert!(begin > 1 && end == 10_001, "{begin} {end}");
        let kept: u64 =
            names(folder.path()).unwrap().iter().map(|(_, path)| path.metadata().unwrap().len()).sum();
        assert!(kept <= 1 << 20);
        let mut from = begin;
        while from < end {
            from += outbox.read(from).unwrap().len() as u64;
        }
        assert_eq!(from, end);
        assert!(outbox.read(begin - 1).unwrap().is_empty() && outbox.read(end).unwrap().is_empty());
        let all = payloads(folder.path()).unwrap();
        assert_eq!((all[0].0, all.last().unwrap().0), (begin, end - 1));
        let again = Outbox::open(folder.path(), 1 << 20).unwrap();
        assert_eq!((again.begin(), *again.end().borrow()), (begin, end));
    }
}
