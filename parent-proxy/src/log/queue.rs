//! Lines that wait to be written, in the order of their numbers however they came. Bounded: what
//! finds no room is dropped from the far end, and asked of the enclave again when its turn comes.

use std::collections::BTreeMap;

use super::line::{Checkpoint, Entry};

/// The most checkpoints that wait for their entries.
const MAX_CHECKPOINTS: usize = 16;

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) lines: usize,
    pub(super) bytes: usize,
}

/// The lines that wait.
#[derive(Debug)]
pub(super) struct Queue {
    room: Room,
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
    checkpoints: BTreeMap<u64, Checkpoint>,
    /// The highest number that somebody waits for or that was seen.
    wanted: u64,
}

impl Queue {
    pub(super) fn new(room: Room) -> Self {
        Self { room, entries: BTreeMap::new(), bytes: 0, checkpoints: BTreeMap::new(), wanted: 0 }
    }

    /// Takes an entry that is yet to be written; `next` is the first such.
    pub(super) fn put(&mut self, entry: Entry, next: u64) {
        if entry.seq < next {
            return;
        }
        self.wanted = self.wanted.max(entry.seq);
        let (seq, length) = (entry.seq, entry.text.len());
        if let std::collections::btree_map::Entry::Vacant(place) = self.entries.entry(seq) {
            place.insert(entry);
            self.bytes += length;
        }
        while self.entries.len() > self.room.lines.max(1) || self.bytes > self.room.bytes {
            match self.entries.last_key_value().map(|(seq, _)| *seq) {
                // The one whose turn it is always finds room.
                Some(last) if last != next => self.drop_entry(last),
                _ => break,
            }
        }
    }

    /// Takes a checkpoint that waits for the entry that it covers.
    pub(super) fn put_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.wanted = self.wanted.max(checkpoint.seq);
        let same = self.checkpoints.get(&checkpoint.seq);
        if same.is_none_or(|same| same.time < checkpoint.time) {
            self.checkpoints.insert(checkpoint.seq, checkpoint);
        }
        // A later one says all that an earlier one says.
        while self.checkpoints.len() > MAX_CHECKPOINTS {
            self.checkpoints.pop_first();
        }
    }

    /// Somebody waits for all up to `seq`.
    pub(super) fn want(&mut self, seq: u64) {
        self.wanted = self.wanted.max(seq);
    }

    /// Takes out the entries from `next` on, without gaps, up to a bound in lines and bytes, but
    /// at least one.
    pub(super) fn run(&mut self, next: u64, lines: usize, bytes: usize) -> Vec<Entry> {
        // Written meanwhile, and come a second time.
        while self.entries.first_key_value().is_some_and(|(seq, _)| *seq < next) {
            self.bytes -= self.entries.pop_first().map_or(0, |(_, entry)| entry.text.len());
        }
        let mut run = Vec::new();
        let (mut seq, mut length) = (next, 0);
        while let Some(entry) = self.entries.get(&seq) {
            length += entry.text.len() + 1;
            if !run.is_empty() && (run.len() >= lines || length > bytes) {
                break;
            }
            run.extend(self.entries.remove(&seq));
            seq += 1;
        }
        self.bytes -= run.iter().map(|entry: &Entry| entry.text.len()).sum::<usize>();
        run
    }

    /// Takes out the checkpoints over entries up to `last`.
    pub(super) fn checkpoints(&mut self, last: u64) -> Vec<Checkpoint> {
        let later = self.checkpoints.split_off(&last.saturating_add(1));
        std::mem::replace(&mut self.checkpoints, later).into_values().collect()
    }

    /// Whether a checkpoint over an entry up to `last` waits.
    pub(super) fn has_checkpoint(&self, last: u64) -> bool {
        self.checkpoints.first_key_value().is_some_and(|(seq, _)| *seq <= last)
    }

    /// Puts back what could not be written.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>, checkpoints: Vec<Checkpoint>) {
        for entry in entries {
            self.bytes += entry.text.len();
            if let Some(same) = self.entries.insert(entry.seq, entry) {
                self.bytes -= same.text.len();
            }
        }
        for checkpoint in checkpoints {
            self.put_checkpoint(checkpoint);
        }
    }

    fn drop_entry(&mut self, seq: u64) {
        if let Some(entry) = self.entries.remove(&seq) {
            self.bytes -= entry.text.len();
        }
    }

    pub(super) fn has(&self, seq: u64) -> bool {
        self.entries.contains_key(&seq)
    }

    /// Whether entry `next` is missing although somebody waits for it or a later one.
    pub(super) fn gap(&self, next: u64) -> bool {
        self.wanted >= next && !self.has(next)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Forgets everything: another boot's log begins.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::double;

    fn entries(count: u64) -> Vec<Entry> {
        double::lines(count).into_iter().map(|line| Entry::of(line).unwrap()).collect()
    }

    #[test]
    fn lines_leave_in_order_without_gaps_however_they_came() {
        let mut queue = Queue::new(Room { lines: 100, bytes: 1 << 20 });
        for entry in entries(9).into_iter().rev().filter(|entry| entry.seq != 5) {
            queue.put(entry.clone(), 1);
            queue.put(entry, 1);
        }
        let seqs = |run: Vec<Entry>| run.iter().map(|entry| entry.seq).collect::<Vec<_>>();
        assert_eq!(seqs(queue.run(1, 3, 1 << 20)), [1, 2, 3]);
        assert_eq!(seqs(queue.run(4, 3, 1 << 20)), [4]);
        assert!(queue.gap(5) && queue.run(5, 3, 1 << 20).is_empty());
        queue.put(entries(5).remove(4), 5);
        assert_eq!(seqs(queue.run(5, 100, 1)), [5], "at least one");
        assert_eq!(seqs(queue.run(6, 100, 1 << 20)), [6, 7, 8, 9]);
        assert_eq!((queue.bytes, queue.len(), queue.gap(10)), (0, 0, false));
        queue.put(entries(9).remove(8), 10);
        assert_eq!(queue.len(), 0, "written already");
    }

    #[test]
    fn what_finds_no_room_is_missing_and_the_next_one_always_finds_room() {
        let mut queue = Queue::new(Room { lines: 4, bytes: 1 << 20 });
        for entry in entries(100).into_iter().rev() {
            queue.put(entry, 1);
            assert!(queue.len() <= 4);
        }
        assert_eq!(queue.run(1, 100, 1 << 20).len(), 4);
        assert!(queue.gap(5));
        let mut queue = Queue::new(Room { lines: 4, bytes: 1 });
        queue.put(entries(1).remove(0), 1);
        assert!(queue.has(1));
        queue.clear();
        for seq in 1..100 {
            queue.put_checkpoint(Checkpoint::of(double::checkpoint(seq)).unwrap());
        }
        assert_eq!(queue.checkpoints(99).first().map(|checkpoint| checkpoint.seq), Some(84));
    }
}
