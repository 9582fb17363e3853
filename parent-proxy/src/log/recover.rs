//! What is there when the log is opened. A crash may have cut the last line short: that line was
//! acknowledged to nobody, and is cut off. Whatever is complete stays as it is, and is flushed.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::SystemTime,
};

use attestation::DocumentHash;
use serde_bytes::ByteArray;
use wire::LogHead;

use super::{
    LogError,
    line::{Checkpoint, End, Entry, MAX_LINE},
    shelf::{Boot, Segment, Shelf, first_of, name},
    writer::SEGMENT_BYTES,
};
use crate::durable;

/// The file that names the boots in the order in which they began.
const BOOTS: &str = ".boots";
/// The file that says how far each boot was shipped.
const SHIPPED: &str = ".shipped.json";

/// In how many segments before the last one the last checkpoint is looked for.
const LOOK_BACK: usize = 3;

/// Reads a log's folder and makes it whole.
pub(super) fn shelf(folder: &Path) -> Result<Shelf, LogError> {
    let read = || LogError::io("be read");
    let mut boots = Vec::new();
    for boot in order(folder).map_err(read())? {
        let segments = segments(&folder.join(boot.to_string())).map_err(read())?;
        boots.push(Boot { boot, segments });
    }
    let shipped = match fs::read(folder.join(SHIPPED)) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    };
    let mut shelf = Shelf { folder: folder.to_owned(), boots, shipped, ..Shelf::default() };
    for at in (0..shelf.boots.len()).rev() {
        let Some(boot) = shelf.boots.get_mut(at) else { continue };
        let boot_folder = folder.join(boot.boot.to_string());
        if shelf.head.is_some() {
            whole(&boot_folder, boot).map_err(LogError::io("be made whole"))?;
        } else if let Some(end) = end(&boot_folder, boot)? {
            shelf.head = Some(LogHead { boot: boot.boot, seq: end.seq, hash: ByteArray::new(end.hash) });
            shelf.checkpoint = end.checkpoint.map(|checkpoint| checkpoint.json);
        }
    }
    Ok(shelf)
}

/// Remembers how far each boot was shipped.
pub(super) fn save_shipped(folder: &Path, shipped: &BTreeMap<String, u64>) -> io::Result<()> {
    durable::replace(&folder.join(SHIPPED), &serde_json::to_vec(shipped)?)
}

/// Notes that a boot's log begins after all others.
pub(super) fn save_order(folder: &Path, boots: &[Boot]) -> io::Result<()> {
    let text: String = boots.iter().map(|boot| format!("{}\n", boot.boot)).collect();
    durable::replace(&folder.join(BOOTS), text.as_bytes())
}

/// The boots in the order in which they began. Folders that the order does not name were put there
/// by hand, as from a copy: they come first, by the time of their first entries.
fn order(folder: &Path) -> io::Result<Vec<DocumentHash>> {
    let text = match fs::read_to_string(folder.join(BOOTS)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let mut named: Vec<DocumentHash> = Vec::new();
    for boot in text.lines().filter_map(|line| line.parse().ok()) {
        if !named.contains(&boot) && folder.join(boot.to_string()).is_dir() {
            named.push(boot);
        }
    }
    let mut other = Vec::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let boot = found.file_name().to_str().and_then(|name| name.parse::<DocumentHash>().ok());
        if let Some(boot) = boot.filter(|boot| !named.contains(boot)) {
            other.extend(first_time(&found.path())?.map(|time| (time, boot)));
        }
    }
    other.sort_by_key(|(time, _)| *time);
    Ok(other.into_iter().map(|(_, boot)| boot).chain(named).collect())
}

/// The time of a boot's first entry; nothing where there is none.
fn first_time(folder: &Path) -> io::Result<Option<u64>> {
    let Some(segment) = segments(folder)?.into_iter().next() else { return Ok(None) };
    let mut head = Vec::new();
    File::open(folder.join(name(segment.first)))?.take(MAX_LINE as u64).read_to_end(&mut head)?;
    let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
    let time = serde_json::from_slice::<serde_json::Value>(line).ok();
    Ok(Some(time.and_then(|line| line.get("time")?.as_u64()).unwrap_or_default()))
}

