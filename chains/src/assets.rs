//! What is moved, and what may be, on a chain whose tokens are contracts: EVM and Tron.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Amount, Check, Native, Velocity,
    limits::{Tags, at_least},
    rules::{Distinct, Entry, RulesError, Symbol, some_of},
};

/// What is moved, on a chain whose tokens are contracts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset<A> {
    /// The network's own coin, in its smallest unit.
    Native,
    /// The token of this contract, in its base unit.
    Token(A),
}

impl<A: fmt::Display> fmt::Display for Asset<A> {
    /// `native`, or the contract's address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Native => f.write_str("native"),
            Self::Token(contract) => contract.fmt(f),
        }
    }
}

/// A token that is its contract: ERC-20, TRC-20.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token<A> {
    /// Its contract.
    pub contract: A,
    /// Its name for people.
    pub symbol: Symbol,
    /// The least that a transaction moves, in the token's base unit. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// How much may leave, in the token's base unit.
    pub velocity: Velocity,
}

impl<A: fmt::Display> fmt::Display for Token<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.contract, self.symbol)
    }
}

impl<A: Copy + Ord + fmt::Display> Entry for Token<A> {
    const LIST: &'static str = "tokens";
    const MOST: usize = 1024;
    type Key = A;

    fn key(&self) -> A {
        self.contract
    }
}

/// What may be moved on a chain whose tokens are contracts.
pub(crate) struct Assets<'r, A> {
    /// The bounds of the network's own coin. Absent: it is not moved.
    pub(crate) native: Option<&'r Native>,
    pub(crate) tokens: &'r Distinct<Token<A>>,
}

impl<'r, A: Copy + Ord + fmt::Display> Assets<'r, A> {
    /// That what is paid to a destination is not lost: no destination and no contract is the account of
    /// zeroes, whose key nobody holds, and no destination is a token's contract.
    pub(crate) fn check_destinations(&self, destinations: &[A], zeroes: A) -> Result<(), RulesError> {
        let found = "the account of zeroes";
        if destinations.contains(&zeroes) {
            return Err(RulesError::new("destinations", "accounts that somebody holds", found));
        }
        if self.token(zeroes).is_some() {
            return Err(RulesError::new("tokens", "contracts", found));
        }
        match destinations.iter().find_map(|destination| self.token(*destination)) {
            None => Ok(()),
            Some(token) => {
                let found = format_args!("the contract of {token}");
                Err(RulesError::new("destinations", "no contract of a listed token", found))
            }
        }
    }

    fn token(&self, contract: A) -> Option<&'r Token<A>> {
        self.tokens.iter().find(|token| token.contract == contract)
    }

    /// How much of an asset may leave; `None` where it is not listed.
    pub(crate) fn velocity(&self, asset: Asset<A>) -> Option<Velocity> {
        match asset {
            Asset::Native => self.native.map(Native::velocity),
            Asset::Token(contract) => self.token(contract).map(|token| token.velocity),
        }
    }

    /// That the asset is listed.
    pub(crate) fn check_listed(&self, tag: &'static str, asset: Asset<A>) -> Check {
        let native = self.native.map(|_| Asset::<A>::Native.to_string());
        let tokens = (!self.tokens.is_empty()).then(|| self.tokens.listed().to_owned());
        let allowed = some_of(native.into_iter().chain(tokens));
        Check::new(tag, self.velocity(asset).is_some(), allowed, asset.to_string())
    }

    /// That enough is moved, and of coins that the fee is no greater share of it than allowed. An asset
    /// that is not listed has neither bound.
    pub(crate) fn check_amount(
        &self,
        tags: Tags,
        asset: Asset<A>,
        (amount, fee): (Amount, Amount),
        unit: &str,
    ) -> Vec<Check> {
        match asset {
            Asset::Native => {
                self.native.map_or_else(Vec::new, |native| native.check(tags, amount, fee, unit).into())
            }
            Asset::Token(contract) => self
                .token(contract)
                .map_or_else(Vec::new, |token| vec![at_least(tags.0, token.min_amount, amount, "units")]),
        }
    }
}
