//! Gathering: of what may come in floods, all of a minute with one tag is one event.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    event::{Event, EventKind},
    view::View,
};

/// The most groups at once; what comes beyond is gathered without its tag.
const MOST: usize = 64;
/// The tag of what was gathered without its own.
const OTHER: &str = "other";
/// The most clients and keys that a group names.
const NAMES: usize = 16;

/// What was gathered so far, by kind and tag.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Gathering {
    groups: Vec<Group>,
}

/// Entries of one kind and tag, in one minute.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Group {
    /// Of the first.
    event: Event,
    /// Which minute, by the time on the log.
    window: u64,
    /// By the parent's clock, in milliseconds since 1970.
    since: u64,
    count: u64,
    last: Option<u64>,
    clients: BTreeSet<String>,
    keys: BTreeSet<String>,
    /// The detail of the first entry.
    first: Option<Map<String, Value>>,
}

impl Gathering {
    /// Adds an entry.
    pub(super) fn add(&mut self, kind: EventKind, tag: &str, view: &View, window: u64, now: u64) {
        let event = Event::from_entry(kind, Some(tag), &view.boot, view.seq, view.time);
        let group = self.group(event, view.time / window.max(1), now);
        if group.count == 0 {
            group.first = view.detail.clone();
        }
        group.count = group.count.saturating_add(view.times());
        group.last = Some(view.seq);
        for (names, more) in [
            (&mut group.clients, view.client.iter().collect()),
            (&mut group.keys, view.keys().collect::<Vec<_>>()),
        ] {
            for name in more {
                if names.len() < NAMES {
                    names.insert(name.clone());
                }
            }
        }
    }

    /// Adds something that is on no log.
    pub(super) fn add_parents(&mut self, kind: EventKind, tag: &str, window: u64, now: u64) {
        let event = Event { tag: Some(tag.to_owned()), ..Event::from_parent(kind, now) };
        self.group(event, now / window.max(1), now).count += 1;
    }

    fn group(&mut self, event: Event, window: u64, now: u64) -> &mut Group {
        let same = |group: &Group, tag: Option<&str>| {
            group.event.kind == event.kind
                && group.event.tag.as_deref() == tag
                && group.event.boot == event.boot
        };
        let full = self.groups.len() >= MOST;
        let at = self.groups.iter().position(|group| same(group, event.tag.as_deref()));
        let at = at.or_else(|| self.groups.iter().position(|group| full && same(group, Some(OTHER))));
        let at = at.unwrap_or_else(|| {
            let event = if full { Event { tag: Some(OTHER.into()), ..event } } else { event };
            self.groups.push(Group {
                event,
                window,
                since: now,
                count: 0,
                last: None,
                clients: BTreeSet::new(),
                keys: BTreeSet::new(),
                first: None,
            });
            self.groups.len() - 1
        });
        // There is one at this place: it was found there, or put there.
        #[allow(clippy::indexing_slicing, reason = "found or put there above")]
        &mut self.groups[at]
    }

    /// Takes out the groups of windows before this one, and those that were begun long enough ago.
    pub(super) fn due(&mut self, time: Option<u64>, length: u64, now: u64) -> Vec<Event> {
        let length = length.max(1);
        let due = |group: &mut Group| {
            time.is_some_and(|time| time / length > group.window)
                || now.saturating_sub(group.since) >= length
                // The parent's clock was put back.
                || group.since > now
        };
        self.groups.extract_if(.., due).map(|group| group.event(length)).collect()
    }

    /// Whether nothing is being gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn event(self, length: u64) -> Event {
        let Self { mut event, count, last, clients, keys, first, .. } = self;
        event.client = clients.first().filter(|_| clients.len() == 1).cloned();
        event.keys = keys.into_iter().collect();
        let detail = json!({
            "count": count, "last_seq": last, "clients": clients, "window_seconds": length / 1000, "first": first,
        });
        if let Value::Object(detail) = detail {
            event.detail = detail;
        }
        event
    }
}