/// The segments of a boot's folder, in order. None of them will be written any more: writing goes
/// on in a new one, for each of these may have been shipped.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for found in fs::read_dir(folder)? {
        let found = found?;
        let Some(first) = found.file_name().to_str().and_then(first_of) else { continue };
        let facts = found.metadata()?;
        let since = facts.modified().unwrap_or_else(|_| SystemTime::now());
        segments.push(Segment { first, length: facts.len(), closed: true, since, index: None });
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// Cuts an incomplete last line off a boot's last segment, and takes a segment without a line
/// away.
fn whole(folder: &Path, boot: &mut Boot) -> io::Result<()> {
    while let Some(segment) = boot.segments.last_mut() {
        let path = folder.join(name(segment.first));
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        let length = end_of_lines(&mut file, segment.length)?;
        if length == 0 {
            fs::remove_file(&path)?;
            durable::sync_folder(folder)?;
            boot.segments.pop();
            continue;
        }
        if length < segment.length {
            tracing::warn!(bytes = segment.length - length, "an incomplete line was cut off the log");
            file.set_len(length)?;
        }
        file.sync_all()?;
        segment.length = length;
        break;
    }
    Ok(())
}

/// Where the last complete line ends.
fn end_of_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = length;
    let mut block = [0; 4096];
    while end > 0 {
        let begin = end.saturating_sub(block.len() as u64);
        let part = block.get_mut(..(end - begin) as usize).unwrap_or_default();
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

/// Makes a boot's log whole and says where it ends; nothing when it has no entry. The lines of its
/// last segment are checked to be the boot's, in order, each following the one before.
pub(super) fn end(folder: &Path, boot: &mut Boot) -> Result<Option<End>, LogError> {
    whole(folder, boot).map_err(LogError::io("be made whole"))?;
    let Some(segment) = boot.segments.last() else { return Ok(None) };
    let path = folder.join(name(segment.first));
    // Ours are bounded; one that is not was not written by us.
    if segment.length > 2 * SEGMENT_BYTES {
        return Err(damaged(path, 0, "a segment of at most 8 MiB"));
    }
    let bytes = fs::read(&path).map_err(LogError::io("be read"))?;
    let mut end = End { seq: segment.first - 1, ..End::default() };
    for (number, line) in bytes.split_inclusive(|b| *b == b'\n').enumerate() {
        let wrong = |expected| damaged(path.clone(), number + 1, expected);
        let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
        let text = text.ok_or_else(|| wrong("UTF-8"))?;
        if let Some(checkpoint) = Checkpoint::of_line(text) {
            let checkpoint = checkpoint.map_err(|_| wrong("a checkpoint"))?;
            end.checkpoint = Some(checkpoint);
            end.signed_at = end.seq;
            continue;
        }
        let entry = Entry::read(text.to_owned()).map_err(|_| wrong("an entry"))?;
        if entry.boot != boot.boot || entry.seq != end.seq + 1 {
            return Err(wrong("the boot's next entry"));
        }
        if end.seq >= segment.first && entry.prev != end.hash {
            return Err(wrong("an entry that follows the one before it"));
        }
        end.seq = entry.seq;
        end.hash = entry.hash();
    }
    if end.seq < segment.first {
        return Err(damaged(path, 1, "an entry"));
    }
    // The last checkpoint may be a little further back.
    let first = segment.first;
    let before = boot.segments.iter().rev().skip(1).take(LOOK_BACK);
    for segment in before.take_while(|segment| segment.length <= 2 * SEGMENT_BYTES) {
        if end.checkpoint.is_some() {
            break;
        }
        let bytes = fs::read(folder.join(name(segment.first))).map_err(LogError::io("be read"))?;
        let lines = bytes.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
        end.signed_at = first - 1;
        end.checkpoint = lines.filter_map(Checkpoint::of_line).filter_map(Result::ok).next_back();
    }
    Ok(Some(end))
}

fn damaged(file: PathBuf, line: usize, expected: &'static str) -> LogError {
    LogError::Damaged { file, line, expected }
}
