//! The memory of nonces: a signed request is taken once. It is bounded, and what it cannot remember is
//! refused, never let through; nobody's requests take the place of another client's.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::{RequestError, Window};

/// SHA-256 of client and nonce, cut to 128 bits: whoever finds a collision has found two nonces of its own,
/// of which the second is refused.
type Mark = [u8; 16];

/// How many seconds of `created` are forgotten at once: then a whole set is let go, which takes no longer
/// when it is full, and few sets are to be searched.
const SLOT_SECONDS: u64 = 8;

/// The nonces of all requests that could still be replayed.
///
/// Each client has a share of its own, and there are places for a number of clients, so the memory is bounded
/// by their product, at about 40 bytes an entry. It grows only as it is used. What one call takes depends on
/// the length of the window and the number of clients, not on how many nonces are remembered, apart from the
/// calls in which a set grows.
#[derive(Debug)]
pub struct NonceMemory {
    window: Window,
    clients: usize,
    share: usize,
    /// By `created` / [`SLOT_SECONDS`].
    slots: BTreeMap<u64, Slot>,
    /// How many nonces of each client there are in all slots; of none without any.
    counts: HashMap<Arc<str>, usize>,
    /// The latest slot that was forgotten.
    forgotten: Option<u64>,
}

#[derive(Debug, Default)]
struct Slot {
    seen: HashSet<Mark>,
    counts: HashMap<Arc<str>, usize>,
}

impl NonceMemory {
    /// Places for clients that are enough for most: 256, as many as a policy may name.
    pub const CLIENTS: usize = 256;
    /// A share that is enough for most: 2¹⁷ nonces, which is over 1,300 requests in each second of the default
    /// window.
    pub const SHARE: usize = 1 << 17;

    /// An empty memory for requests within this window, of at most so many clients with at most so many
    /// nonces each.
    pub fn new(window: Window, clients: usize, share: usize) -> Self {
        Self { window, clients, share, slots: BTreeMap::new(), counts: HashMap::new(), forgotten: None }
    }

