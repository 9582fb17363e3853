//! What is in force: the policy, the orders, and whether this boot was activated. Whoever signs
//! holds it for reading from the last check to the log entry; whoever restricts takes it for
//! writing. So nothing is signed any more once an order's answer leaves.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use attestation::DocumentHash;
use chains::{BitcoinNetwork, Chain, Rules, Spends};
use protocol::{
    Deployment, KeyId, KeyPath, OrderId, PolicyRef,
    dsse::{self, Envelope},
    measured::{Activation, Operators},
    order::{Order, OrderSet},
    policy::{ActivationStatement, Policy, RuleSet},
};
use wire::{Refusal, RefusalCode, State};

use crate::refusal::{of_order, of_policy, refused_order};

/// What decides, and what it was told so far.
pub(crate) struct Authority {
    deployment: Deployment,
    operators: Operators,
    /// The boot that operators have to name, where their activation is asked for.
    boot: DocumentHash,
    /// The network whose Bitcoin addresses a policy may name.
    bitcoin: BitcoinNetwork,
    in_force: RwLock<InForce>,
}

/// What is in force at one moment.
pub(crate) struct InForce {
    policy: Option<Arc<Policy>>,
    orders: OrderSet,
    /// The lowest version of a policy that this boot may sign under, once it may at all.
    activated: Option<u64>,
}

/// How an order reaches this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Somebody submits it: it must restrict something.
    Submitted,
    /// An earlier boot took it, and the parent shows it again: the policy may have lifted it since.
    Replayed,
}

/// What an order changed.
pub(crate) struct Applied {
    /// Its id.
    pub(crate) id: OrderId,
    /// Whether it was not there before.
    pub(crate) new: bool,
}

impl Authority {
    /// Before there is a policy.
    pub(crate) fn new(
        deployment: Deployment,
        operators: Operators,
        activation: Activation,
        boot: DocumentHash,
        bitcoin: BitcoinNetwork,
    ) -> Self {
        let activated = (activation == Activation::Policy).then_some(0);
        let in_force = InForce { policy: None, orders: OrderSet::default(), activated };
        Self { deployment, operators, boot, bitcoin, in_force: RwLock::new(in_force) }
    }

    /// What is in force, for as long as it is held.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, InForce> {
        // A panic while it was written leaves what was there, or what is stricter.
        self.in_force.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The policy, if it is in force now.
    pub(crate) fn policy(&self, now: u64) -> Result<Arc<Policy>, Refusal> {
        self.read().policy(now).cloned()
    }

    /// Takes a policy: signed by the operators' threshold, for this deployment, valid now, and of a
    /// higher version than the one before. Says whether anything changed; if so, after `commit`,
    /// during which nobody signs.
    pub(crate) fn put_policy(
        &self,
        envelope: &[u8],
        now: u64,
        commit: impl FnOnce(&PolicyRef),
    ) -> Result<(PolicyRef, bool), Refusal> {
        let refuse = |tag: &str, text: String| Refusal::new(RefusalCode::PolicyRefused, text).tagged(tag);
        let envelope = Envelope::parse(envelope, dsse::POLICY_TYPE).map_err(of_policy)?;
        let payload = envelope.verify(&self.operators.policy).map_err(of_policy)?;
        let policy = Policy::parse(&payload).map_err(|error| refuse(error.tag(), error.to_string()))?;
        if *policy.deployment() != self.deployment {
            let (expected, found) = (&self.deployment, policy.deployment());
            let text = format!("a policy of the deployment {expected} was expected, found one of {found}");
            return Err(refuse("policy.deployment", text));
        }
        let operators = self.operators.policy.keys.iter().chain(&self.operators.freeze.keys);
        if policy.names_operator(operators) {
            let text = "an operator's key must not be a client's key";
            return Err(refuse("policy.client_key", text.into()));
        }
        let elsewhere = |rules: &RuleSet| matches!(rules.of(Chain::Bitcoin), Some(Rules::Bitcoin(rules)) if !rules.are_for(self.bitcoin));
        if policy.rules().iter().any(elsewhere) {
            let text = "Bitcoin destinations on the network of the measured configuration were expected";
            return Err(refuse("policy.bitcoin.network", text.into()));
        }
        policy.is_valid_at(now).map_err(|error| refuse(error.tag(), error.to_string()))?;
        let reference = policy.reference();
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = in_force.policy.as_ref().map(|policy| policy.reference()) {
            if before == reference {
                return Ok((reference, false));
            }
            if before.version >= reference.version {
                let expected = format!("a policy of a version above {}", before.version);
                let found = format!("version {}", reference.version);
                let text = format!("{expected} was expected, found {found}");
                return Err(refuse("policy.version", text).wrong(expected, found));
            }
        }
        in_force.policy = Some(Arc::new(policy));
        commit(&reference);
        Ok((reference, true))
    }

    /// Takes the operators' word that this boot may sign.
    pub(crate) fn activate(&self, envelope: &[u8]) -> Result<(), Refusal> {
        let refuse = |tag: &str, text: String| Refusal::new(RefusalCode::PolicyRefused, text).tagged(tag);
        let envelope = Envelope::parse(envelope, dsse::ACTIVATION_TYPE).map_err(of_policy)?;
        let payload = envelope.verify(&self.operators.policy).map_err(of_policy)?;
        let statement =
            ActivationStatement::parse(&payload).map_err(|error| refuse(error.tag(), error.to_string()))?;
        if statement.deployment != self.deployment || statement.boot != self.boot {
            return Err(refuse("activation.boot", "the activation of this boot was expected".into()));
        }
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        // Another statement for the same boot can only ask for more.
        in_force.activated = in_force.activated.max(Some(statement.policy_version.unwrap_or_default()));
        Ok(())
    }

