//! Places for connections. A bound that closes whoever comes last is a lock that any stranger turns: open
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
pub(super) struct Places {
    most: usize,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    open: HashMap<u64, Open>,
}

struct Open {
    /// When it came, or last had a request under way.
    since: Instant,
    /// Whole requests under way.
    under_way: usize,
    cut: Arc<Cut>,
}

/// The place of a connection, for as long as it lives. Every request on it carries it along.
#[derive(Clone)]
pub(crate) struct Place(Arc<Inner>);

struct Inner {
    number: u64,
    cut: Arc<Cut>,
    places: Arc<Places>,
    _count: Held,
}

/// While this is held the connection does not make room for others.
pub(crate) struct UnderWay(Place);

impl Places {
    pub(super) fn new(most: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { most, metrics, state: Mutex::default() })
    }

    /// A place for one more; none when as many as there are have a whole request under way.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
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
        state.open.insert(number, Open { since: Instant::now(), under_way: 0, cut: Arc::clone(&cut) });
        let count = self.metrics.http_connection();
        Some(Place(Arc::new(Inner { number, cut, places: Arc::clone(self), _count: count })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request is whole, and something is being done for it.
    pub(crate) fn under_way(&self) -> UnderWay {
        if let Some(open) = self.0.places.lock().open.get_mut(&self.0.number) {
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
        let Inner { number, places, .. } = &*self.0.0;
        if let Some(open) = places.lock().open.get_mut(number) {
            open.under_way -= 1;
            open.since = Instant::now();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.places.lock().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(most: usize) -> Arc<Places> {
        Places::new(most, Arc::new(Metrics::new()))
    }

    fn is_cut(place: &Place) -> bool {
        place.cut().is_done()
    }

    #[test]
    fn the_longest_without_a_whole_request_makes_room() {
        let places = places(3);
        let (idle, busy, later) = (places.take().unwrap(), places.take().unwrap(), places.take().unwrap());
        let under_way = busy.under_way();
        // It had a request since, so that it has waited less than those that never had one.
        drop(idle.under_way());
        let fourth = places.take().unwrap();
        assert_eq!([&idle, &busy, &later, &fourth].map(is_cut), [false, false, true, false]);
        let fifth = places.take().unwrap();
        assert_eq!([&idle, &busy, &fourth, &fifth].map(is_cut), [true, false, false, false]);
        assert_eq!(places.lock().open.len(), 3, "a bound stays a bound");
        drop(under_way);
        let _later = [places.take().unwrap(), places.take().unwrap(), places.take().unwrap()];
        assert!(is_cut(&busy), "once its request is answered it is like any other");
    }

    #[test]
    fn where_all_have_a_whole_request_under_way_nobody_is_cut() {
        let places = places(2);
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        let under_way = (first.under_way(), first.under_way(), second.under_way());
        assert!(places.take().is_none());
        drop(under_way.0);
        assert!(places.take().is_none(), "another request of the same connection is under way");
        drop(under_way.1);
        assert!(places.take().is_some() && is_cut(&first) && !is_cut(&second));
    }

    #[test]
    fn a_connection_that_ends_leaves_its_place() {
        let places = places(1);
        drop(places.take().unwrap());
        let next = places.take().unwrap();
        assert!(!is_cut(&next) && places.lock().open.len() == 1);
    }
}
