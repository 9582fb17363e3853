//! What the log says that enclaves did, as far as it can account for calls on the key: the
//! entries near a call, and where an entry must have had a call and has none.

use std::collections::{BTreeMap, HashMap};

use attestation::DocumentHash;
use protocol::log::{Decision, Entry};
use verifier::log::LogLine;

use super::{
    event::Event,
    intake::enclave,
    operation::Kind,
    windows::{CLOCKS, SECOND, Windows, any_within},
};
use crate::{error::Error, log::HistoryBoot};

/// The most entries near calls that are kept.
const MAX_SLOTS: usize = 5_000_000;

/// One call of an enclave on the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Call {
    /// `GenerateDataKey`
    Make,
    /// `Decrypt`
    Open,
}

/// An entry that can account for calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) seq: u64,
    /// In milliseconds since 1970.
    pub(super) time: u64,
    pub(super) call: Call,
    /// How many calls it can be the reason of.
    pub(super) room: u32,
    /// Whether the entry says that KMS refused.
    pub(super) refused: bool,
}

/// A boot with its entries near calls, in the order of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boot {
    pub(super) boot: DocumentHash,
    pub(super) module: String,
    pub(super) pcr0: attestation::Pcr,
    pub(super) started: u64,
    /// When a later boot took its place.
    pub(super) replaced: Option<u64>,
    /// The last entry that a checkpoint covers, and when the last checkpoint was signed.
    pub(super) signed: Option<(u64, u64)>,
    pub(super) slots: Vec<Slot>,
}

/// Entries that must have had a call, of which the events show none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) boot: DocumentHash,
    pub(super) call: Call,
    /// The first of them.
    pub(super) seq: u64,
    pub(super) time: u64,
    pub(super) count: u64,
}

/// All boots of all logs.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// By module, then by their beginning.
    pub(super) boots: Vec<Boot>,
    pub(super) gaps: Vec<Gap>,
    /// Entries whose calls would lie outside of the time that the events cover.
    pub(super) uncovered: u64,
}

/// What an entry says of calls: which, and how many it can be the reason of. The first must have
/// been made, by it or before it; a key that is sealed anew may take a data key that was made before.
fn calls(entry: &Entry) -> Vec<(Call, u32)> {
    let keys = u32::try_from(entry.event.keys.as_slice().len()).unwrap_or(u32::MAX);
    match entry.event.operation.as_str() {
        // A data key is opened once when it is made.
        "address.create" => vec![(Call::Make, keys.max(1)), (Call::Open, keys.max(1))],
        "address.confirm" | "key.check" | "transaction.explain" | "transaction.sign" => {
            vec![(Call::Open, keys)]
        }
        "key.rewrap" => vec![(Call::Open, keys.saturating_mul(2)), (Call::Make, keys)],
        _ => Vec::new(),
    }
}

/// Collects from the lines of one log.
pub(super) struct Collector<'e> {
    windows: &'e Windows,
    /// The time that the events cover.
    covered: Option<(u64, u64)>,
    near: HashMap<&'e str, Vec<u64>>,
    /// The times of calls that KMS answered, of an enclave.
    made: HashMap<(&'e str, Call), Vec<u64>>,
    /// The times of refused calls that show no enclave.
    refused: Vec<u64>,
    slots: HashMap<DocumentHash, Vec<Slot>>,
    signed_at: HashMap<DocumentHash, u64>,
    /// The boot that is read, and the time of its first entry.
    begun: Option<(DocumentHash, u64)>,
    gaps: BTreeMap<(DocumentHash, Call), Gap>,
    uncovered: u64,
    kept: usize,
}

impl<'e> Collector<'e> {
    /// For these events, which are in the order of time.
    pub(super) fn new(events: &'e [Event], windows: &'e Windows, covered: Option<(u64, u64)>) -> Self {
        let (mut near, mut made): (HashMap<_, Vec<u64>>, HashMap<_, Vec<u64>>) = Default::default();
        let mut refused = Vec::new();
        for event in events {
            let call = match Kind::of(&event.name) {
                Kind::Make => Call::Make,
                Kind::Open => Call::Open,
                _ => continue,
            };
            match enclave(event) {
                Some(recipient) => {
                    near.entry(recipient.module.as_str()).or_default().push(event.time);
                    if event.succeeded() {
                        made.entry((recipient.module.as_str(), call)).or_default().push(event.time);
                    }
                }
                None if !event.succeeded() => refused.push(event.time),
                None => {}
            }
        }
        Self {
            windows,
            covered,
            near,
            made,
            refused,
            slots: HashMap::new(),
            signed_at: HashMap::new(),
            begun: None,
            gaps: BTreeMap::new(),
            uncovered: 0,
            kept: 0,
        }
    }

