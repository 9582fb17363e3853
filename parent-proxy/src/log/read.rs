//! Reading from segments: whole lines from an entry on, found by the places of an index.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use super::{
    line::{MAX_LINE, is_checkpoint, seq_of},
    shelf::{INDEX_STEP, Index, Place},
};

/// Kept free at the end of a page for checkpoints.
const RESERVE: usize = 2048;

/// Lines that were read, and the indexes that were made on the way.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) indexes: Vec<(Place, Arc<Index>)>,
}

/// The whole lines from entry `from` on in these segments, at most `limit` bytes.
pub(super) fn lines_from(places: &[Place], from: u64, limit: usize) -> io::Result<Found> {
    let mut found = Found::default();
    for (number, place) in places.iter().enumerate() {
        let mut file = File::open(&place.path)?;
        let mut begin = 0;
        // Only in the first segment is there anything to leave out.
        if number == 0 && place.first < from {
            let index = match &place.index {
                Some(index) => Arc::clone(index),
                None => {
                    let index = Arc::new(index(&mut file, place.length)?);
                    found.indexes.push((place.clone(), Arc::clone(&index)));
                    index
                }
            };
            begin = place_of(&mut file, place.length, &index, from)?;
        }
        let room = limit.saturating_sub(found.bytes.len());
        let part = read_part(&mut file, begin, place.length, room)?;
        let whole = whole_lines(&part, room);
        found.bytes.extend_from_slice(part.get(..whole).unwrap_or_default());
        if begin + (whole as u64) < place.length {
            break;
        }
    }
    Ok(found)
}

/// Where the line of entry `from` begins, or the first after it.
fn place_of(file: &mut File, length: u64, index: &Index, from: u64) -> io::Result<u64> {
    let later = index.partition_point(|(seq, _)| *seq < from);
    let begin = later.checked_sub(1).and_then(|at| index.get(at)).map_or(0, |(_, offset)| *offset);
    let end = index.get(later).map_or(length, |(_, offset)| *offset);
    let span = usize::try_from(end.saturating_sub(begin)).map_err(io::Error::other)?;
    let mut at = begin;
    for line in read_part(file, begin, length, span)?.split_inclusive(|b| *b == b'\n') {
        if !is_checkpoint(line) && seq_of(line).is_some_and(|seq| seq >= from) {
            break;
        }
        at += line.len() as u64;
    }
    Ok(at)
}

/// How much of a part is whole lines. A page that is full leaves room for the checkpoints that
/// follow its last entry: whoever goes on after that entry would not see them.
fn whole_lines(part: &[u8], room: usize) -> usize {
    let mut whole = 0;
    for line in part.split_inclusive(|b| *b == b'\n').filter(|line| line.ends_with(b"\n")) {
        if whole > 0 && part.len() == room && !is_checkpoint(line) && whole + line.len() + RESERVE > room {
            break;
        }
        whole += line.len();
    }
    whole
}

/// The places of a segment.
pub(super) fn index(file: &mut File, length: u64) -> io::Result<Index> {
    let all = read_part(file, 0, length, usize::try_from(length).map_err(io::Error::other)?)?;
    let mut index = Index::new();
    let mut at = 0u64;
    for line in all.split_inclusive(|b| *b == b'\n') {
        note(&mut index, at, line);
        at += line.len() as u64;
    }
    Ok(index)
}

/// Notes the place of a line if it is an entry's and far enough from the last one.
pub(super) fn note(index: &mut Index, at: u64, line: &[u8]) {
    let far = index.last().is_none_or(|(_, last)| at.saturating_sub(*last) >= INDEX_STEP);
    if far
        && !is_checkpoint(line)
        && let Some(seq) = seq_of(line)
    {
        index.push((seq, at));
    }
}

fn read_part(file: &mut File, from: u64, length: u64, limit: usize) -> io::Result<Vec<u8>> {
    let left = usize::try_from(length.saturating_sub(from)).map_err(io::Error::other)?;
    let mut part = vec![0; left.min(limit)];
    file.seek(SeekFrom::Start(from))?;
    file.read_exact(&mut part)?;
    Ok(part)
}

/// The least that a reader may ask for, so that it always gets on.
pub(super) const LEAST: usize = MAX_LINE + 1 + RESERVE;
