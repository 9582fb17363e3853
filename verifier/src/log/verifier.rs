//! Verifies the lines of one boot as they come, in memory that does not grow with the log. What
//! comes before a boot and after it, and where lines come from, are the caller's matter.

use std::collections::VecDeque;

use protocol::{
    Deployment,
    log::{BootFacts, CHECKPOINT_WINDOW, Checkpoint, Entry, EntryHash, Head},
};

use super::{BootIdentity, LogFault, LogLine};

/// The chain of one boot, as far as it was read.
#[derive(Debug)]
pub struct Verifier {
    identity: BootIdentity,
    deployment: Deployment,
    /// The entry that it began after.
    base: u64,
    /// The number of the next entry.
    next: u64,
    /// The hashes of the last entries; the last is that of entry `next - 1`.
    window: VecDeque<EntryHash>,
    time: u64,
    signed: Option<Head>,
    fault: Option<LogFault>,
}

impl Verifier {
    /// Before the first entry. What `identity` says comes from the boot's verified document.
    pub fn new(identity: BootIdentity, deployment: Deployment) -> Self {
        let time = identity.started;
        Self::at(identity, deployment, 1, EntryHash::START, time)
    }

    /// After an entry that is known already, as a witness does.
    pub fn after(identity: BootIdentity, deployment: Deployment, seq: u64, hash: EntryHash) -> Self {
        let time = identity.started;
        Self::at(identity, deployment, seq.saturating_add(1), hash, time)
    }

    fn at(identity: BootIdentity, deployment: Deployment, next: u64, hash: EntryHash, time: u64) -> Self {
        let window = VecDeque::from([hash]);
        let base = next.saturating_sub(1);
        Self { identity, deployment, base, next, window, time, signed: None, fault: None }
    }

    /// Takes the next line, without its newline.
    ///
    /// After a [`LogFault::Missing`], further lines may be pushed: when the missing entry comes,
    /// the fault becomes [`LogFault::Reordered`]. No fault is ever taken back.
    ///
    /// # Errors
    /// [`LogFault`]: the first, again and again.
    pub fn push(&mut self, line: &[u8]) -> Result<LogLine, LogFault> {
        let parsed = LogLine::parse(line);
        if let Some(fault) = &self.fault {
            let fault = fault.clone();
            return Err(self.fail(sharpened(fault, parsed.as_ref().ok())));
        }
        let result = match parsed {
            Ok(LogLine::Entry(entry)) => {
                self.entry(&entry, EntryHash::of(line)).map(|()| LogLine::Entry(entry))
            }
            Ok(LogLine::Checkpoint(checkpoint)) => {
                self.checkpoint(&checkpoint).map(|()| LogLine::Checkpoint(checkpoint))
            }
            Err(error) => Err(LogFault::Malformed { seq: self.next, error }),
        };
        result.map_err(|fault| self.fail(fault))
    }

    /// The last entry; nothing before the first.
    pub fn head(&self) -> Option<Head> {
        let seq = self.last();
        (seq > 0).then(|| Head { boot: self.identity.boot, seq, hash: self.head_hash() })
    }

    /// The last entry that a checkpoint covers. Those after it could have been written by anyone.
    pub const fn signed(&self) -> Option<Head> {
        self.signed
    }

    /// How many entries no checkpoint covers yet.
    pub fn unsigned(&self) -> u64 {
        self.last().saturating_sub(self.signed.map_or(self.base, |head| head.seq))
    }

    /// The boot that is verified.
    pub const fn identity(&self) -> &BootIdentity {
        &self.identity
    }

    fn fail(&mut self, fault: LogFault) -> LogFault {
        self.fault = Some(fault.clone());
        fault
    }

    fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    fn head_hash(&self) -> EntryHash {
        self.window.back().copied().unwrap_or(EntryHash::START)
    }

    fn entry(&mut self, entry: &Entry, hash: EntryHash) -> Result<(), LogFault> {
        let expected = self.next;
        if entry.boot != self.identity.boot {
            return Err(LogFault::OtherBoot { seq: expected, found: entry.boot });
        }
        if entry.seq > expected {
            return Err(LogFault::Missing { seq: expected, found: entry.seq });
        }
        if entry.seq < expected {
            return Err(LogFault::Repeated { seq: entry.seq, expected });
        }
        if entry.prev != self.head_hash() {
            let last = self.last();
            return Err(match self.signed {
                Some(head) if head.seq == last => LogFault::Unlinked { seq: expected },
                None if last == self.base && last > 0 => LogFault::Forked { seq: expected },
                None if last == 0 => LogFault::Boot { expected: "zeroes as the hash of a previous entry" },
                // One of the two was changed; the earlier one is named.
                _ => LogFault::Changed { seq: last, by: expected },
            });
        }
        if entry.time < self.time {
            return Err(LogFault::Time { seq: expected, least: self.time, found: entry.time });
        }
        if expected == 1 {
            self.first(entry)?;
        }
        self.time = entry.time;
        self.next = expected.saturating_add(1);
        if self.window.len() > CHECKPOINT_WINDOW {
            self.window.pop_front();
        }
        self.window.push_back(hash);
        Ok(())
    }

    fn first(&self, entry: &Entry) -> Result<(), LogFault> {
        let facts = BootFacts::of(entry)
            .ok_or(LogFault::Boot { expected: "the operation boot with config, pcr0 and previous" })?;
        if facts.config != self.identity.config {
            return Err(LogFault::Boot { expected: "the configuration of the attestation document" });
        }
        if facts.pcr0 != self.identity.pcr0 {
            return Err(LogFault::Boot { expected: "the PCR0 of the attestation document" });
        }
        if facts.previous.is_some_and(|previous| previous.seq == 0 || previous.boot == self.identity.boot) {
            return Err(LogFault::Boot { expected: "an entry of an earlier boot as the previous one" });
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), LogFault> {
        let head = checkpoint.head;
        let (seq, last) = (head.seq, self.last());
        if head.boot != self.identity.boot {
            return Err(LogFault::OtherBoot { seq: self.next, found: head.boot });
        }
        checkpoint
            .verify(&self.identity.session, &self.deployment)
            .map_err(|_| LogFault::Signature { seq })?;
        if seq < self.base {
            // It came late, over an entry that is not part of what is read here.
            return Ok(());
        }
        if seq > last {
            return Err(LogFault::Missing { seq: self.next, found: seq });
        }
        let signed = self.signed.map_or(self.base, |head| head.seq);
        let misplaced = LogFault::Misplaced { seq, head: last };
        if seq < signed {
            return Err(misplaced);
        }
        let back = usize::try_from(last.saturating_sub(seq)).map_err(|_| misplaced.clone())?;
        let at = self.window.len().checked_sub(back.saturating_add(1)).ok_or(misplaced.clone())?;
        let hash = self.window.get(at).ok_or(misplaced)?;
        if *hash != head.hash {
            let since = signed.saturating_add(1).min(seq);
            return Err(LogFault::NotAsSigned { seq, since });
        }
        self.signed = Some(head);
        Ok(())
    }
}

/// The entry that was missing came after all.
fn sharpened(fault: LogFault, line: Option<&LogLine>) -> LogFault {
    match (fault, line) {
        (LogFault::Missing { seq, found }, Some(LogLine::Entry(entry))) if entry.seq == seq => {
            LogFault::Reordered { seq, after: found }
        }
        (fault, _) => fault,
    }
}