    /// Takes a line of a boot of this module. What is taken holds only if the whole log does.
    pub(super) fn take(&mut self, module: &str, line: &LogLine) -> Result<(), Error> {
        match line {
            LogLine::Checkpoint(checkpoint) => {
                self.signed_at.insert(checkpoint.head.boot, checkpoint.time);
                Ok(())
            }
            LogLine::Entry(entry) => self.entry(module, entry),
        }
    }

    fn entry(&mut self, module: &str, entry: &Entry) -> Result<(), Error> {
        if self.begun.is_none_or(|(boot, _)| boot != entry.boot) {
            self.begun = Some((entry.boot, entry.time));
        }
        let calls = calls(entry);
        let Some((first, _)) = calls.first().copied() else { return Ok(()) };
        let denied = entry.event.outcome.decision() == Decision::Deny;
        let refused = denied && entry.event.outcome.tag().as_str().starts_with("kms.");
        if !denied {
            self.must_have_called(module, entry, first);
        }
        // Calls whose window this entry lies in.
        let (from, to) = self.windows.calls_of(entry.time);
        let near = |times: &Vec<u64>| any_within(times, from, to);
        if !(self.near.get(module).is_some_and(near) || (refused && near(&self.refused))) {
            return Ok(());
        }
        if self.kept.saturating_add(calls.len()) > MAX_SLOTS {
            let text = format!("at most {MAX_SLOTS} entries near calls were expected: name a shorter time");
            return Err(Error::input("--log", text));
        }
        self.kept += calls.len();
        let slots = calls.into_iter().map(|(call, room)| Slot {
            seq: entry.seq,
            time: entry.time,
            call,
            room,
            refused,
        });
        self.slots.entry(entry.boot).or_default().extend(slots);
        Ok(())
    }

    /// A key that was made needs a data key that was made, and one that was used needs one that
    /// was made or opened, by this boot and no longer ago than data keys live.
    fn must_have_called(&mut self, module: &str, entry: &Entry, call: Call) {
        let from = entry.time.saturating_sub(self.windows.data_key_age).saturating_sub(CLOCKS + SECOND);
        let to = entry.time.saturating_add(CLOCKS);
        let calls: &[Call] = match call {
            Call::Make => &[Call::Make],
            Call::Open => &[Call::Make, Call::Open],
        };
        let called =
            |call: &Call| self.made.get(&(module, *call)).is_some_and(|times| any_within(times, from, to));
        if calls.iter().any(called) {
            return;
        }
        // Whether a call would be among the events: it was after the boot began.
        let begun = self.begun.map_or(0, |(_, time)| time.saturating_sub(CLOCKS));
        let earliest = from.max(begun);
        match self.covered {
            Some((first, last)) if first <= earliest && entry.time <= last => {
                let gap = Gap { boot: entry.boot, call, seq: entry.seq, time: entry.time, count: 0 };
                self.gaps.entry((entry.boot, call)).or_insert(gap).count += 1;
            }
            _ => self.uncovered += 1,
        }
    }

    /// What was collected from a log whose boots these are.
    pub(super) fn into_books(mut self, boots: Vec<HistoryBoot>) -> Books {
        let replaced = |boot: &HistoryBoot| {
            let later = boots.iter().filter(|other| {
                let same_module = other.module == boot.module && other.started > boot.started;
                other.previous == Some(boot.boot) || same_module
            });
            later.map(|other| other.started).min()
        };
        let replaced: Vec<Option<u64>> = boots.iter().map(replaced).collect();
        let gaps: Vec<Gap> = self.gaps.into_values().collect();
        let boots = boots.into_iter().zip(replaced).map(|(boot, replaced)| Boot {
            slots: self.slots.remove(&boot.boot).unwrap_or_default(),
            signed: boot.signed.zip(self.signed_at.get(&boot.boot).copied()),
            boot: boot.boot,
            module: boot.module,
            pcr0: boot.pcr0,
            started: boot.started,
            replaced,
        });
        Books { boots: boots.collect(), gaps, uncovered: self.uncovered }
    }
}

impl Books {
    /// With those of another log.
    pub(super) fn add(&mut self, other: Self) {
        self.boots.extend(other.boots);
        self.gaps.extend(other.gaps);
        self.uncovered += other.uncovered;
        self.boots.sort_by(|a, b| (&a.module, a.started).cmp(&(&b.module, b.started)));
    }

    /// The boots of a module, the earliest first.
    pub(super) fn of_module(&self, module: &str) -> &[Boot] {
        let from = self.boots.partition_point(|boot| boot.module.as_str() < module);
        let boots = self.boots.get(from..).unwrap_or_default();
        let to = boots.partition_point(|boot| boot.module == module);
        boots.get(..to).unwrap_or_default()
    }
}
