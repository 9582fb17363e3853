//! The enclave's writer: gives every entry its number, its time and the hash of the one before it.
//! It never fails and never waits; whoever holds it under a lock decides the order.

use attestation::DocumentHash;

use super::{BootFacts, EntryHash, Head, NewEntry, OperationName, Outcome, entry::write_entry};

/// A line as it leaves the enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// The entry's number in the boot.
    pub seq: u64,
    /// The line, without a newline.
    pub text: String,
    /// The entry's hash.
    pub hash: EntryHash,
}

/// The chain of one boot.
#[derive(Debug)]
pub struct Chain {
    head: Head,
    time: u64,
}

impl Chain {
    /// Begins with the boot's first entry. `time` is in milliseconds since 1970, and not before
    /// the attestation document's.
    pub fn begin(boot: DocumentHash, facts: &BootFacts, time: u64) -> (Self, NewLine) {
        let mut chain = Self { head: Head { boot, seq: 0, hash: EntryHash::START }, time };
        let mut first = NewEntry::new(OperationName::BOOT, Outcome::ALLOW);
        first.detail = Some(facts.to_detail());
        let line = chain.append(&first, time);
        (chain, line)
    }

    /// Appends an entry. A time before the last entry's is taken as that one: time on the log
    /// never goes back.
    pub fn append(&mut self, entry: &NewEntry, time: u64) -> NewLine {
        self.time = self.time.max(time);
        // 2⁶⁴ entries are not written in the life of an enclave.
        let seq = self.head.seq.saturating_add(1);
        let mut text = String::with_capacity(640);
        write_entry(&mut text, &self.head.boot, seq, self.time, entry, &self.head.hash);
        let hash = EntryHash::of(text.as_bytes());
        self.head = Head { seq, hash, ..self.head };
        NewLine { seq, text, hash }
    }

    /// The last entry: what a checkpoint is signed over.
    pub const fn head(&self) -> Head {
        self.head
    }
}
