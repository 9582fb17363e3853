//! The policy's rules for sweeps on Solana: whom they pay, which tokens, who pays the fee and how
//! much, how much leaves in a day. What is not listed is not allowed.
//!
//! Rules are read from JSON and checked as they are read; the token accounts that may be paid are
//! derived once, then.

mod check;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{SolanaAddress, associated_token_account, derived::is_point, fee::MAX_UNIT_LIMIT, programs};
use crate::{
    Amount, Confirmations, Distinct, Entry, FeeCap, Native, NotAnAddress, RulesError, Symbol, Velocity,
    text::as_text,
};

/// So many token accounts may be paid: each costs a derivation when the rules are read.
const MOST_TOKEN_ACCOUNTS: usize = 16 * 1024;

/// The rules, complete and consistent. In JSON:
///
/// ```json
/// {
///   "destinations": ["<owner>"],
///   "off_curve": ["<owner>"],
///   "native": {"min_amount": "…", "max_fee_permille": 50, "per_key_per_day": "…", "per_day": "…"},
///   "tokens": [{"mint": "<mint>", "symbol": "USDC", "decimals": 6, "min_amount": "…", "velocity": {…}}],
///   "close_accounts": true,
///   "fee_payers": ["self", "<address>"],
///   "nonce_authorities": ["<address>"],
///   "fee": {"per_transaction": "<lamports>", "per_day": "<lamports>"},
///   "max_unit_price": "<micro-lamports>",
///   "max_unit_limit": 1400000,
///   "confirmations": 32
/// }
/// ```
///
/// `native` may be absent: then no SOL leaves. `off_curve`, `tokens` and `nonce_authorities` may be
/// absent: then they are empty. `close_accounts` may be absent: then no token account is closed, since
/// what is paid to a closed one later is lost.
///
/// An address off the curve has no private key: a program holds it, such as a multisig's vault, or
/// it is a token account, and tokens sent to the token account of a token account are lost. So a
/// destination off the curve must be named in `off_curve` as well, and no other account may be one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "Given")]
pub struct SolanaRules {
    given: Given,
    /// For each token, the associated token account of each destination, in their order.
    token_accounts: Vec<Vec<SolanaAddress>>,
}

/// The rules as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    destinations: Distinct<SolanaAddress>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    off_curve: Distinct<SolanaAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    #[serde(default)]
    tokens: Distinct<SplToken>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    close_accounts: bool,
    fee_payers: Distinct<FeePayer>,
    #[serde(default)]
    nonce_authorities: Distinct<SolanaAddress>,
    fee: FeeCap,
    max_unit_price: Amount,
    max_unit_limit: u32,
    confirmations: Confirmations,
}

/// A token of the classic Token program that may be swept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplToken {
    /// The mint: what makes it this token.
    pub mint: SolanaAddress,
    /// Its name for people.
    pub symbol: Symbol,
    /// The mint's decimals; TransferChecked says them again, and the program compares.
    pub decimals: u8,
    /// The least that a transaction moves, in base units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// How much may leave, in base units.
    pub velocity: Velocity,
}

/// Who may pay the fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FeePayer {
    /// A key that is swept, in JSON `self`.
    Swept,
    /// This account.
    Pinned(SolanaAddress),
}

impl SolanaRules {
    /// How many confirmations a deposit needs; 32 is finality.
    pub const fn confirmations(&self) -> u32 {
        self.given.confirmations.get()
    }

    /// The owners that may be paid.
    pub fn destinations(&self) -> &[SolanaAddress] {
        &self.given.destinations
    }

    /// The tokens that may be swept.
    pub fn tokens(&self) -> &[SplToken] {
        &self.given.tokens
    }
}

impl TryFrom<Given> for SolanaRules {
    type Error = RulesError;

