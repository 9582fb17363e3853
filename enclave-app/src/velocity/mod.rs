//! How much has left within 24 hours, by meter and by key. Counted before anything is signed, so
//! that no answer that is lost leaves a count behind.
//!
//! What a transaction adds stands under an anchor, of whose transactions the network takes one: a sum is
//! over anchors, and of each the greatest amount counts. So a transaction that replaces another counts
//! once with it, and the sum is never below what can be mined. Where the memory is full, nothing is
//! refused: the oldest anchors and keys are forgotten by name, and their amounts stay. What is counted
//! again for that, or together with others, is counted as more than it is and never as less.
//!
//! Counts are this boot's alone.

mod window;

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use chains::{Amount, Anchor, Count, Meter, PublicKey};
use lru::LruCache;

use window::{Window, is_counted, slot};

/// From how much of a bound on it is said to be near: 80 %.
const NEAR: (u128, u128) = (4, 5);
/// Among how many sums the amounts of keys are kept whose names are forgotten, for each meter.
const CROWDS: u64 = 4096;

/// A bound that would be passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// The meter's tag.
    pub(crate) tag: &'static str,
    /// What it would come to.
    pub(crate) found: String,
    /// The bound.
    pub(crate) allowed: Amount,
}

/// All running counts.
pub(crate) struct Velocity {
    counts: Mutex<Counts>,
    /// The most anchors, and the most keys.
    most: usize,
}

/// A meter under a rule set, for as long as it counts anything.
type MeterId = u64;
/// A public key's bytes.
type Key = Vec<u8>;
/// Whose an amount is, where keys have a bound. Who owns an output is what a transaction claims, and a
/// claim that was false, and so worth nothing, takes nothing from what the true owner counts.
type Owner = Option<Key>;

struct Counts {
    meters: HashMap<String, Total>,
    last: MeterId,
    /// The sum of each key, those that were not counted for longest first.
    keys: LruCache<(MeterId, Key), Window>,
    /// What was counted under each anchor, likewise; where keys have a bound, of each key by itself.
    anchors: LruCache<(MeterId, Owner, Anchor), Counted>,
    /// Which keys share a sum once they are forgotten: nobody outside can tell.
    crowds: RandomState,
}

/// The sum of all keys.
struct Total {
    id: MeterId,
    all: Window,
    /// Sums of keys that are forgotten.
    crowds: HashMap<u64, Window>,
}

/// The greatest amount of an anchor's transactions, and the slot in which the last of them was counted.
#[derive(Debug, Clone, Copy)]
struct Counted {
    slot: u64,
    amount: u128,
}

/// What a transaction would change: under which meter, and for whom under which anchor, how much.
struct Change {
    name: String,
    amounts: BTreeMap<(Owner, Anchor), u128>,
}

impl Velocity {
    /// Remembers at most so many anchors and keys, of all rule sets together.
    pub(crate) fn new(most: usize) -> Self {
        let counts = Counts {
            meters: HashMap::new(),
            last: 0,
            keys: LruCache::unbounded(),
            anchors: LruCache::unbounded(),
            crowds: RandomState::new(),
        };
        Self { counts: Mutex::new(counts), most: (most / 2).max(1) }
    }

    /// Whether the meters have room for a transaction, without counting it. Answers the names of those that
    /// are near their bounds; that of one key's count ends with `/key`.
    pub(crate) fn check(
        &self,
        rules: &str,
        keys: &[PublicKey],
        meters: &[Meter],
        now: u64,
    ) -> Result<Vec<String>, Exceeded> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.changes(rules, keys, meters, slot(now)).map(|(_, near)| near)
    }

    /// Counts a transaction, or nothing of it.
    pub(crate) fn count(
        &self,
        rules: &str,
        keys: &[PublicKey],
        meters: &[Meter],
        now: u64,
    ) -> Result<Vec<String>, Exceeded> {
        let slot = slot(now);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let (changes, near) = counts.changes(rules, keys, meters, slot)?;
        for change in changes {
            counts.apply(change, slot);
        }
        counts.forget(self.most, slot);
        Ok(near)
    }

    /// Forgets what is too old to count.
    pub(crate) fn expire(&self, now: u64) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).expire(slot(now));
    }
}

impl Counts {
    /// What a transaction would change, if no bound is passed.
    fn changes(
        &self,
        rules: &str,
        keys: &[PublicKey],
        meters: &[Meter],
        slot: u64,
    ) -> Result<(Vec<Change>, Vec<String>), Exceeded> {
        let (mut changes, mut near) = (Vec::new(), Vec::new());
        for meter in meters {
            let name = format!("{rules}/{}", meter.name);
            let total = self.meters.get(&name);
            let amounts = self.amounts(total, meter, keys, slot);
            let mut more: u128 = 0;
            let mut of_owners: BTreeMap<&Key, u128> = BTreeMap::new();
            for ((owner, anchor), amount) in &amounts {
                let known = self.known(total, owner, anchor, slot).map_or(0, |counted| counted.amount);
                let added = amount.saturating_sub(known);
                more = more.saturating_add(added);
                if let Some(owner) = owner {
                    let of_owner = of_owners.entry(owner).or_default();
                    *of_owner = of_owner.saturating_add(added);
                }
            }
            if let Some(bound) = meter.per_key_per_day {
                for (owner, added) in of_owners {
                    let sum = self.sum_of(total, owner, slot);
                    within(meter.tag, &format!("{}/key", meter.name), sum, added, bound, &mut near)?;
                }
            }
            let sum = total.map_or(0, |total| total.all.sum(slot));
            within(meter.tag, &meter.name, sum, more, meter.per_day, &mut near)?;
            changes.push(Change { name, amounts });
        }
        Ok((changes, near))
    }

