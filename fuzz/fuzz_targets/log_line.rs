//! Lines of a log. What is read has one spelling; a verifier takes a chain that the writer wrote and
//! no other: whatever the events were, a bit that was changed under a checkpoint is noticed.
#![no_main]

use std::sync::LazyLock;

use attestation::{DocumentHash, Pcr};
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use protocol::{
    Deployment,
    log::{BootFacts, Chain, Checkpoint, Entry, EntryHash, MAX_LINE},
};
use verifier::log::{BootIdentity, LogLine, Verifier};

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));

fn deployment() -> Deployment {
    "laptop".parse().expect("a name")
}

fn identity(boot: DocumentHash, facts: &BootFacts) -> BootIdentity {
    let session = KEY.verifying_key().into();
    BootIdentity { boot, session, config: facts.config, pcr0: facts.pcr0, started: 0 }
}

/// Reads a line, which then has no second spelling.
fn read(line: &[u8]) -> Option<LogLine> {
    let parsed = LogLine::parse(line).ok()?;
    assert!(line.len() <= MAX_LINE);
    match &parsed {
        LogLine::Entry(entry) => {
            assert_eq!(entry.to_line().as_bytes(), line);
            assert!(entry.seq > 0 && entry.event.keys.as_slice().len() <= 100);
        }
        LogLine::Checkpoint(checkpoint) => {
            assert_eq!(checkpoint.to_line().as_bytes(), line);
            let signed = checkpoint.verify(&KEY.verifying_key().into(), &deployment());
            assert!(signed.is_err(), "a forged checkpoint verifies");
        }
    }
    Some(parsed)
}

/// The lines as they are, for the boot that the first one names.
fn verify_as_given(lines: &[&[u8]], first: &Entry) {
    let facts = BootFacts::of(first);
    let zeroes = BootFacts { previous: None, config: [0; 48], pcr0: Pcr::new([0; 48]) };
    let facts = facts.unwrap_or(zeroes);
    let mut verifier = Verifier::new(identity(first.boot, &facts), deployment());
    let mut fault = None;
    for (taken, line) in (1u64..).zip(lines) {
        match verifier.push(line) {
            Ok(LogLine::Entry(entry)) => {
                assert!(fault.is_none(), "a fault is taken back");
                let head = verifier.head().expect("an entry was taken");
                assert_eq!((head.seq, head.hash), (entry.seq, EntryHash::of(line)));
                assert_eq!((head.seq, verifier.unsigned()), (taken, taken), "an entry was left out");
            }
            Ok(LogLine::Checkpoint(_)) => panic!("a checkpoint that nobody signed is taken"),
            Err(found) => {
                assert!(!found.check().is_empty() && found.seq() > 0);
                fault = Some(found);
            }
        }
    }
    assert_eq!(verifier.signed(), None);
}

/// The events of these entries, written anew; then one bit of the log is changed.
fn verify_as_written(entries: &[Entry], at: usize) {
    let boot = DocumentHash::of(b"boot");
    let facts = entries
        .iter()
        .find_map(BootFacts::of)
        .filter(|facts| facts.previous.is_none_or(|previous| previous.seq > 0 && previous.boot != boot));
    let facts = facts.unwrap_or(BootFacts { previous: None, config: [1; 48], pcr0: Pcr::new([2; 48]) });
    let (mut chain, line) = Chain::begin(boot, &facts, 0);
    let mut lines = vec![line.text.into_bytes()];
    for entry in entries {
        lines.push(chain.append(&entry.event, entry.time).text.into_bytes());
    }
    let last = entries.iter().map(|entry| entry.time).max().unwrap_or_default();
    lines.push(Checkpoint::sign(&KEY, &deployment(), chain.head(), last).to_line().into_bytes());

    let verify = |lines: &[Vec<u8>]| {
        let mut verifier = Verifier::new(identity(boot, &facts), deployment());
        lines.iter().try_for_each(|line| verifier.push(line).map(drop)).map(|()| verifier)
    };
    let verified = verify(&lines).expect("what the writer wrote");
    assert_eq!((verified.signed(), verified.unsigned()), (Some(chain.head()), 0));

    let length: usize = lines.iter().map(Vec::len).sum();
    let mut place = at % (length * 8);
    for line in &mut lines {
        if place < line.len() * 8 {
            line[place / 8] ^= 1 << (place % 8);
            break;
        }
        place -= line.len() * 8;
    }
    assert!(verify(&lines).is_err(), "a changed bit is not noticed");
}

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(64).collect();
    let read: Vec<LogLine> = lines.iter().filter_map(|line| read(line)).collect();
    let entry = |line: &LogLine| match line {
        LogLine::Entry(entry) => Some(entry.as_ref().clone()),
        LogLine::Checkpoint(_) => None,
    };
    let entries: Vec<Entry> = read.iter().filter_map(entry).collect();
    let Some(first) = entries.first() else { return };
    verify_as_given(&lines, first);
    verify_as_written(&entries, bytes.iter().fold(0, |sum, byte| sum * 31 % 1_000_003 + usize::from(*byte)));
});
