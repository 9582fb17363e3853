//! A sum that slides over 24 hours. Time is cut into slots of an hour, each kept until it is wholly
//! older than 24 hours: a bound holds for 24 hours at least, for 25 at most.

/// Slots of an hour, in milliseconds.
const SLOT: u64 = 3_600_000;
/// How many slots before the current one count.
const KEPT: u64 = 24;

/// The slot of a moment, in milliseconds since 1970.
pub(super) const fn slot(now: u64) -> u64 {
    now / SLOT
}

/// Whether what was counted in one slot still counts in another.
pub(super) const fn is_counted(at: u64, slot: u64) -> bool {
    at.saturating_add(KEPT) >= slot
}

/// Amounts by slot, oldest first.
#[derive(Debug, Default, Clone)]
pub(super) struct Window(Vec<(u64, u128)>);

impl Window {
    pub(super) fn sum(&self, slot: u64) -> u128 {
        let counted = self.0.iter().filter(|(at, _)| is_counted(*at, slot));
        counted.fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    /// Adds to the current slot.
    pub(super) fn add(&mut self, slot: u64, amount: u128) {
        self.0.retain(|(at, _)| is_counted(*at, slot));
        self.put(slot, amount);
    }

    /// Takes back what was added to a slot.
    pub(super) fn take(&mut self, slot: u64, amount: u128) {
        if let Some((_, sum)) = self.0.iter_mut().find(|(at, _)| *at == slot) {
            *sum = sum.saturating_sub(amount);
        }
    }

    /// Adds all of another.
    pub(super) fn join(&mut self, other: &Self, slot: u64) {
        self.0.retain(|(at, _)| is_counted(*at, slot));
        other.0.iter().for_each(|(at, amount)| self.put(*at, *amount));
    }

    /// Whether nothing of it counts any more.
    pub(super) fn is_over(&self, slot: u64) -> bool {
        self.0.iter().all(|(at, amount)| *amount == 0 || !is_counted(*at, slot))
    }

    fn put(&mut self, slot: u64, amount: u128) {
        match self.0.iter_mut().find(|(at, _)| *at == slot) {
            Some((_, sum)) => *sum = sum.saturating_add(amount),
            None => self.0.push((slot, amount)),
        }
    }
}
