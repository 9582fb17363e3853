//! What the policy allows on each EVM network: destinations, assets, velocity, fees. What is not
//! listed is denied.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::{Asset, Sweep, address::Address, transaction::MAX_CHAIN_ID};
use crate::{Check, FeeCap, Meter, Velocity};

/// How many networks there may be, and destinations and tokens of each.
const MOST: usize = 256;
/// The longest symbol.
const MAX_SYMBOL: usize = 32;
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
    pub native: Option<Velocity>,
    /// The ERC-20 tokens that may be moved.
    pub tokens: Vec<Token>,
    /// Gas limit × greatest price, in wei.
    pub fee: FeeCap,
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
        if self.confirmations == 0 { Err(RulesError::Confirmations(chain)) } else { Ok(()) }
    }

    fn token(&self, contract: Address) -> Option<&Token> {
        self.tokens.iter().find(|token| token.contract == contract)
    }

    fn velocity(&self, asset: Asset) -> Option<&Velocity> {
        match asset {
            Asset::Native => self.native.as_ref(),
            Asset::Token(contract) => self.token(contract).map(|token| &token.velocity),
        }
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

    /// Every rule that needs no memory, in this order: `policy.evm.network`, `policy.evm.asset`,
    /// `policy.evm.destination`, `policy.evm.fee`. The first that does not hold is the denial.
    /// A network that is not listed has no further rules. `now` is in milliseconds since 1970;
    /// an EVM transaction has no time.
    pub fn check(&self, sweep: &Sweep, _now: u64) -> Vec<Check> {
        let chain = sweep.transaction().chain_id();
        let network = self.network(chain);
        let listed = Check::new(
            "policy.evm.network",
            network.is_some(),
            some_of(self.networks.iter().map(|network| format!("evm:{}", network.chain_id))),
            format!("evm:{chain}"),
        );
        let Some(network) = network else { return vec![listed] };
        let (asset, destination, fee) = (sweep.asset(), sweep.destination(), sweep.fee());
        let most = network.fee.per_transaction;
        vec![
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
            Check::new(
                "policy.evm.fee",
                fee <= most,
                format!("at most {most} wei"),
                format!("up to {fee} wei"),
            ),
        ]
    }

    /// What the sweep adds to the running counts: of the asset, and of fees. What
    /// [`Self::check`] denies for its network or its asset has no count, so check first.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        let chain = sweep.transaction().chain_id();
        let asset = sweep.asset();
        let Some(network) = self.network(chain) else { return Vec::new() };
        let Some(velocity) = network.velocity(asset) else { return Vec::new() };
        vec![
            Meter {
                name: format!("evm:{chain}/{asset}"),
                tag: "policy.evm.velocity",
                amounts: vec![(0, sweep.amount())],
                per_key_per_day: Some(velocity.per_key_per_day),
                per_day: velocity.per_day,
            },
            Meter {
                name: format!("evm:{chain}/fee"),
                tag: "policy.evm.fee",
                amounts: vec![(0, sweep.fee())],
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
