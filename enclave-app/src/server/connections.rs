//! Places for connections, as many as the bound says. Whoever may open a socket to the enclave can take
//! them, also without a word; so when all are taken, those that say nothing make room.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

/// For how long a connection that was heard keeps its place without another frame, when others want
/// it: the parent asks on each of its own every few seconds.
const QUIET: Duration = Duration::from_secs(60);
/// How often whoever waits for a place looks for one that has gone quiet.
const LOOK: Duration = Duration::from_secs(1);

/// The connections that are there.
pub(super) struct Connections {
    most: usize,
    quiet: Duration,
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    last: u64,
    /// In the order in which they came.
    open: BTreeMap<u64, Open>,
}

struct Open {
    /// When it came, or was last heard.
    since: Instant,
    /// Whether it sent a whole frame.
    heard: bool,
    cut: Arc<Notify>,
}

/// The place of one connection, for as long as it is held.
pub(super) struct Slot {
    number: u64,
    cut: Arc<Notify>,
    connections: Arc<Connections>,
}

impl Connections {
    /// At most so many.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Self::with_quiet(most, QUIET)
    }

    fn with_quiet(most: usize, quiet: Duration) -> Arc<Self> {
        Arc::new(Self { most, quiet, state: Mutex::default(), left: Notify::new() })
    }

    /// A place for one more. When all are taken, the connection that has been there longest without
    /// ever sending a frame is cut, else the one that has been quiet for longest; where all are in
    /// use, the next that ends leaves its place.
    pub(super) async fn place(self: &Arc<Self>) -> Slot {
        loop {
            let left = self.left.notified();
            if let Some(slot) = self.free() {
                return slot;
            }
            let _ = timeout(LOOK, left).await;
        }
    }

    fn free(self: &Arc<Self>) -> Option<Slot> {
        let mut state = self.lock();
        if state.open.len() >= self.most {
            let yielding = |open: &&Open| !open.heard || open.since.elapsed() >= self.quiet;
            let first = state
                .open
                .iter()
                .filter(|(_, open)| yielding(open))
                .min_by_key(|(_, open)| (open.heard, open.since))
                .map(|(number, _)| *number)?;
            state.open.remove(&first)?.cut.notify_one();
        }
        state.last = state.last.wrapping_add(1);
        let (number, cut) = (state.last, Arc::new(Notify::new()));
        state.open.insert(number, Open { since: Instant::now(), heard: false, cut: cut.clone() });
        Some(Slot { number, cut, connections: self.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// A whole frame came.
    pub(super) fn heard(&self) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.number) {
            (open.heard, open.since) = (true, Instant::now());
        }
    }

    /// Waits until another connection has the place.
    pub(super) async fn lost(&self) {
        self.cut.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.connections.lock().open.remove(&self.number).is_some() {
            self.connections.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_lost(slot: &Slot) -> bool {
        timeout(Duration::from_millis(10), slot.lost()).await.is_ok()
    }

    async fn waits(connections: &Arc<Connections>) -> bool {
        timeout(Duration::from_millis(50), connections.place()).await.is_err()
    }

    #[tokio::test]
    async fn whoever_never_said_anything_makes_room_the_first_first() {
        let connections = Connections::new(3);
        let parent = connections.place().await;
        parent.heard();
        let (first, second) = (connections.place().await, connections.place().await);
        for silent in [first, second] {
            let next = timeout(Duration::from_secs(5), connections.place()).await.unwrap();
            assert!(is_lost(&silent).await);
            drop(silent);
            assert_eq!(connections.lock().open.len(), 3, "a bound stays a bound");
            std::mem::forget(next);
        }
        assert!(!is_lost(&parent).await, "who was heard keeps its place");
    }

    #[tokio::test]
    async fn where_all_are_in_use_the_next_waits_for_one_to_end_or_to_go_quiet() {
        let connections = Connections::with_quiet(2, Duration::from_millis(300));
        let (quiet, busy) = (connections.place().await, connections.place().await);
        quiet.heard();
        busy.heard();
        assert!(waits(&connections).await);
        drop(quiet);
        let next = connections.place().await;
        next.heard();
        assert!(waits(&connections).await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        busy.heard();
        let _later = timeout(Duration::from_secs(5), connections.place()).await.unwrap();
        assert!(is_lost(&next).await && !is_lost(&busy).await);
    }
}
