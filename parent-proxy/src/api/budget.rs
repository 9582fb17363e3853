//! How many bytes the bodies of requests may have in memory together. They are counted as they come, not
//! as they are announced: whoever says much and sends little holds little. When there are too many, the
//! body that has been on its way longest makes room, so that one which comes at once always gets in.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// What each body counts at least: its request has a head, and takes memory of its own.
const LEAST: usize = 4 << 10;

/// A bound on bytes.
#[derive(Clone)]
pub(super) struct Budget {
    most: usize,
    state: Arc<Mutex<Bodies>>,
}

#[derive(Default)]
struct Bodies {
    used: usize,
    last: u64,
    /// Bodies on their way, in the order in which they began.
    arriving: BTreeMap<u64, Arriving>,
}

struct Arriving {
    bytes: usize,
    cut: Arc<Notify>,
}

/// The bytes of one body, for as long as they are in memory.
pub(super) struct Share {
    budget: Budget,
    number: u64,
    /// Once it has come, and no longer makes room for others.
    whole: Option<usize>,
    cut: Arc<Notify>,
}

/// There is no room for a body, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Budget {
    /// At most so many bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { most, state: Arc::default() }
    }

    /// A body begins to come.
    pub(super) fn begin(&self) -> Share {
        let mut state = self.lock();
        state.last += 1;
        let (number, cut) = (state.last, Arc::new(Notify::new()));
        state.arriving.insert(number, Arriving { bytes: 0, cut: Arc::clone(&cut) });
        Share { budget: self.clone(), number, whole: None, cut }
    }

    fn lock(&self) -> MutexGuard<'_, Bodies> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// So many bytes more have come. Bodies that began earlier make room for them.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let mut state = self.budget.lock();
        let this = state.arriving.get_mut(&self.number).ok_or(NoRoom)?;
        let bytes = if this.bytes == 0 { bytes.max(LEAST) } else { bytes };
        this.bytes += bytes;
        state.used += bytes;
        while state.used > self.budget.most {
            let mut others =
                state.arriving.iter().filter(|(number, other)| **number != self.number && other.bytes > 0);
            let Some(first) = others.next().map(|(number, _)| *number).filter(|first| *first < self.number)
            else {
                // What is left has come whole, or began later: this one makes room.
                state.forget(self.number);
                return Err(NoRoom);
            };
            if let Some(cut) = state.forget(first) {
                cut.notify_one();
            }
        }
        Ok(())
    }

    /// Waits until another body has its room.
    pub(super) async fn lost(&self) {
        self.cut.notified().await;
    }

    /// It has come: from now on it keeps its room.
    pub(super) fn keep(&mut self) -> Result<(), NoRoom> {
        let arriving = self.budget.lock().arriving.remove(&self.number);
        self.whole = Some(arriving.ok_or(NoRoom)?.bytes);
        Ok(())
    }
}

impl Bodies {
    fn forget(&mut self, number: u64) -> Option<Arc<Notify>> {
        let Arriving { bytes, cut } = self.arriving.remove(&number)?;
        self.used -= bytes;
        Some(cut)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        match self.whole {
            Some(bytes) => state.used -= bytes,
            None => drop(state.forget(self.number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const K: usize = 1 << 10;

    async fn is_lost(share: &Share) -> bool {
        timeout(Duration::from_millis(10), share.lost()).await.is_ok()
    }

    #[tokio::test]
    async fn what_has_been_on_its_way_longest_makes_room() {
        let budget = Budget::new(100 * K);
        let (mut empty, mut first, mut second) = (budget.begin(), budget.begin(), budget.begin());
        first.grow(60 * K).unwrap();
        second.grow(40 * K).unwrap();
        let mut third = budget.begin();
        third.grow(30 * K).unwrap();
        assert!(is_lost(&first).await && !is_lost(&second).await && !is_lost(&third).await);
        assert_eq!(first.grow(K), Err(NoRoom));
        assert_eq!(first.keep(), Err(NoRoom));
        assert_eq!(budget.lock().used, 70 * K);
        // It began first and has nothing to give; now it asks for too much.
        assert!(!is_lost(&empty).await);
        assert_eq!(empty.grow(31 * K), Err(NoRoom), "it does not push out what began later");
        assert!(!is_lost(&second).await && !is_lost(&third).await);
        drop((empty, first, second, third));
        let state = budget.lock();
        assert_eq!((state.used, state.arriving.len()), (0, 0));
    }

    #[tokio::test]
    async fn what_has_come_keeps_its_room_until_it_is_done_with() {
        let budget = Budget::new(100 * K);
        let (mut whole, mut arriving) = (budget.begin(), budget.begin());
        whole.grow(70 * K).unwrap();
        whole.keep().unwrap();
        arriving.grow(30 * K).unwrap();
        let mut next = budget.begin();
        assert_eq!(next.grow(31 * K), Err(NoRoom));
        assert!(!is_lost(&whole).await && is_lost(&arriving).await);
        drop(whole);
        let mut next = budget.begin();
        next.grow(100 * K).unwrap();
        next.keep().unwrap();
        assert_eq!(budget.lock().used, 100 * K);
        drop(next);
        assert_eq!(budget.lock().used, 0);
    }

    #[tokio::test]
    async fn what_has_no_bytes_counts_a_little_all_the_same() {
        let budget = Budget::new(3 * LEAST);
        let mut shares: Vec<Share> = (0..4).map(|_| budget.begin()).collect();
        for share in &mut shares {
            share.grow(0).unwrap();
        }
        assert!(is_lost(&shares[0]).await && !is_lost(&shares[1]).await);
        shares[3].grow(LEAST + 1).unwrap();
        assert!(is_lost(&shares[1]).await && is_lost(&shares[2]).await);
    }
}