    fn try_from(given: Given) -> Result<Self, RulesError> {
        given.destinations.iter().try_for_each(|owner| held("destinations", owner))?;
        off_curve(&given)?;
        tokens(&given)?;
        for payer in given.fee_payers.iter() {
            if let FeePayer::Pinned(payer) = payer {
                signs("fee_payers", payer)?;
            }
        }
        given.nonce_authorities.iter().try_for_each(|authority| signs("nonce_authorities", authority))?;
        if !(1..=MAX_UNIT_LIMIT).contains(&given.max_unit_limit) {
            let expected = format!("1 to {MAX_UNIT_LIMIT} compute units");
            return Err(RulesError::new("max_unit_limit", expected, given.max_unit_limit));
        }
        let accounts = given.destinations.len().saturating_mul(given.tokens.len());
        if accounts > MOST_TOKEN_ACCOUNTS {
            let expected =
                format!("at most {MOST_TOKEN_ACCOUNTS} token accounts, one for each destination and token");
            return Err(RulesError::new("tokens", expected, accounts));
        }
        let token_accounts = given.tokens.iter().map(|token| accounts_of(token, &given.destinations));
        let token_accounts = token_accounts.collect::<Result<_, _>>()?;
        Ok(Self { given, token_accounts })
    }
}

impl From<SolanaRules> for Given {
    fn from(rules: SolanaRules) -> Self {
        rules.given
    }
}

/// That the destinations without a private key are those that are named as such.
fn off_curve(given: &Given) -> Result<(), RulesError> {
    if let Some(other) = given.off_curve.iter().find(|owner| !given.destinations.contains(owner)) {
        return Err(RulesError::new("off_curve", "destinations", other));
    }
    if let Some(key) = given.off_curve.iter().find(|owner| is_point(owner)) {
        return Err(RulesError::new("off_curve", "addresses off the curve", key));
    }
    match given.destinations.iter().find(|owner| !is_point(owner) && !given.off_curve.contains(owner)) {
        None => Ok(()),
        Some(owner) => {
            let expected = "addresses of keys, or of programs where off_curve names them too";
            Err(RulesError::new("destinations", expected, format_args!("{owner}, off the curve")))
        }
    }
}

fn tokens(given: &Given) -> Result<(), RulesError> {
    for token in given.tokens.iter() {
        if token.mint != programs::WRAPPED_SOL {
            held("tokens", &token.mint)?;
        }
        if given.destinations.contains(&token.mint) {
            let found = format_args!("the destination {}", token.mint);
            return Err(RulesError::new("tokens", "mints", found));
        }
    }
    Ok(())
}

fn accounts_of(token: &SplToken, owners: &[SolanaAddress]) -> Result<Vec<SolanaAddress>, RulesError> {
    let missing = |owner| RulesError::new("destinations", "owners that have a token account", owner);
    let account = |owner| associated_token_account(owner, &token.mint).ok_or_else(|| missing(owner));
    owners.iter().map(account).collect()
}

/// That it is an account that can sign, which takes a private key.
fn signs(field: &'static str, account: &SolanaAddress) -> Result<(), RulesError> {
    held(field, account)?;
    match is_point(account) {
        true => Ok(()),
        false => Err(RulesError::new(field, "addresses of keys", format_args!("{account}, off the curve"))),
    }
}

/// That it is no account that nobody holds. Whether somebody holds it, its bytes do not say.
fn held(field: &'static str, account: &SolanaAddress) -> Result<(), RulesError> {
    match programs::name_of(account) {
        None => Ok(()),
        Some(name) => Err(RulesError::new(field, "accounts that somebody holds", name)),
    }
}

impl fmt::Display for SplToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.mint, self.symbol)
    }
}

impl Entry for SplToken {
    const LIST: &'static str = "tokens";
    const MOST: usize = 1024;
    type Key = SolanaAddress;

    fn key(&self) -> SolanaAddress {
        self.mint
    }
}

impl FromStr for FeePayer {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text == "self" { Ok(Self::Swept) } else { text.parse().map(Self::Pinned) }
    }
}

as_text!(FeePayer, "fee_payers");

impl fmt::Display for FeePayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swept => f.write_str("self"),
            Self::Pinned(address) => address.fmt(f),
        }
    }
}