    /// The amounts of a meter, each for its owner under the anchor with the greatest count where there
    /// are some, else the smallest. Amounts of one owner under one anchor are one.
    fn amounts(
        &self,
        total: Option<&Total>,
        meter: &Meter,
        keys: &[PublicKey],
        slot: u64,
    ) -> BTreeMap<(Owner, Anchor), u128> {
        let mut amounts = BTreeMap::new();
        for Count { key, amount, anchors } in &meter.counts {
            let owner = meter.per_key_per_day.and_then(|_| keys.get(*key)).map(PublicKey::to_bytes);
            let known = anchors.iter().filter_map(|anchor| {
                self.known(total, &owner, anchor, slot).map(|counted| (counted.amount, anchor))
            });
            let anchor = known.max().map(|(_, anchor)| anchor).or_else(|| anchors.iter().min());
            if let Some(anchor) = anchor {
                let sum: &mut u128 = amounts.entry((owner, *anchor)).or_default();
                *sum = sum.saturating_add(amount.get());
            }
        }
        amounts
    }

    /// What still counts of an anchor.
    fn known(&self, total: Option<&Total>, owner: &Owner, anchor: &Anchor, slot: u64) -> Option<Counted> {
        let counted = self.anchors.peek(&(total?.id, owner.clone(), *anchor)).copied();
        counted.filter(|counted| is_counted(counted.slot, slot))
    }

    /// What one key's transactions come to, those of the crowd included that it may be a part of.
    fn sum_of(&self, total: Option<&Total>, key: &Key, slot: u64) -> u128 {
        let Some(total) = total else { return 0 };
        let crowd = total.crowds.get(&self.crowd(key)).map_or(0, |crowd| crowd.sum(slot));
        let own = self.keys.peek(&(total.id, key.clone())).map_or(0, |own| own.sum(slot));
        own.saturating_add(crowd)
    }

    fn crowd(&self, key: &Key) -> u64 {
        self.crowds.hash_one(key) % CROWDS
    }

    /// Counts what a transaction changes. What replaces something counts from now on in its place.
    fn apply(&mut self, Change { name, amounts }: Change, slot: u64) {
        let next = self.last.saturating_add(1);
        let total = self.meters.entry(name).or_insert_with(|| {
            self.last = next;
            Total { id: next, all: Window::default(), crowds: HashMap::new() }
        });
        for ((owner, anchor), amount) in amounts {
            let before = self.anchors.get(&(total.id, owner.clone(), anchor)).copied();
            let before = before.filter(|counted| is_counted(counted.slot, slot));
            let amount = amount.max(before.map_or(0, |before| before.amount));
            let replace = |window: &mut Window| {
                if let Some(Counted { slot, amount }) = before {
                    window.take(slot, amount);
                }
                window.add(slot, amount);
            };
            replace(&mut total.all);
            if let Some(owner) = &owner {
                replace(self.keys.get_or_insert_mut((total.id, owner.clone()), Window::default));
            }
            self.anchors.put((total.id, owner, anchor), Counted { slot, amount });
        }
    }

    /// Forgets names beyond what is remembered, the oldest first; amounts stay.
    fn forget(&mut self, most: usize, slot: u64) {
        while self.anchors.len() > most {
            self.anchors.pop_lru();
        }
        while self.keys.len() > most {
            let Some(((meter, key), window)) = self.keys.pop_lru() else { break };
            let crowd = self.crowd(&key);
            if let Some(total) = self.meters.values_mut().find(|total| total.id == meter) {
                total.crowds.entry(crowd).or_default().join(&window, slot);
            }
        }
    }

    fn expire(&mut self, slot: u64) {
        while self.anchors.peek_lru().is_some_and(|(_, counted)| !is_counted(counted.slot, slot)) {
            self.anchors.pop_lru();
        }
        while self.keys.peek_lru().is_some_and(|(_, window)| window.is_over(slot)) {
            self.keys.pop_lru();
        }
        self.meters.retain(|_, total| {
            total.crowds.retain(|_, crowd| !crowd.is_over(slot));
            !total.all.is_over(slot)
        });
    }
}

/// What adds nothing is within every bound: it replaces what was allowed.
fn within(
    tag: &'static str,
    meter: &str,
    sum: u128,
    added: u128,
    bound: Amount,
    near: &mut Vec<String>,
) -> Result<(), Exceeded> {
    let sum = sum.saturating_add(added);
    if sum > bound.get() && added > 0 {
        let found = format!("{sum} of {meter} within 24 hours");
        return Err(Exceeded { tag, found, allowed: bound });
    }
    let is_near = sum.saturating_mul(NEAR.1) >= bound.get().saturating_mul(NEAR.0);
    if is_near && !near.iter().any(|named| named == meter) {
        near.push(meter.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
