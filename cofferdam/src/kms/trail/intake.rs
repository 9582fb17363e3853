//! Takes the events as they come, and keeps those that are of interest: calls on the key, and
//! calls that end the record itself.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    event::{Event, Source},
    key::{self, About, KeyArn},
    operation::{self, Kind},
    recipient::Recipient,
};

/// The most events on the key that are kept.
const MAX_KEPT: usize = 2_000_000;
/// The most different events whose names are remembered, to count each once.
const MAX_SEEN: usize = 50_000_000;
/// How many characters of an event without a key tell whether it is like another.
const DIGEST: usize = 16;

/// Which events are of interest.
pub(super) struct Scope<'s> {
    pub(super) keys: &'s [KeyArn],
    /// In milliseconds since 1970: not before.
    pub(super) since: Option<u64>,
    /// Not after.
    pub(super) until: Option<u64>,
}

/// How many of what were read.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) files: u64,
    /// Events, each counted once.
    pub(super) events: u64,
    /// Those that came again.
    pub(super) repeated: u64,
    /// Those outside of the time that was asked for.
    pub(super) outside: u64,
    /// Those of other services than KMS.
    pub(super) other_services: u64,
    /// Those on other keys.
    pub(super) other_keys: u64,
    /// Those on the key.
    pub(super) on_key: u64,
    /// Those of KMS that are about no key.
    pub(super) keyless: u64,
}

/// What is read about the key, and by whom: one finding for all of the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) first: Event,
    pub(super) count: u64,
}

/// Everything that was taken.
#[derive(Debug, Default)]
pub(super) struct Intake {
    pub(super) counts: Counts,
    /// On the key, in the order of their times after [`Self::finish`].
    pub(super) events: Vec<Event>,
    /// Calls that read about the key.
    pub(super) reads: BTreeMap<(String, String), Reads>,
    /// Calls that end the record.
    pub(super) stops: Vec<Event>,
    /// Calls of which nothing says on which key they were.
    pub(super) unnamed: Vec<Event>,
    /// Events that share their name with another, different one.
    pub(super) conflicts: Vec<Event>,
    /// The times of the first and the last event of any service.
    pub(super) span: Option<(u64, u64)>,
    seen: HashMap<[u8; DIGEST], [u8; DIGEST]>,
}

impl Intake {
    /// Takes an event; an error is for the reader of the file.
    pub(super) fn take(&mut self, scope: &Scope<'_>, mut event: Event) -> Result<(), String> {
        if let Some(same) = self.known(&event)? {
            self.counts.repeated += 1;
            if !same && event.source != Source::Other {
                self.keep_conflict(event);
            }
            return Ok(());
        }
        self.counts.events += 1;
        if scope.since.is_some_and(|since| event.time < since)
            || scope.until.is_some_and(|until| event.time > until)
        {
            self.counts.outside += 1;
            return Ok(());
        }
        let (first, last) = self.span.unwrap_or((event.time, event.time));
        self.span = Some((first.min(event.time), last.max(event.time)));
        if event.source != Source::Kms {
            self.counts.other_services += 1;
            if event.source == Source::CloudTrail && operation::stops_the_trail(&event.name) {
                return push(&mut self.stops, event);
            }
            return Ok(());
        }
        let about = key::about(&event.keys, scope.keys);
        // Which keys were named is decided now, and a hostile event may name many.
        event.keys = Vec::new();
        match about {
            About::Ours => {
                self.counts.on_key += 1;
                self.on_key(event)
            }
            About::Others => {
                self.counts.other_keys += 1;
                Ok(())
            }
            About::Unknown => {
                self.counts.keyless += 1;
                match Kind::of(&event.name) {
                    // Listing keys, random bytes: about none.
                    Kind::Read | Kind::Keyless => Ok(()),
                    _ => push(&mut self.unnamed, event),
                }
            }
        }
    }

    fn on_key(&mut self, event: Event) -> Result<(), String> {
        if Kind::of(&event.name) != Kind::Read || !event.succeeded() {
            return push(&mut self.events, event);
        }
        let name = (event.name.clone(), event.caller.name());
        if let Some(reads) = self.reads.get_mut(&name) {
            reads.count += 1;
        } else if self.reads.len() < MAX_KEPT {
            self.reads.insert(name, Reads { first: event, count: 1 });
        } else {
            return Err(too_many());
        }
        Ok(())
    }

    /// Puts what was kept in the order of time.
    pub(super) fn finish(&mut self) {
        for events in [&mut self.events, &mut self.stops, &mut self.unnamed, &mut self.conflicts] {
            events.sort_by(|a, b| (a.time, &a.id).cmp(&(b.time, &b.id)));
        }
        self.seen = HashMap::new();
    }

    /// Whether an event of this name came before, and whether it was the same one.
    fn known(&mut self, event: &Event) -> Result<Option<bool>, String> {
        let contents = digest(&format!("{event:?}"));
        let name = digest(&event.id);
        if let Some(before) = self.seen.get(&name) {
            return Ok(Some(*before == contents));
        }
        if self.seen.len() >= MAX_SEEN {
            return Err(format!("at most {MAX_SEEN} events were expected at once"));
        }
        self.seen.insert(name, contents);
        Ok(None)
    }

    fn keep_conflict(&mut self, mut event: Event) {
        event.keys = Vec::new();
        if self.conflicts.len() < MAX_KEPT {
            self.conflicts.push(event);
        }
    }
}

/// The enclave that an event names, where it can be read.
pub(super) fn enclave(event: &Event) -> Option<&Recipient> {
    event.recipient.as_ref()?.as_ref().ok()
}

fn push(events: &mut Vec<Event>, event: Event) -> Result<(), String> {
    if events.len() >= MAX_KEPT {
        return Err(too_many());
    }
    events.push(event);
    Ok(())
}

fn too_many() -> String {
    format!("at most {MAX_KEPT} events on the key were expected at once: name a shorter time")
}

fn digest(text: &str) -> [u8; DIGEST] {
    let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut short = [0; DIGEST];
    short.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    short
}
