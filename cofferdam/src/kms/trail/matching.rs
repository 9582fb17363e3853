//! Joins calls with the entries that account for them. Every entry accounts for as many calls as
//! it can be the reason of: one data key for each key that it names. So a call that is made again
//! with a document that somebody kept is found even where an entry is near.

use kms_policies::audit::Severity;
use std::collections::HashMap;

use attestation::DocumentHash;

use super::{
    books::{Boot, Call, Slot},
    event::Event,
    finding::{Finding, id},
    windows::{ATTEMPTS, Windows},
};

/// A call of a boot that is in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'c> {
    pub(super) event: &'c Event,
    pub(super) call: Call,
    pub(super) boot: &'c Boot,
}

/// Entries in the order of time, and how many calls each accounts for already.
#[derive(Default)]
struct Ledger<'s> {
    accounts: Vec<(&'s Slot, u32)>,
    /// No entry before this is of use to a later call: it is spent, or too old.
    next: usize,
}

impl<'s> Ledger<'s> {
    fn new(slots: impl Iterator<Item = &'s Slot>) -> Self {
        let mut accounts: Vec<_> = slots.map(|slot| (slot, 0)).collect();
        accounts.sort_by_key(|(slot, _)| slot.time);
        Self { accounts, next: 0 }
    }

    /// Takes one call's worth of the earliest entry that has it, for calls in the order of time.
    /// Every call's window is as long, so the earliest is never one that should have been left to
    /// a later call. An entry has its room `times` over.
    fn spend(&mut self, windows: Windows, time: u64, times: u32) -> bool {
        let (from, to) = windows.entries_of(time);
        while let Some((slot, used)) = self.accounts.get_mut(self.next) {
            if slot.time > to {
                return false;
            }
            if slot.time >= from && *used < slot.room.saturating_mul(times) {
                *used += 1;
                return true;
            }
            self.next += 1;
        }
        false
    }
}

/// Explains calls, which are in the order of time, or says why it cannot.
pub(super) fn explain(candidates: &[Candidate<'_>], windows: Windows) -> (Vec<Call>, Vec<Finding>) {
    let mut ledgers: HashMap<(DocumentHash, Call), Ledger<'_>> = HashMap::new();
    let (mut explained, mut findings, mut left) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in candidates {
        let Candidate { boot, call, event } = *candidate;
        let of_boot = || Ledger::new(signed(boot).filter(|slot| slot.call == call));
        if ledgers.entry((boot.boot, call)).or_insert_with(of_boot).spend(windows, event.time, 1) {
            explained.push(call);
        } else {
            left.push(candidate);
        }
    }
    // Repetitions only take what no other call needs.
    ledgers.values_mut().for_each(|ledger| ledger.next = 0);
    for Candidate { event, call, boot } in left {
        let ledger = ledgers.entry((boot.boot, *call)).or_default();
        let repeated = ledger.spend(windows, event.time, ATTEMPTS);
        findings.push(
            if repeated { again(event) } else { unaccounted(event, *call, boot, windows) }.in_boot(boot.boot),
        );
    }
    (explained, findings)
}

/// Entries that no checkpoint covers could have been written by anyone.
fn signed(boot: &Boot) -> impl Iterator<Item = &Slot> {
    let signed = boot.signed.map_or(0, |(seq, _)| seq);
    boot.slots.iter().filter(move |slot| slot.seq <= signed)
}

fn again(event: &Event) -> Finding {
    let why = "more calls than the entries of the log account for: the enclave repeats a call whose answer it did not get, and a host can repeat one without getting anything from it";
    Finding::of(event, id::REPEATED, Severity::Low, why)
}

fn unaccounted(event: &Event, call: Call, boot: &Boot, windows: Windows) -> Finding {
    let (_, to) = windows.entries_of(event.time);
    let what = match call {
        Call::Make => "a key that was made",
        Call::Open => "a key that was used",
    };
    match boot.signed {
        Some((_, at)) if at >= to => {
            let why = format!("an enclave of ours, but no entry of the log near it is of {what}");
            Finding::of(event, id::NO_ACTIVITY, Severity::High, why)
        }
        signed => {
            let up_to = signed.map_or("has no checkpoint of its boot".to_owned(), |(_, at)| {
                format!("is signed only up to {}", crate::clock::format(at))
            });
            let why = format!(
                "an enclave of ours, but the log {up_to}: a later copy of it was expected, or its end was cut off"
            );
            Finding::of(event, id::AFTER_LAST_CHECKPOINT, Severity::Medium, why)
        }
    }
}

/// Calls with the parent's role that were refused, of which CloudTrail shows no enclave: an
/// enclave's where the log has its refusal, or somebody's with the same credentials.
pub(super) fn refusals(refused: &[(&Event, Call)], boots: &[Boot], windows: Windows) -> Vec<Finding> {
    let denied = |call| {
        let slots = boots.iter().flat_map(signed);
        Ledger::new(slots.filter(move |slot| slot.call == call && slot.refused))
    };
    let mut ledgers = [(Call::Make, denied(Call::Make)), (Call::Open, denied(Call::Open))];
    let finding = |(event, call): &(&Event, Call)| {
        let of_call = ledgers.iter_mut().find(|(of, _)| of == call);
        if of_call.is_some_and(|(_, ledger)| ledger.spend(windows, event.time, ATTEMPTS)) {
            let why = "KMS refused an enclave of ours: the log has the refusal";
            Finding::of(event, id::DENIED, Severity::Low, why)
        } else {
            let why = "the parent's role was refused without an attestation document that CloudTrail shows, and no enclave's log has the refusal: somebody with its credentials tried";
            Finding::of(event, id::UNATTESTED, Severity::Medium, why)
        }
    };
    refused.iter().map(finding).collect()
}
