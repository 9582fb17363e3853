//! A random sample of a stream whose length nobody knows: each item is in it with the same chance.
//! Algorithm R (Vitter, "Random Sampling with a Reservoir", 1985), with the system's random numbers,
//! so that nobody can know beforehand what will be looked at.

use rand::{TryRng, rngs::SysRng};

use crate::error::Error;

/// A sample that is being drawn.
pub(super) struct Reservoir<T> {
    size: usize,
    items: Vec<T>,
    seen: u64,
    failed: bool,
}

impl<T> Reservoir<T> {
    /// Draws so many.
    pub(super) const fn new(size: usize) -> Self {
        Self { size, items: Vec::new(), seen: 0, failed: false }
    }

    /// The next item of the stream.
    pub(super) fn offer(&mut self, item: T) {
        self.seen = self.seen.saturating_add(1);
        if self.items.len() < self.size {
            self.items.push(item);
            return;
        }
        let at = below(self.seen);
        self.failed |= at.is_none();
        let slot = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| self.items.get_mut(at));
        if let Some(slot) = slot {
            *slot = item;
        }
    }

    /// The sample, and how many items there were.
    pub(super) fn into_parts(self) -> Result<(Vec<T>, u64), Error> {
        if self.failed {
            return Err(Error::Failed("the system's random numbers were expected".to_owned()));
        }
        Ok((self.items, self.seen))
    }
}

/// A number below `end`, each with the same chance.
fn below(end: u64) -> Option<u64> {
    // The largest multiple of `end` that fits: what is beyond it would favour small numbers.
    let whole = u64::MAX - u64::MAX % end;
    loop {
        let number = SysRng.try_next_u64().ok()?;
        if number < whole {
            return Some(number % end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_drawn_as_often_as_any_other() {
        let (size, of, rounds) = (5, 20u32, 4000);
        let mut counts = vec![0u32; of as usize];
        for _ in 0..rounds {
            let mut reservoir = Reservoir::new(size);
            (0..of).for_each(|item| reservoir.offer(item));
            let (items, seen) = reservoir.into_parts().unwrap();
            assert_eq!((items.len(), seen), (size, 20));
            items.iter().for_each(|item| counts[*item as usize] += 1);
        }
        // 1,000 expected of each; ten standard deviations are about 270.
        assert!(counts.iter().all(|count| (730..1270).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_short_stream_is_drawn_whole() {
        let mut reservoir = Reservoir::new(10);
        (0..3).for_each(|item| reservoir.offer(item));
        assert_eq!(reservoir.into_parts().unwrap(), (vec![0, 1, 2], 3));
    }
}
