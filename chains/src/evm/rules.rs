//! What the policy allows on each EVM network: destinations, assets, velocity, fees. What is not
//! listed is denied.

use serde::{Deserialize, Serialize};

use super::{Sweep, address::EvmAddress, transaction::MAX_CHAIN_ID};
use crate::{
    Amount, Check, Confirmations, Count, Distinct, Entry, FeeCap, Meter, Native, RulesError, Token,
    assets::Assets, limits::at_most, sweep::void,
};

/// The highest nonce unless the rules say another: a deposit key's begin at 0, and only the enclave uses
/// them.
pub const DEFAULT_MAX_NONCE: u64 = 1_000;
/// The greatest that rules may say, 2^53 - 1: many programs that read JSON lose digits of greater numbers,
/// and a policy is edited by such programs.
const MOST_NONCES: u64 = (1 << 53) - 1;

/// The rules of every network, each chain id once. Reading them checks them; there is no other way to make
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct EvmRules {
    networks: Distinct<Network>,
}

/// The rules of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// EIP-155's chain id: 1 for Ethereum's main network.
    pub chain_id: u64,
    /// The accounts that may be paid; with none, nothing moves.
    pub destinations: Distinct<EvmAddress>,
    /// How much of the network's coin may leave, in wei. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// The ERC-20 tokens that may be moved.
    pub tokens: Distinct<Token<EvmAddress>>,
    /// Gas limit × greatest price, in wei.
    pub fee: FeeCap,
    /// The most that a unit of gas may cost, in wei. Absent: what `fee` allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fee_per_gas: Option<Amount>,
    /// The most that a unit of gas may pay above the base fee, in wei. For type 0 that is all of it.
    /// Absent: all that it costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_priority_fee_per_gas: Option<Amount>,
    /// The highest nonce that is signed, at most 2^53 - 1. Absent: [`DEFAULT_MAX_NONCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_nonce: Option<u64>,
    /// How many blocks make a deposit final.
    pub confirmations: Confirmations,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    networks: Distinct<Network>,
}

impl TryFrom<Unchecked> for EvmRules {
    type Error = RulesError;

    fn try_from(Unchecked { networks }: Unchecked) -> Result<Self, RulesError> {
        networks.iter().try_for_each(Network::validate)?;
        Ok(Self { networks })
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "evm:{}", self.chain_id)
    }
}

impl Entry for Network {
    const LIST: &'static str = "networks";
    type Key = u64;

    fn key(&self) -> u64 {
        self.chain_id
    }
}

impl Network {
    fn validate(&self) -> Result<(), RulesError> {
        if !(1..=MAX_CHAIN_ID).contains(&self.chain_id) {
            let expected = format!("a number from 1 to {MAX_CHAIN_ID}");
            return Err(RulesError::new("chain_id", expected, self.chain_id));
        }
        if let Some(last) = self.max_nonce.filter(|last| *last > MOST_NONCES) {
            return Err(RulesError::new("max_nonce", format!("at most {MOST_NONCES}"), last));
        }
        self.assets().check_destinations(&self.destinations, EvmAddress::ZERO)
    }

    const fn assets(&self) -> Assets<'_, EvmAddress> {
        Assets { native: self.native.as_ref(), tokens: &self.tokens }
    }

    /// What bounds the coins that a transaction burns, whatever it moves.
    fn check_gas(&self, sweep: &Sweep) -> Vec<Check> {
        let transaction = sweep.transaction();
        let (nonce, last) = (transaction.nonce(), self.max_nonce.unwrap_or(DEFAULT_MAX_NONCE));
        let prices = [
            ("policy.evm.max_fee_per_gas", self.max_fee_per_gas, transaction.max_fee_per_gas()),
            (
                "policy.evm.max_priority_fee_per_gas",
                self.max_priority_fee_per_gas,
                transaction.max_priority_fee_per_gas(),
            ),
        ];
        let prices =
            prices.into_iter().filter_map(|(tag, most, found)| Some(at_most(tag, most?, found, "wei")));
        let allowed = format!("a nonce of at most {last}");
        let fee = at_most("policy.evm.fee", self.fee.per_transaction, sweep.fee(), "wei");
        let nonce = Check::new("policy.evm.max_nonce", nonce <= last, allowed, nonce.to_string());
        [fee].into_iter().chain(prices).chain([nonce]).collect()
    }
}

impl EvmRules {
    /// The networks, in the policy's order.
    pub fn networks(&self) -> &[Network] {
        &self.networks
    }

    /// The rules of one network.
    pub fn network(&self, chain_id: u64) -> Option<&Network> {
        self.networks.iter().find(|network| network.chain_id == chain_id)
    }

    /// Every rule that needs no memory, in this order: `policy.evm.network`, `.asset`,
    /// `.destination`, `.min_amount`, for coins `.max_fee_permille`, `.fee`, `.max_fee_per_gas`,
    /// `.max_priority_fee_per_gas`, `.max_nonce`. The first that does not hold is the denial.
    /// A network that is not listed has no further rules. A transaction that only uses up its nonce
    /// is denied (`policy.void`). `now` is in milliseconds since 1970; an EVM transaction has no time.
    pub fn check(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        let (listed, network) = self.listed(sweep);
        let Some(network) = network else { return vec![listed] };
        if sweep.is_void() {
            return vec![listed, void(sweep.summary().kind)];
        }
        let (asset, destination) = (sweep.asset(), sweep.destination());
        let mut checks = vec![
            listed,
            network.assets().check_listed("policy.evm.asset", asset),
            Check::new(
                "policy.evm.destination",
                network.destinations.contains(&destination),
                network.destinations.listed(),
                destination.to_string(),
            ),
        ];
        let tags = ("policy.evm.min_amount", "policy.evm.max_fee_permille");
        checks.extend(network.assets().check_amount(tags, asset, (sweep.amount(), sweep.fee()), "wei"));
        checks.extend(network.check_gas(sweep));
        checks
    }

    /// The rules for a transaction that only uses up its nonce, which an order allows: its network,
    /// and what bounds its fee.
    pub fn check_void(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        let (listed, network) = self.listed(sweep);
        let gas = network.map(|network| network.check_gas(sweep));
        [listed].into_iter().chain(gas.into_iter().flatten()).collect()
    }

    fn listed(&self, sweep: &Sweep) -> (Check, Option<&Network>) {
        let chain = sweep.transaction().chain_id();
        let network = self.network(chain);
        let (allowed, found) = (self.networks.listed(), format!("evm:{chain}"));
        (Check::new("policy.evm.network", network.is_some(), allowed, found), network)
    }

    /// What the sweep adds to the running counts, under its account's nonce: of the asset, and of fees.
    /// What [`Self::check`] denies for its network or its asset has no count, so check first.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        let chain = sweep.transaction().chain_id();
        let asset = sweep.asset();
        let Some(network) = self.network(chain) else { return Vec::new() };
        let Some(velocity) = network.assets().velocity(asset).filter(|_| !sweep.is_void()) else {
            return Vec::new();
        };
        let counts = |amount| vec![Count { key: 0, amount, anchors: vec![sweep.anchor()] }];
        vec![
            Meter::of_asset(
                format!("evm:{chain}/{asset}"),
                "policy.evm.velocity",
                counts(sweep.amount()),
                velocity,
            ),
            Meter::of_fee(format!("evm:{chain}/fee"), "policy.evm.fee", counts(sweep.fee()), network.fee),
        ]
    }
}
