//! What the policy allows on each EVM network: destinations, assets, velocity, fees. What is not
//! listed is denied.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Asset, Sweep, address::Address, transaction::MAX_CHAIN_ID};
use crate::{Amount, Check, Count, FeeCap, Meter, Native, Velocity, limits::at_least, sweep::void};

/// How many networks there may be, and destinations and tokens of each.
const MOST: usize = 256;
/// The longest symbol.
const MAX_SYMBOL: usize = 32;
/// The highest nonce unless the rules say another: a deposit key's begin at 0, and only the enclave uses
/// them.
pub const DEFAULT_MAX_NONCE: u64 = 1_000;
/// The greatest that rules may say, 2^53 - 1: many programs that read JSON lose digits of greater numbers,
/// and a policy is edited by such programs.
const MOST_NONCES: u64 = (1 << 53) - 1;
/// How many entries of a list a denial prints.
const PRINTED: usize = 8;

/// The rules of every network. Reading them checks them; there is no other way to make them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Rules {
    networks: Vec<Network>,
}

/// The rules of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// EIP-155's chain id: 1 for Ethereum's main network.
    pub chain_id: u64,
    /// The accounts that may be paid; with none, nothing moves.
    pub destinations: Vec<Address>,
    /// How much of the network's coin may leave, in wei. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native: Option<Native>,
    /// The ERC-20 tokens that may be moved.
    pub tokens: Vec<Token>,
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
    pub confirmations: u32,
}

/// An ERC-20 token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its contract.
    pub contract: Address,
    /// Its name for people: 1 to 32 visible ASCII characters. Nothing depends on it.
    pub symbol: String,
    /// The least that a transaction moves, in the token's base unit. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// How much may leave, in the token's base unit.
    pub velocity: Velocity,
}

