//! Slots for connections. A bound that closes whoever comes last is a lock that any stranger turns: open
//! so many, and nobody else gets in. Here the last is let in, and whoever has waited longest without a
//! whole request makes room: the slow, the idle, and those that take no answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::cut::Cut;
use crate::metrics::{Held, Metrics};

/// The connections that are there.
pub(super) struct ReplySlots {
    most: usize,
    metrics: Arc<Metrics>,
    state: Mutex<OpenSlots>,
}

#[derive(Default)]
struct OpenSlots {
    last: u64,
    open: HashMap<u64, OpenSlot>,
}

struct OpenSlot {
    /// When it came, or last had a request under way.
    since: Instant,
    /// Whole requests under way.
    under_way: usize,
    cut: Arc<Cut>,
}

/// A connection's slot, for as long as it lives: what is asked on it is replied to. Every request carries it
/// along.
#[derive(Clone)]
pub(crate) struct ReplySlot(Arc<HeldSlot>);

struct HeldSlot {
    number: u64,
    cut: Arc<Cut>,
    slots: Arc<ReplySlots>,
    _count: Held,
}

/// While this is held the connection does not make room for others.
pub(crate) struct UnderWay(ReplySlot);

impl ReplySlots {
    pub(super) fn new(most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { most, metrics, state: Mutex::default() })
    }

    /// A slot for one more; none when as many as there are have a whole request under way.
    pub(super) fn take(self: &Arc<Self>) -> Option<ReplySlot> {
        let mut state = self.lock();
        if state.open.len() >= self.most {
            let waiting = state.open.iter().filter(|(_, open)| open.under_way == 0);
            let Some(first) = waiting.min_by_key(|(number, open)| (open.since, **number)).map(|(n, _)| *n)
            else {
                self.metrics.connection_over_bound("refused");
                return None;
            };
            self.metrics.connection_over_bound("made_room");
            if let Some(open) = state.open.remove(&first) {
                open.cut.cut();
            }
        }
        state.last += 1;
        let (number, cut) = (state.last, Arc::new(Cut::default()));
        state.open.insert(number, OpenSlot { since: Instant::now(), under_way: 0, cut: Arc::clone(&cut) });
        let count = self.metrics.http_connection();
        Some(ReplySlot(Arc::new(HeldSlot { number, cut, slots: Arc::clone(self), _count: count })))
    }

    fn lock(&self) -> MutexGuard<'_, OpenSlots> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplySlot {
    /// A request is whole, and something is being done for it.
    pub(crate) fn under_way(&self) -> UnderWay {
        if let Some(open) = self.0.slots.lock().open.get_mut(&self.0.number) {
            open.under_way += 1;
        }
        UnderWay(self.clone())
    }

    pub(super) fn cut(&self) -> &Arc<Cut> {
        &self.0.cut
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let HeldSlot { number, slots, .. } = &*self.0.0;
        if let Some(open) = slots.lock().open.get_mut(number) {
            open.under_way -= 1;
            open.since = Instant::now();
        }
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        self.slots.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(most: usize) -> Arc<ReplySlots> {
        ReplySlots::new(most, Arc::new(Metrics::new()))
    }

    fn is_cut(slot: &ReplySlot) -> bool {
        slot.cut().is_done()
    }

    #[test]
    fn the_longest_without_a_whole_request_makes_room() {
        let slots = slots(3);
        let (idle, busy, later) = (slots.take().unwrap(), slots.take().unwrap(), slots.take().unwrap());
        let under_way = busy.under_way();
        // It had a request since, so that it has waited less than those that never had one.
        drop(idle.under_way());
        let fourth = slots.take().unwrap();
        assert_eq!([&idle, &busy, &later, &fourth].map(is_cut), [false, false, true, false]);
        let fifth = slots.take().unwrap();
        assert_eq!([&idle, &busy, &fourth, &fifth].map(is_cut), [true, false, false, false]);
        assert_eq!(slots.lock().open.len(), 3, "a bound stays a bound");
        drop(under_way);
        let _later = [slots.take().unwrap(), slots.take().unwrap(), slots.take().unwrap()];
        assert!(is_cut(&busy), "once its request is answered it is like any other");
    }

    #[test]
    fn where_all_have_a_whole_request_under_way_nobody_is_cut() {
        let slots = slots(2);
        let (first, second) = (slots.take().unwrap(), slots.take().unwrap());
        let under_way = (first.under_way(), first.under_way(), second.under_way());
        assert!(slots.take().is_none());
        drop(under_way.0);
        assert!(slots.take().is_none(), "another request of the same connection is under way");
        drop(under_way.1);
        assert!(slots.take().is_some() && is_cut(&first) && !is_cut(&second));
    }

    #[test]
    fn a_connection_that_ends_leaves_its_slot() {
        let slots = slots(1);
        drop(slots.take().unwrap());
        let next = slots.take().unwrap();
        assert!(!is_cut(&next) && slots.lock().open.len() == 1);
    }
}
