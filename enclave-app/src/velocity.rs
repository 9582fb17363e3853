//! How much has left within 24 hours, by meter and by key. Counted before anything is signed, so
//! that no answer that is lost leaves a count behind; the same transaction counts once.
//!
//! Time is cut into slots of an hour, each kept until it is wholly older than 24 hours: a bound
//! holds for 24 hours at least, for 25 at most. Counts are this boot's alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use chains::{Amount, Meter};
use protocol::KeyId;

/// Slots of an hour, in milliseconds.
const SLOT: u64 = 3_600_000;
/// How many slots before the current one count.
const KEPT: u64 = 24;
/// From how much of a bound on it is said to be near: 80 %.
const NEAR: (u128, u128) = (4, 5);

/// The part of all counts that the transactions under one rule set may take.
const SHARE: usize = 4;

/// Why an amount is not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// A bound would be passed.
    Bound {
        /// The meter's tag.
        tag: &'static str,
        /// What it would come to.
        found: String,
        /// The bound.
        allowed: Amount,
    },
    /// There is no room to count one more key.
    Full,
}

/// All running counts.
pub(crate) struct Velocity {
    counts: Mutex<Counts>,
    most: usize,
}

#[derive(Default)]
struct Counts {
    /// By rule set, meter, and key where it is one key's.
    meters: HashMap<(String, Option<KeyId>), Window>,
    /// What was counted under each rule set, by the slot in which.
    seen: HashMap<String, HashMap<[u8; 32], u64>>,
    /// The slot in which what is too old was last forgotten for want of room.
    swept: u64,
}

/// Amounts by slot, oldest first.
#[derive(Default, Clone)]
struct Window(Vec<(u64, u128)>);

impl Window {
    fn sum(&self, slot: u64) -> u128 {
        let counted = self.0.iter().filter(|(at, _)| at.saturating_add(KEPT) >= slot);
        counted.fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }

    fn add(&mut self, slot: u64, amount: u128) {
        self.0.retain(|(at, _)| at.saturating_add(KEPT) >= slot);
        match self.0.last_mut() {
            Some((at, sum)) if *at == slot => *sum = sum.saturating_add(amount),
            _ => self.0.push((slot, amount)),
        }
    }
}

impl Velocity {
    /// Holds at most so many counts.
    pub(crate) fn new(most: usize) -> Self {
        Self { counts: Mutex::default(), most }
    }

    /// Whether the meters have room for a transaction, without counting it.
    pub(crate) fn check(
        &self,
        rules: &str,
        transaction: [u8; 32],
        keys: &[KeyId],
        meters: &[Meter],
        now: u64,
    ) -> Result<Vec<String>, Exceeded> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.additions(rules, transaction, keys, meters, slot(now)).map(|(_, near)| near)
    }

    /// Counts a transaction, or nothing of it. Answers the meters that are near their bounds.
    pub(crate) fn count(
        &self,
        rules: &str,
        transaction: [u8; 32],
        keys: &[KeyId],
        meters: &[Meter],
        now: u64,
    ) -> Result<Vec<String>, Exceeded> {
        let slot = slot(now);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (additions, near) = counts.additions(rules, transaction, keys, meters, slot)?;
        if additions.is_empty() {
            // Counted before: it takes no room.
            return Ok(near);
        }
        if !counts.has_room(rules, additions.len(), self.most) {
            // Going through everything is worth it once an hour.
            if counts.swept != slot {
                counts.swept = slot;
                counts.forget(slot);
            }
            if !counts.has_room(rules, additions.len(), self.most) {
                return Err(Exceeded::Full);
            }
        }
        counts.seen.entry(rules.to_owned()).or_default().insert(transaction, slot);
        for (name, amount) in additions {
            counts.meters.entry(name).or_default().add(slot, amount);
        }
        Ok(near)
    }

    /// Forgets what is too old to count.
    pub(crate) fn expire(&self, now: u64) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).forget(slot(now));
    }
}

type Additions = (Vec<((String, Option<KeyId>), u128)>, Vec<String>);

impl Counts {
    /// What a transaction would add, if no bound is passed.
    fn additions(
        &self,
        rules: &str,
        transaction: [u8; 32],
        keys: &[KeyId],
        meters: &[Meter],
        slot: u64,
    ) -> Result<Additions, Exceeded> {
        let (mut additions, mut near) = (Vec::new(), Vec::new());
        let seen = self.seen.get(rules).and_then(|seen| seen.get(&transaction));
        if seen.is_some_and(|at| at.saturating_add(KEPT) >= slot) {
            return Ok((additions, near));
        }
        for meter in meters {
            let name = format!("{rules}/{}", meter.name);
            let mut total: u128 = 0;
            let mut by_key: BTreeMap<KeyId, u128> = BTreeMap::new();
            for (key, amount) in &meter.amounts {
                total = total.saturating_add(amount.get());
                if let Some(key) = keys.get(*key) {
                    let sum = by_key.entry(*key).or_default();
                    *sum = sum.saturating_add(amount.get());
                }
            }
            for (key, amount) in by_key {
                let Some(bound) = meter.per_key_per_day else { break };
                let of_key = (name.clone(), Some(key));
                let sum = self.sum(&of_key, slot).saturating_add(amount);
                within(meter.tag, &format!("{} of one key", meter.name), sum, bound, &mut near)?;
                additions.push((of_key, amount));
            }
            let of_all = (name, None);
            let sum = self.sum(&of_all, slot).saturating_add(total);
            within(meter.tag, &meter.name, sum, meter.per_day, &mut near)?;
            additions.push((of_all, total));
        }
        Ok((additions, near))
    }

