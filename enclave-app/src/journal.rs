//! The log on the enclave's side: the chain of this boot's entries, and those that the parent has
//! not yet said it stores. When it stores too little nothing more is done: what cannot be logged
//! does not happen.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use ed25519_dalek::SigningKey;
use protocol::{
    Deployment, PolicyRef,
    api::Route,
    log::{
        BootFacts, Chain, Checkpoint, ClientName, ContentHash, Detail, EntryHash, Head, Keys, NewEntry,
        NewLine, OperationName, Outcome, ReasonTag,
    },
    order::Order,
};
use serde_bytes::ByteArray;
use wire::{LogHead, LogLine, Refusal, RefusalCode};

use crate::{clock::Clock, strangers::Strangers};

/// The most lines that wait to be stored.
const MOST_LINES: usize = 65_536;
/// The most bytes of them.
const MOST_BYTES: usize = 64 << 20;
/// How many of the lines, and what part of the bytes, only what restricts may take.
const RESTRICTING_LINES: usize = 2_048;
const RESTRICTING_BYTES: usize = 4 << 20;
/// The most bytes of lines in one answer: with the rest it fits a frame.
const ANSWER: usize = 512 << 10;

/// The tag of an entry that counts what strangers asked.
const STRANGERS: &str = "auth.strangers";

/// The log of this boot.
pub(crate) struct Journal {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chain: Option<Chain>,
    waiting: VecDeque<LogLine>,
    bytes: usize,
    strangers: Strangers,
}

/// The lines that one request put on the log: they leave with its answer.
#[derive(Default)]
pub(crate) struct RequestLog(pub(crate) Vec<LogLine>);

/// What the log says of an order.
pub(crate) fn describe(order: &Order) -> serde_json::Value {
    serde_json::json!({ "order": order.id().to_string(), "type": order.restriction().kind() })
}

/// What the log calls what a client asks for.
pub(crate) fn operation(route: Route) -> OperationName {
    route.operation().parse().unwrap_or(OperationName::REQUEST)
}

/// What happened, before it is an entry.
pub(crate) struct Event {
    entry: NewEntry,
}

impl Event {
    /// Something was done.
    pub(crate) fn done(operation: OperationName) -> Self {
        Self { entry: NewEntry::new(operation, Outcome::ALLOW) }
    }

    /// Something was refused.
    pub(crate) fn refused(operation: OperationName, refusal: &Refusal) -> Self {
        let tag = refusal.tag().parse().unwrap_or(ReasonTag::UNNAMED);
        let event = Self { entry: NewEntry::new(operation, Outcome::deny(tag)) };
        match refusal.order {
            Some(order) => event.detail(&serde_json::json!({ "order": order.to_string() })),
            None => event,
        }
    }

    /// What a client expected a key to be and what it is, where that is why it was refused. Whoever
    /// reads the log sees that somebody was shown another address, or had another key in mind.
    pub(crate) fn unexpected(self, refusal: &Refusal) -> Self {
        if refusal.code == RefusalCode::RecordExpected {
            self.detail(&serde_json::json!({ "message": refusal.message }))
        } else {
            self
        }
    }

    /// By whom.
    pub(crate) fn by(mut self, client: Option<&str>, request: Option<[u8; 32]>) -> Self {
        self.entry.client = client.and_then(|client| client.parse::<ClientName>().ok());
        self.entry.request = request.map(ContentHash::new);
        self
    }

    /// With which keys: the first hundred.
    pub(crate) fn keys(mut self, keys: &[protocol::KeyId]) -> Self {
        self.entry.keys = Keys::parts(keys).into_iter().next().unwrap_or(Keys::NONE);
        self
    }

    /// Under which policy.
    pub(crate) fn policy(mut self, policy: Option<PolicyRef>) -> Self {
        self.entry.policy = policy;
        self
    }

    /// What came of it.
    pub(crate) fn result(mut self, bytes: &[u8]) -> Self {
        self.entry.result = Some(ContentHash::of(bytes));
        self
    }

    /// More about it.
    pub(crate) fn detail(mut self, detail: &serde_json::Value) -> Self {
        self.entry.detail = Some(Detail::new(&self.entry.operation, detail));
        self
    }
}

impl Journal {
    /// Before the log has begun.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Begins the log. Whoever comes later hears where it stands.
    pub(crate) fn open(&self, boot: attestation::DocumentHash, facts: &BootFacts) -> LogHead {
        let mut state = self.lock();
        if state.chain.is_none() {
            let (chain, line) = Chain::begin(boot, facts, self.clock.now());
            state.chain = Some(chain);
            state.keep(line);
        }
        let head =
            state.chain.as_ref().map_or_else(|| Head { boot, seq: 0, hash: EntryHash::START }, Chain::head);
        LogHead { boot: head.boot, seq: head.seq, hash: ByteArray::new(*head.hash.as_bytes()) }
    }