/// Why rules are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too long a list.
    #[error("at most {MOST} {0} were expected, found {1}")]
    TooMany(&'static str, usize),
    /// Two entries of a list are the same.
    #[error("every one of the {0} once was expected, found twice: {1}")]
    Duplicate(&'static str, String),
    /// No network has this chain id.
    #[error("a chain id from 1 to {MAX_CHAIN_ID} was expected, found {0}")]
    ChainId(u64),
    /// A destination would burn what it is paid.
    #[error("evm:{0}: a destination was expected, found {1}, {2}")]
    Destination(u64, Address, &'static str),
    /// The zero address is no contract.
    #[error("evm:{0}: a token's contract was expected, found the zero address")]
    Contract(u64),
    /// A symbol that cannot be shown as it is.
    #[error("evm:{0}: a symbol of 1 to {MAX_SYMBOL} visible ASCII characters was expected for {1}")]
    Symbol(u64, Address),
    /// A number that does not survive every reader.
    #[error("evm:{0}: a max_nonce of at most {MOST_NONCES} was expected, found {1}")]
    MaxNonce(u64, u64),
    /// A deposit that is credited before it is in a block can be taken back.
    #[error("evm:{0}: at least one confirmation was expected")]
    Confirmations(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    networks: Vec<Network>,
}

impl TryFrom<Unchecked> for Rules {
    type Error = RulesError;

    fn try_from(Unchecked { networks }: Unchecked) -> Result<Self, RulesError> {
        distinct("networks", networks.iter().map(|network| network.chain_id))?;
        networks.iter().try_for_each(Network::check)?;
        Ok(Self { networks })
    }
}

impl Network {
    fn check(&self) -> Result<(), RulesError> {
        let chain = self.chain_id;
        if !(1..=MAX_CHAIN_ID).contains(&chain) {
            return Err(RulesError::ChainId(chain));
        }
        distinct("destinations", self.destinations.iter().copied())?;
        distinct("tokens", self.tokens.iter().map(|token| token.contract))?;
        for destination in &self.destinations {
            if *destination == Address::ZERO {
                return Err(RulesError::Destination(chain, *destination, "whose key nobody holds"));
            }
            if self.token(*destination).is_some() {
                return Err(RulesError::Destination(chain, *destination, "the contract of a token"));
            }
        }
        for Token { contract, symbol, .. } in &self.tokens {
            if *contract == Address::ZERO {
                return Err(RulesError::Contract(chain));
            }
            let visible = symbol.bytes().all(|byte| byte.is_ascii_graphic());
            if !visible || !(1..=MAX_SYMBOL).contains(&symbol.len()) {
                return Err(RulesError::Symbol(chain, *contract));
            }
        }
        if let Some(last) = self.max_nonce.filter(|last| *last > MOST_NONCES) {
            return Err(RulesError::MaxNonce(chain, last));
        }
        if self.confirmations == 0 { Err(RulesError::Confirmations(chain)) } else { Ok(()) }
    }

    fn token(&self, contract: Address) -> Option<&Token> {
        self.tokens.iter().find(|token| token.contract == contract)
    }

    fn velocity(&self, asset: Asset) -> Option<Velocity> {
        match asset {
            Asset::Native => self.native.as_ref().map(Native::velocity),
            Asset::Token(contract) => self.token(contract).map(|token| token.velocity),
        }
    }

    /// That enough is moved, and of coins that the fee is no greater share of it than allowed. An
    /// asset that is not listed has neither bound.
    fn check_amount(&self, sweep: &Sweep) -> Vec<Check> {
        let (amount, fee) = (sweep.amount(), sweep.fee());
        match sweep.asset() {
            Asset::Native => self.native.as_ref().map_or_else(Vec::new, |native| {
                native
                    .check(("policy.evm.min_amount", "policy.evm.max_fee_permille"), amount, fee, "wei")
                    .into()
            }),
            Asset::Token(contract) => self.token(contract).map_or_else(Vec::new, |token| {
                vec![at_least("policy.evm.min_amount", token.min_amount, amount, "units")]
            }),
        }
    }

    /// What bounds the coins that a transaction burns, whatever it moves.
    fn check_gas(&self, sweep: &Sweep) -> Vec<Check> {
        let at_most = |tag, most: Amount, found: Amount| {
            Check::new(tag, found <= most, format!("at most {most} wei"), format!("up to {found} wei"))
        };
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
        let prices = prices.into_iter().filter_map(|(tag, most, found)| Some(at_most(tag, most?, found)));
        let allowed = format!("a nonce of at most {last}");
        let fee = at_most("policy.evm.fee", self.fee.per_transaction, sweep.fee());
        let nonce = Check::new("policy.evm.max_nonce", nonce <= last, allowed, nonce.to_string());
        [fee].into_iter().chain(prices).chain([nonce]).collect()
    }

    fn assets(&self) -> impl Iterator<Item = String> {
        let native = self.native.as_ref().map(|_| Asset::Native.to_string());
        let tokens = self.tokens.iter().map(|token| format!("{} ({})", token.contract, token.symbol));
        native.into_iter().chain(tokens)
    }
}

impl Rules {
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
            Check::new(
                "policy.evm.asset",
                network.velocity(asset).is_some(),
                some_of(network.assets()),
                asset.to_string(),
            ),
            Check::new(
                "policy.evm.destination",
                network.destinations.contains(&destination),
                some_of(network.destinations.iter().map(Address::to_string)),
                destination.to_string(),
            ),
        ];
        checks.extend(network.check_amount(sweep));
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
        let allowed = some_of(self.networks.iter().map(|network| format!("evm:{}", network.chain_id)));
        (Check::new("policy.evm.network", network.is_some(), allowed, format!("evm:{chain}")), network)
    }

    /// What the sweep adds to the running counts, under its account's nonce: of the asset, and of fees.
    /// What [`Self::check`] denies for its network or its asset has no count, so check first.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        let chain = sweep.transaction().chain_id();
        let asset = sweep.asset();
        let Some(network) = self.network(chain) else { return Vec::new() };
        let Some(velocity) = network.velocity(asset).filter(|_| !sweep.is_void()) else {
            return Vec::new();
        };
        let counts = |amount| vec![Count { key: 0, amount, anchors: vec![sweep.anchor()] }];
        vec![
            Meter {
                name: format!("evm:{chain}/{asset}"),
                tag: "policy.evm.velocity",
                counts: counts(sweep.amount()),
                per_key_per_day: Some(velocity.per_key_per_day),
                per_day: velocity.per_day,
            },
            Meter {
                name: format!("evm:{chain}/fee"),
                tag: "policy.evm.fee",
                counts: counts(sweep.fee()),
                per_key_per_day: None,
                per_day: network.fee.per_day,
            },
        ]
    }
}

/// At most so many, none of them twice.
fn distinct<T: std::hash::Hash + Eq + Copy + std::fmt::Display>(
    what: &'static str,
    entries: impl ExactSizeIterator<Item = T>,
) -> Result<(), RulesError> {
    if entries.len() > MOST {
        return Err(RulesError::TooMany(what, entries.len()));
    }
    let mut seen = HashSet::new();
    for entry in entries {
        if !seen.insert(entry) {
            return Err(RulesError::Duplicate(what, entry.to_string()));
        }
    }
    Ok(())
}

/// The first few entries of a list, for a denial.
fn some_of(entries: impl Iterator<Item = String>) -> String {
    let mut entries = entries.fuse();
    let first: Vec<String> = entries.by_ref().take(PRINTED).collect();
    match (first.as_slice(), entries.count()) {
        ([], _) => "none".to_owned(),
        (first, 0) => first.join(", "),
        (first, more) => format!("{} and {more} more", first.join(", ")),
    }
}
