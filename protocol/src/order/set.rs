//! The orders that were given. They are only ever added; which of them the policy lifts is asked
//! every time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chains::{Chain, Spends};

use super::{Order, OrderId, Restriction};
use crate::{KeyId, KeyPath, NewKey, UserRef, policy::MAX_ENTRIES};

/// The most freezes and pauses in force. Each is signed by operators, so nobody else comes near it.
pub const MAX_ORDERS: usize = 4096;
/// The most retirements and voids in force. They have a room of their own: each retirement stays in
/// force for as long as its key must not be given out, there is a void for each signature that is out,
/// and the last of them must not stand in the way of a freeze.
pub const MAX_RETIREMENTS: usize = 8192;
/// The most orders of all kinds, lifted ones included: what was in force within the rooms above, and
/// as many as one policy lifts. So whatever a boot took, the next one takes again, under whichever
/// policy. Their ids fit one answer.
pub const MAX_HELD: usize = MAX_ORDERS + MAX_RETIREMENTS + MAX_ENTRIES;

/// One order more than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyOrders {
    /// Freezes and pauses.
    #[error(
        "the room for freezes and pauses is used up, {MAX_ORDERS} are in force: lift some in a new policy, or \
         freeze everything, which is still taken"
    )]
    Restrictions,
    /// Retirements and voids.
    #[error(
        "the room for retirements and voids is used up, {MAX_RETIREMENTS} are in force: lift some in a new policy, or \
         freeze the key"
    )]
    Retirements,
    /// All kinds together.
    #[error(
        "the room for orders is used up, {MAX_HELD} are held, lifted ones included: only freeze_all is still \
         taken"
    )]
    Held,
}

impl TooManyOrders {
    /// The stable tag.
    pub const fn tag(self) -> &'static str {
        "order.too_many"
    }
}

/// All orders, by what they restrict.
#[derive(Debug, Default)]
pub struct OrderSet {
    ids: BTreeSet<OrderId>,
    /// How many of them retire a key, or void what it signed.
    retirements: usize,
    all: BTreeSet<OrderId>,
    chains: BTreeMap<Chain, BTreeSet<OrderId>>,
    users: HashMap<UserRef, BTreeSet<OrderId>>,
    keys: HashMap<KeyId, BTreeSet<OrderId>>,
    paused: BTreeMap<Option<Chain>, BTreeSet<OrderId>>,
    retired: HashMap<KeyId, BTreeMap<OrderId, Option<NewKey>>>,
    voids: HashMap<KeyId, BTreeMap<OrderId, Spends>>,
}

impl OrderSet {
    /// Adds an order that is given now. Says whether it was not there before. What the policy lifts
    /// takes no room. Everything can be frozen even when there is room for nothing else.
    ///
    /// # Errors
    /// [`TooManyOrders`]
    pub fn apply(&mut self, order: Order, lifted: impl Fn(&OrderId) -> bool) -> Result<bool, TooManyOrders> {
        if !self.ids.contains(&order.id()) && !self.freezes_everything_anew(&order, &lifted) {
            if !order.restriction.stops() {
                let voids = self.voids.values().flat_map(BTreeMap::keys);
                let retirements = self.retired.values().flat_map(BTreeMap::keys).chain(voids);
                if are_full(self.retirements, MAX_RETIREMENTS, retirements, &lifted) {
                    return Err(TooManyOrders::Retirements);
                }
            } else {
                let held = self.ids.len().saturating_sub(self.retirements);
                if are_full(held, MAX_ORDERS, self.restrictions(), &lifted) {
                    return Err(TooManyOrders::Restrictions);
                }
            }
        }
        self.replay(order, lifted)
    }