    /// Whether it has begun.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().chain.is_some()
    }

    /// Whether there is room for so many entries more.
    ///
    /// # Errors
    /// [`RefusalCode::LogUnavailable`]
    pub(crate) fn room(&self, entries: usize) -> Result<(), Refusal> {
        self.room_within(
            entries,
            MOST_LINES.saturating_sub(RESTRICTING_LINES),
            MOST_BYTES.saturating_sub(RESTRICTING_BYTES),
        )
    }

    /// Whether there is room for what nobody known asks for: strangers fill half of it at most.
    ///
    /// # Errors
    /// [`RefusalCode::LogUnavailable`]
    pub(crate) fn room_for_strangers(&self) -> Result<(), Refusal> {
        self.room_within(0, MOST_LINES / 2, MOST_BYTES / 2)
    }

    /// Whether there is room for an order, a policy or an activation: also where all else has filled
    /// what it may.
    ///
    /// # Errors
    /// [`RefusalCode::LogUnavailable`]
    pub(crate) fn room_to_restrict(&self) -> Result<(), Refusal> {
        self.room_within(1, MOST_LINES, MOST_BYTES)
    }

    fn room_within(&self, entries: usize, lines: usize, bytes: usize) -> Result<(), Refusal> {
        let state = self.lock();
        let refuse = |text| Err(Refusal::new(RefusalCode::LogUnavailable, text));
        if state.chain.is_none() {
            refuse("the log has not begun: the parent must open it")
        } else if state.waiting.len().saturating_add(entries) > lines || state.bytes > bytes {
            refuse("too many log entries wait for the parent to store them")
        } else {
            Ok(())
        }
    }

    /// Puts what happened on the log, after what strangers asked before. Room was asked for before.
    pub(crate) fn write(&self, event: Event, log: &mut RequestLog) {
        let mut state = self.lock();
        let now = self.clock.now();
        state.tell_strangers(true, now, log);
        state.append(&event, now, log);
    }

    /// Puts on the log what somebody asked who is no client, as long as strangers have entries left
    /// today; else it is counted.
    pub(crate) fn write_of_stranger(&self, event: Event, log: &mut RequestLog) {
        let mut state = self.lock();
        let now = self.clock.now();
        state.tell_strangers(false, now, log);
        if state.strangers.may_enter(event.entry.outcome.tag().as_str(), now) {
            state.append(&event, now, log);
        }
    }

    /// Puts on the log how many strangers were counted on a day that is over. The parent finds that a
    /// line is missing with the next one, or with the next checkpoint, and asks for it.
    pub(crate) fn expire(&self) {
        let mut state = self.lock();
        let now = self.clock.now();
        state.tell_strangers(false, now, &mut RequestLog::default());
    }

    /// Lines that wait to be stored, from this one on.
    pub(crate) fn read(&self, from: u64) -> Vec<LogLine> {
        let state = self.lock();
        let mut bytes = 0usize;
        state
            .waiting
            .iter()
            .skip_while(|line| line.seq < from)
            .take_while(|line| {
                bytes = bytes.saturating_add(line.line.len()).saturating_add(16);
                bytes <= ANSWER
            })
            .cloned()
            .collect()
    }

    /// Signs where the log stands, up to what is stored, and forgets the lines before. `None`
    /// before it has begun.
    pub(crate) fn checkpoint(
        &self,
        stored: u64,
        key: &SigningKey,
        deployment: &Deployment,
    ) -> Option<Checkpoint> {
        let mut state = self.lock();
        let head = state.chain.as_ref()?.head();
        while state.waiting.front().is_some_and(|line| line.seq <= stored) {
            let line = state.waiting.pop_front()?;
            state.bytes = state.bytes.saturating_sub(line.line.len());
        }
        drop(state);
        Some(Checkpoint::sign(key, deployment, head, self.clock.now()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The chain is written last: what a panic left behind is a chain without a line at most.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn append(&mut self, event: &Event, now: u64, log: &mut RequestLog) {
        if let Some(chain) = self.chain.as_mut() {
            let line = chain.append(&event.entry, now);
            log.0.push(self.keep(line));
        }
    }

    /// Puts on the log how many strangers were counted, where that is due.
    fn tell_strangers(&mut self, before_another: bool, now: u64, log: &mut RequestLog) {
        if let Some(count) = self.strangers.due(before_another, now) {
            let refused =
                NewEntry::new(OperationName::REQUEST, Outcome::deny(ReasonTag::from_static(STRANGERS)));
            self.append(&Event { entry: refused }.detail(&count), now, log);
        }
    }

    fn keep(&mut self, line: NewLine) -> LogLine {
        let line = LogLine { seq: line.seq, line: line.text };
        self.bytes = self.bytes.saturating_add(line.line.len());
        self.waiting.push_back(line.clone());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attestation::DocumentHash;

    #[test]
    fn strangers_have_half_of_the_room_and_what_restricts_the_last_of_it() {
        let journal = Journal::new(Clock::new(0));
        assert!(journal.room_to_restrict().is_err(), "it has not begun");
        let pcr0 = attestation::Pcr::new([1; 48]);
        journal.open(DocumentHash::of(b"a boot"), &BootFacts { previous: None, config: [0; 48], pcr0 });
        let filled = |lines: usize, bytes: usize| {
            let mut state = journal.lock();
            state.waiting = vec![LogLine { seq: 1, line: String::new() }; lines].into();
            state.bytes = bytes;
            drop(state);
            [journal.room_for_strangers(), journal.room(1), journal.room_to_restrict()]
                .map(|room| room.is_ok())
        };
        let (lines, bytes) = (MOST_LINES - RESTRICTING_LINES, MOST_BYTES - RESTRICTING_BYTES);
        assert_eq!(filled(MOST_LINES / 2, MOST_BYTES / 2), [true, true, true]);
        assert_eq!(filled(MOST_LINES / 2 + 1, 0), [false, true, true]);
        assert_eq!(filled(0, MOST_BYTES / 2 + 1), [false, true, true]);
        assert_eq!(filled(lines - 1, bytes), [false, true, true]);
        assert_eq!(filled(lines, 0), [false, false, true]);
        assert_eq!(filled(0, bytes + 1), [false, false, true]);
        assert_eq!(filled(MOST_LINES - 1, MOST_BYTES), [false, false, true]);
        assert_eq!(filled(MOST_LINES, 0), [false, false, false]);
        assert_eq!(filled(0, MOST_BYTES + 1), [false, false, false]);
    }
}