    /// Remembers the nonce of a request, or refuses the request. `created` is in seconds, `now_ms` in
    /// milliseconds since 1970. To be called last, for a request whose signature verified: anything else would
    /// let strangers use up the nonces and the memory of a client.
    ///
    /// # Errors
    /// [`RequestError::Replayed`]; [`RequestError::Busy`] when the client's share is used up, or all places
    /// for clients are; [`RequestError::Stale`] and [`RequestError::Future`] for a request outside of the
    /// window, which would not be remembered for long enough.
    pub fn remember(
        &mut self,
        keyid: &str,
        nonce: &str,
        created: u64,
        now_ms: u64,
    ) -> Result<(), RequestError> {
        self.window.check(created, None, now_ms)?;
        self.forget(now_ms);
        let slot = created / SLOT_SECONDS;
        // A clock that was set back must not bring back requests whose nonces are forgotten.
        if self.forgotten.is_some_and(|forgotten| slot <= forgotten) {
            return Err(RequestError::Stale { past_seconds: self.window.past_seconds });
        }
        let mark = mark(keyid, nonce);
        if self.slots.values().any(|slot| slot.seen.contains(&mark)) {
            return Err(RequestError::Replayed);
        }
        let client = self.room(keyid)?;
        let slot = self.slots.entry(slot).or_default();
        slot.seen.insert(mark);
        for counts in [&mut slot.counts, &mut self.counts] {
            let count = counts.entry(Arc::clone(&client)).or_default();
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    /// How many nonces it holds, of all clients.
    pub fn len(&self) -> usize {
        self.slots.values().map(|slot| slot.seen.len()).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The client, if there is room for one more of its nonces.
    fn room(&self, keyid: &str) -> Result<Arc<str>, RequestError> {
        match self.counts.get_key_value(keyid) {
            Some((client, count)) if *count < self.share => Ok(Arc::clone(client)),
            None if self.counts.len() < self.clients && self.share > 0 => Ok(Arc::from(keyid)),
            _ => Err(RequestError::Busy),
        }
    }

    /// Lets go of the slots that are outside of the window.
    fn forget(&mut self, now_ms: u64) {
        while let Some(oldest) = self.slots.first_entry() {
            let slot = *oldest.key();
            let last = slot.saturating_mul(SLOT_SECONDS).saturating_add(SLOT_SECONDS - 1);
            if !self.window.is_past(last, now_ms) {
                return;
            }
            self.forgotten = self.forgotten.max(Some(slot));
            for (client, gone) in oldest.remove().counts {
                let left = self.counts.get(&client).map_or(0, |count| count.saturating_sub(gone));
                if left == 0 {
                    self.counts.remove(&client);
                } else {
                    self.counts.insert(client, left);
                }
            }
        }
    }
}

fn mark(keyid: &str, nonce: &str) -> Mark {
    let mut hash = Sha256::new();
    // The client's hash has a fixed length, so there is no doubt where the nonce begins.
    hash.update(Sha256::digest(keyid));
    hash.update(nonce);
    let hash: [u8; 32] = hash.finalize().into();
    let mut mark = Mark::default();
    mark.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Window = Window { past_seconds: 60, future_seconds: 30 };
    const STALE: Result<(), RequestError> = Err(RequestError::Stale { past_seconds: 60 });

    fn memory(clients: usize, share: usize) -> NonceMemory {
        NonceMemory::new(WINDOW, clients, share)
    }

    #[test]
    fn a_nonce_is_taken_once_by_each_client() {
        let mut memory = memory(8, 8);
        assert_eq!(memory.remember("a", "nonce", 1000, 1_000_000), Ok(()));
        assert_eq!(memory.remember("a", "nonce", 1000, 1_000_000), Err(RequestError::Replayed));
        // Also where the client signed anew, at another time.
        assert_eq!(memory.remember("a", "nonce", 1001, 1_000_000), Err(RequestError::Replayed));
        assert_eq!(memory.remember("b", "nonce", 1000, 1_000_000), Ok(()));
        assert_eq!(memory.remember("an", "once", 1000, 1_000_000), Ok(()));
        assert_eq!(memory.len(), 3);
    }

    #[test]
    fn a_nonce_is_forgotten_only_when_its_request_is_stale() {
        let mut memory = memory(8, 8);
        memory.remember("a", "nonce", 1030, 1_000_000).unwrap();
        assert_eq!(memory.remember("a", "nonce", 1030, 1_090_000), Err(RequestError::Replayed));
        assert_eq!(memory.remember("a", "nonce", 1030, 1_090_001), STALE);
        // So long it is remembered of the whole slot, 1024 to 1031; then the nonce is free again.
        assert_eq!(memory.remember("a", "nonce", 1090, 1_091_000), Err(RequestError::Replayed));
        assert_eq!(memory.remember("a", "nonce", 1090, 1_091_001), Ok(()));
        assert_eq!(memory.len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_brings_no_request_back() {
        let mut memory = memory(8, 8);
        memory.remember("a", "nonce", 1000, 1_000_000).unwrap();
        memory.remember("a", "other", 1067, 1_067_001).unwrap();
        assert_eq!(memory.len(), 1);
        assert_eq!(memory.remember("a", "nonce", 1000, 1_059_000), STALE);
        assert_eq!(memory.remember("a", "fresh", 1007, 1_059_000), STALE);
        assert_eq!(memory.remember("a", "fresh", 1008, 1_059_000), Ok(()));
    }

    #[test]
    fn what_is_outside_of_the_window_is_not_remembered() {
        let mut memory = memory(8, 8);
        assert_eq!(memory.remember("a", "nonce", 939, 1_000_000), STALE);
        assert_eq!(
            memory.remember("a", "nonce", 1031, 1_000_000),
            Err(RequestError::Future { future_seconds: 30 })
        );
        assert!(memory.is_empty());
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing_and_others_go_on() {
        let mut memory = memory(2, 3);
        for nonce in ["1", "2", "3"] {
            memory.remember("a", nonce, 1000, 1_000_000).unwrap();
        }
        assert_eq!(memory.remember("a", "4", 1000, 1_000_000), Err(RequestError::Busy));
        assert_eq!(memory.remember("a", "1", 1000, 1_000_000), Err(RequestError::Replayed));
        // Another client has its own share, and there is no place for a third one.
        assert_eq!(memory.remember("b", "1", 1000, 1_000_000), Ok(()));
        assert_eq!(memory.remember("c", "1", 1000, 1_000_000), Err(RequestError::Busy));
        assert_eq!(memory.len(), 4);
        // Once the window has passed, everyone has room again.
        assert_eq!(memory.remember("c", "1", 1068, 1_068_000), Ok(()));
        assert_eq!(memory.remember("a", "4", 1068, 1_068_000), Ok(()));
        assert_eq!((memory.len(), memory.counts.len(), memory.slots.len()), (2, 2, 1));
    }

    #[test]
    fn without_room_nothing_is_taken() {
        assert_eq!(memory(0, 8).remember("a", "1", 0, 0), Err(RequestError::Busy));
        assert_eq!(memory(8, 0).remember("a", "1", 0, 0), Err(RequestError::Busy));
    }

    proptest! {
        /// Against a list that never forgets: whatever is taken was never taken before within its window, and
        /// no client has more than its share.
        #[test]
        fn no_request_is_taken_twice_whatever_the_clock_does(
            steps in prop::collection::vec((0u8..3, 0u8..6, 0u64..150, 0u64..250_000), 1..200)
        ) {
            let mut memory = memory(2, 4);
            let mut taken = Vec::new();
            for (client, nonce, created, now_ms) in steps {
                let (keyid, nonce) = (client.to_string(), nonce.to_string());
                let request = (keyid.clone(), nonce.clone(), created);
                let result = memory.remember(&keyid, &nonce, created, now_ms);
                if result.is_ok() {
                    prop_assert!(!taken.contains(&request), "{request:?}");
                    prop_assert_eq!(WINDOW.check(created, None, now_ms), Ok(()));
                    taken.push(request);
                }
                let counted: usize = memory.counts.values().sum();
                let in_slots: usize = memory.slots.values().flat_map(|slot| slot.counts.values()).sum();
                prop_assert_eq!((counted, in_slots), (memory.len(), memory.len()));
                prop_assert!(memory.counts.len() <= 2 && memory.counts.values().all(|count| *count <= 4));
            }
        }
    }
}