    /// Takes an order that the threshold of those who may freeze signed; `expect` looks at it
    /// before it takes effect. During `commit`, which hears whether it is new and under which
    /// policy, nobody signs and nobody is refused by it: its entry comes first.
    pub(crate) fn order(
        &self,
        envelope: &[u8],
        origin: Origin,
        expect: impl FnOnce(&Order) -> Result<(), Refusal>,
        commit: impl FnOnce(&Order, bool, Option<PolicyRef>),
    ) -> Result<Applied, Refusal> {
        let envelope = Envelope::parse(envelope, dsse::ORDER_TYPE).map_err(of_order)?;
        let payload = envelope.verify(&self.operators.freeze).map_err(of_order)?;
        let order = Order::parse(&payload).map_err(|error| refused_order(error.tag(), error.to_string()))?;
        if *order.deployment() != self.deployment {
            return Err({
                let (expected, found) = (&self.deployment, order.deployment());
                refused_order(
                    "order.deployment",
                    format!("an order of the deployment {expected} was expected, found one of {found}"),
                )
            });
        }
        expect(&order)?;
        let id = order.id();
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let policy = in_force.policy.clone();
        let lifted = |order: &OrderId| policy.as_ref().is_some_and(|policy| policy.lifts(order));
        if origin == Origin::Submitted && lifted(&id) {
            let text = "the policy lifts this order: sign a new one";
            return Err(Refusal { order: Some(id), ..refused_order("order.lifted", text) });
        }
        let taken = match origin {
            Origin::Submitted => in_force.orders.apply(order.clone(), lifted),
            Origin::Replayed => in_force.orders.replay(order.clone(), lifted),
        };
        let new = taken.map_err(|error| refused_order(error.tag(), error.to_string()))?;
        commit(&order, new, in_force.reference());
        Ok(Applied { id, new })
    }

    /// What is in force, for those who ask.
    pub(crate) fn state(&self, now: u64) -> State {
        let in_force = self.read();
        let policy = in_force.policy.as_deref();
        State {
            policy: policy.map(Policy::reference),
            active: in_force.policy(now).is_ok(),
            crediting: Chain::ALL.into_iter().map(|chain| (chain, in_force.credits(chain, now))).collect(),
            orders: in_force.order_ids().collect(),
        }
    }
}

impl InForce {
    /// The policy, if it is in force now.
    pub(crate) fn policy(&self, now: u64) -> Result<&Arc<Policy>, Refusal> {
        let refuse = |tag: &str, text: String| Refusal::new(RefusalCode::PolicyInactive, text).tagged(tag);
        let policy = self
            .policy
            .as_ref()
            .ok_or_else(|| refuse("policy.none", "there is no policy yet: operators must put one".into()))?;
        policy.is_valid_at(now).map_err(|error| refuse(error.tag(), error.to_string()))?;
        if self.activated.is_some_and(|least| policy.reference().version >= least) {
            Ok(policy)
        } else {
            let text =
                format!("this boot is not activated for policy version {}", policy.reference().version);
            Err(refuse("policy.activation", text))
        }
    }

    /// Its version and hash, whether it is in force or not.
    pub(crate) fn reference(&self) -> Option<PolicyRef> {
        self.policy.as_deref().map(Policy::reference)
    }

    /// Whether an order, or the policy itself, forbids to sign with a key.
    pub(crate) fn usable(&self, path: &KeyPath, key: &KeyId) -> Result<(), Refusal> {
        let frozen = |order: Option<&OrderId>| {
            let text = "the key is frozen";
            let refusal = Refusal::new(RefusalCode::Frozen, text);
            Err(Refusal { order: order.copied(), ..refusal })
        };
        let lifted = |order: &OrderId| self.lifts(order);
        if let Some(order) = self.orders.frozen(path, key, lifted) {
            return frozen(Some(order));
        }
        if self.policy.as_ref().is_some_and(|policy| policy.freezes(path, key)) {
            return frozen(None);
        }
        match self.orders.retired(key, lifted) {
            // All that a sweep key can do is to bring late deposits home.
            Some((order, _)) if path.purpose != protocol::Purpose::Sweep => {
                let text = "the key is retired: use the one that replaces it";
                let refusal = Refusal::new(RefusalCode::Frozen, text).tagged("order.retired");
                Err(Refusal { order: Some(*order), ..refusal })
            }
            _ => Ok(()),
        }
    }

    /// Whether operators ordered that something of a key's be made void.
    pub(crate) fn has_void(&self, key: &KeyId) -> bool {
        self.orders.has_void(key, |order| self.lifts(order))
    }

    /// The order by which a key may sign a transaction that moves nothing and spends this.
    pub(crate) fn void(&self, key: &KeyId, spends: &Spends) -> Option<OrderId> {
        self.orders.void(key, spends, |order| self.lifts(order)).copied()
    }

    /// Whether an order was given and the policy does not lift it.
    pub(crate) fn has_order(&self, order: &OrderId) -> bool {
        self.orders.has(order) && !self.lifts(order)
    }

    fn lifts(&self, order: &OrderId) -> bool {
        self.policy.as_ref().is_some_and(|policy| policy.lifts(order))
    }

    /// Whether deposits on a chain are to be credited.
    fn credits(&self, chain: Chain, now: u64) -> bool {
        self.policy(now).is_ok_and(|policy| policy.credits(chain))
            && self.orders.crediting_paused(chain, |order| self.lifts(order)).is_none()
    }

    /// The orders that the policy does not lift.
    fn order_ids(&self) -> impl Iterator<Item = OrderId> {
        self.orders.ids().filter(|order| !self.lifts(order))
    }
}
