//! The orders that were given. They are only ever added; which of them the policy lifts is asked
//! every time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chains::{Chain, Spends};

use super::{Order, OrderId, Replacement, Restriction};
use crate::{KeyId, KeyPath, UserRef};

/// The most orders: each is signed by operators, so nobody else comes near it.
pub const MAX_ORDERS: usize = 4096;

/// One order more than there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {MAX_ORDERS} orders were expected: freeze everything")]
pub struct TooManyOrders;

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
    all: BTreeSet<OrderId>,
    chains: BTreeMap<Chain, BTreeSet<OrderId>>,
    users: HashMap<UserRef, BTreeSet<OrderId>>,
    keys: HashMap<KeyId, BTreeSet<OrderId>>,
    paused: BTreeMap<Option<Chain>, BTreeSet<OrderId>>,
    retired: HashMap<KeyId, BTreeMap<OrderId, Option<Replacement>>>,
    voids: HashMap<KeyId, BTreeMap<OrderId, Spends>>,
}

impl OrderSet {
    /// Adds an order. Says whether it was not there before. Everything can be frozen even when
    /// there is room for nothing else.
    ///
    /// # Errors
    /// [`TooManyOrders`]
    pub fn apply(&mut self, order: Order, lifted: impl Fn(&OrderId) -> bool) -> Result<bool, TooManyOrders> {
        let id = order.id();
        let everything = order.restriction == Restriction::FreezeAll && self.all.iter().all(lifted);
        if self.ids.contains(&id) {
            return Ok(false);
        }
        if self.ids.len() >= MAX_ORDERS && !everything {
            return Err(TooManyOrders);
        }
        self.ids.insert(id);
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
    ) -> Option<(&OrderId, Option<&Replacement>)> {
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

    /// All orders, lifted or not.
    pub fn ids(&self) -> impl Iterator<Item = OrderId> {
        self.ids.iter().copied()
    }
}