    /// Adds an order that an earlier boot took. What counted as lifted then may not now, where no policy
    /// came yet or an older one: all that one boot can hold is taken.
    ///
    /// # Errors
    /// [`TooManyOrders::Held`]
    pub fn replay(&mut self, order: Order, lifted: impl Fn(&OrderId) -> bool) -> Result<bool, TooManyOrders> {
        let id = order.id();
        if self.ids.contains(&id) {
            return Ok(false);
        }
        if self.ids.len() >= MAX_HELD && !self.freezes_everything_anew(&order, lifted) {
            return Err(TooManyOrders::Held);
        }
        self.ids.insert(id);
        if !order.restriction.stops() {
            self.retirements = self.retirements.saturating_add(1);
        }
        match order.restriction {
            Restriction::FreezeAll => self.all.insert(id),
            Restriction::FreezeChain { chain } => self.chains.entry(chain).or_default().insert(id),
            Restriction::FreezeUser { user } => self.users.entry(user).or_default().insert(id),
            Restriction::FreezeKey { key_id } => self.keys.entry(key_id).or_default().insert(id),
            Restriction::PauseCrediting { chain } => self.paused.entry(chain).or_default().insert(id),
            Restriction::RetireKey { key_id, replacement } => {
                self.retired.entry(key_id).or_default().insert(id, replacement).is_none()
            }
            Restriction::Void { key_id, spends } => {
                self.voids.entry(key_id).or_default().insert(id, spends).is_none()
            }
        };
        Ok(true)
    }

    fn freezes_everything_anew(&self, order: &Order, lifted: impl Fn(&OrderId) -> bool) -> bool {
        order.restriction == Restriction::FreezeAll && self.all.iter().all(lifted)
    }

    /// All but retirements and voids.
    fn restrictions(&self) -> impl Iterator<Item = &OrderId> {
        let (chains, users) = (self.chains.values(), self.users.values());
        let sets = chains.chain(users).chain(self.keys.values()).chain(self.paused.values());
        sets.flatten().chain(&self.all)
    }

    /// An order by which nothing is signed with a key.
    pub fn frozen(
        &self,
        path: &KeyPath,
        key_id: &KeyId,
        lifted: impl Fn(&OrderId) -> bool,
    ) -> Option<&OrderId> {
        let sets = [
            Some(&self.all),
            self.chains.get(&path.chain),
            self.users.get(&path.user),
            self.keys.get(key_id),
        ];
        sets.into_iter().flatten().flatten().find(|id| !lifted(id))
    }

    /// An order by which a key is retired, and what replaces it.
    pub fn retired(
        &self,
        key_id: &KeyId,
        lifted: impl Fn(&OrderId) -> bool,
    ) -> Option<(&OrderId, Option<&NewKey>)> {
        let orders = self.retired.get(key_id)?;
        orders.iter().find(|(id, _)| !lifted(id)).map(|(id, replacement)| (id, replacement.as_ref()))
    }

    /// Whether an order says of a key that something of its is to be made void.
    pub fn has_void(&self, key_id: &KeyId, lifted: impl Fn(&OrderId) -> bool) -> bool {
        self.voids.get(key_id).is_some_and(|orders| orders.keys().any(|id| !lifted(id)))
    }

    /// An order by which a key may sign a transaction that moves nothing and spends this.
    pub fn void(
        &self,
        key_id: &KeyId,
        spends: &Spends,
        lifted: impl Fn(&OrderId) -> bool,
    ) -> Option<&OrderId> {
        let orders = self.voids.get(key_id)?;
        orders.iter().find(|(id, named)| !lifted(id) && named.covers(spends)).map(|(id, _)| id)
    }

    /// An order by which deposits on a chain are not to be credited.
    pub fn crediting_paused(&self, chain: Chain, lifted: impl Fn(&OrderId) -> bool) -> Option<&OrderId> {
        let sets = [self.paused.get(&None), self.paused.get(&Some(chain))];
        sets.into_iter().flatten().flatten().find(|id| !lifted(id))
    }

    /// Whether an order is among them, lifted or not.
    pub fn has(&self, order: &OrderId) -> bool {
        self.ids.contains(order)
    }

    /// All orders, lifted or not.
    pub fn ids(&self) -> impl Iterator<Item = OrderId> {
        self.ids.iter().copied()
    }
}

/// Whether so many of the orders that are held are in force. Counted only where it can be so.
fn are_full<'o>(
    held: usize,
    most: usize,
    orders: impl Iterator<Item = &'o OrderId>,
    lifted: impl Fn(&OrderId) -> bool,
) -> bool {
    held >= most && orders.filter(|order| !lifted(order)).count() >= most
}