    /// No rule set takes the room of another: the transactions under one are a quarter at most.
    fn has_room(&self, rules: &str, additions: usize, most: usize) -> bool {
        let seen = self.seen.get(rules).map_or(0, HashMap::len);
        self.meters.len().saturating_add(additions) <= most && seen < most.div_ceil(SHARE)
    }

    fn sum(&self, name: &(String, Option<KeyId>), slot: u64) -> u128 {
        self.meters.get(name).map_or(0, |window| window.sum(slot))
    }

    fn forget(&mut self, slot: u64) {
        for seen in self.seen.values_mut() {
            seen.retain(|_, at| at.saturating_add(KEPT) >= slot);
        }
        self.seen.retain(|_, seen| !seen.is_empty());
        self.meters.retain(|_, window| window.sum(slot) > 0);
    }
}

fn within(
    tag: &'static str,
    meter: &str,
    sum: u128,
    bound: Amount,
    near: &mut Vec<String>,
) -> Result<(), Exceeded> {
    if sum > bound.get() {
        let found = format!("{sum} of {meter} within 24 hours");
        return Err(Exceeded::Bound { tag, found, allowed: bound });
    }
    let is_near = sum.saturating_mul(NEAR.1) >= bound.get().saturating_mul(NEAR.0);
    if is_near && !near.iter().any(|named| named == meter) {
        near.push(meter.into());
    }
    Ok(())
}

const fn slot(now: u64) -> u64 {
    now / SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = SLOT;

    fn meter(amount: u128) -> Meter {
        Meter {
            name: "evm:1/native".into(),
            tag: "policy.evm.velocity",
            amounts: vec![(0, Amount::new(amount))],
            per_key_per_day: Some(Amount::new(100)),
            per_day: Amount::new(150),
        }
    }

    fn key(name: &str) -> KeyId {
        let path = protocol::KeyPath {
            user: name.parse().unwrap(),
            chain: chains::Chain::Evm,
            purpose: protocol::Purpose::Sweep,
            index: protocol::Index::default(),
        };
        KeyId::derive(&"laptop".parse().unwrap(), &path)
    }

    fn count(velocity: &Velocity, tx: u8, of: &str, amount: u128, now: u64) -> Result<Vec<String>, Exceeded> {
        velocity.count("deposits", [tx; 32], &[key(of)], &[meter(amount)], now)
    }

    #[test]
    fn a_key_and_all_keys_together_have_bounds() {
        let velocity = Velocity::new(100);
        assert_eq!(count(&velocity, 1, "alice", 60, HOUR), Ok(vec![]));
        assert!(count(&velocity, 2, "alice", 41, HOUR).is_err());
        assert_eq!(count(&velocity, 3, "alice", 40, HOUR).unwrap().len(), 1, "near the key's bound");
        assert!(count(&velocity, 4, "bob", 51, HOUR).is_err());
        assert!(count(&velocity, 5, "bob", 50, HOUR).is_ok());
    }

    #[test]
    fn what_is_refused_counts_nothing_and_the_same_transaction_counts_once() {
        let velocity = Velocity::new(100);
        assert!(count(&velocity, 1, "alice", 101, HOUR).is_err());
        assert!(count(&velocity, 2, "alice", 100, HOUR).is_ok());
        assert!(count(&velocity, 2, "alice", 100, HOUR).is_ok());
        assert!(count(&velocity, 3, "alice", 1, HOUR).is_err());
    }

    #[test]
    fn a_bound_holds_for_24_hours_and_is_free_again_after_25() {
        let velocity = Velocity::new(100);
        assert!(count(&velocity, 1, "alice", 100, HOUR + 5).is_ok());
        assert!(count(&velocity, 2, "alice", 1, 25 * HOUR).is_err());
        assert!(count(&velocity, 2, "alice", 1, 26 * HOUR).is_ok());
    }

    #[test]
    fn a_sum_that_overflows_is_over_every_bound() {
        let velocity = Velocity::new(100);
        assert!(count(&velocity, 1, "alice", 1, HOUR).is_ok());
        assert!(count(&velocity, 2, "alice", u128::MAX, HOUR).is_err());
    }

    #[test]
    fn the_memory_is_bounded_and_refuses_when_it_is_full() {
        let velocity = Velocity::new(8);
        for (tx, of) in [(1, "a"), (2, "b")] {
            assert!(count(&velocity, tx, of, 1, HOUR).is_ok());
        }
        assert_eq!(count(&velocity, 3, "c", 1, HOUR), Err(Exceeded::Full));
        let other = velocity.count("others", [3; 32], &[key("c")], &[meter(1)], HOUR);
        assert!(other.is_ok(), "another rule set has room of its own");
        assert!(count(&velocity, 3, "c", 1, 30 * HOUR).is_ok(), "what is too old makes room");
    }
}
