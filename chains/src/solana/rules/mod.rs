//! The policy's rules for sweeps on Solana: whom they pay, which tokens, who pays the fee and how
//! much, how much leaves in a day. What is not listed is not allowed.
//!
//! Rules are read from JSON and checked as they are read; the token accounts that may be paid are
//! derived once, then.

mod check;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Address, associated_token_account, derived::is_point, fee::MAX_UNIT_LIMIT, programs};
use crate::{Amount, FeeCap, Native, Velocity};

/// So many owners may be paid; each costs a derivation for each token.
const MAX_DESTINATIONS: usize = 16;
const MAX_TOKENS: usize = 1024;
/// So many fee payers, and so many nonce authorities.
const MAX_OTHERS: usize = 64;
const MAX_SYMBOL: usize = 16;
/// So many items of a list are written out.
const MAX_LISTED: usize = 4;

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
pub struct Rules {
    given: Given,
    /// For each token, the associated token account of each destination, in their order.
    token_accounts: Vec<Vec<Address>>,
    listed: Listed,
}

/// What is allowed, as checks say it: written once, since base58 is slow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    destinations: String,
    tokens: String,
    fee_payers: String,
    nonce_authorities: String,
}

/// The rules as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    destinations: Vec<Address>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    off_curve: Vec<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    #[serde(default)]
    tokens: Vec<Token>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    close_accounts: bool,
    fee_payers: Vec<FeePayer>,
    #[serde(default)]
    nonce_authorities: Vec<Address>,
    fee: FeeCap,
    max_unit_price: Amount,
    max_unit_limit: u32,
    confirmations: u32,
}

/// A token of the classic Token program that may be swept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The mint: what makes it this token.
    pub mint: Address,
    /// For people: up to 16 letters, digits, `.`, `-` and `_`.
    pub symbol: String,
    /// The mint's decimals; TransferChecked says them again, and the program compares.
    pub decimals: u8,
    /// The least that a transaction moves, in base units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// How much may leave, in base units.
    pub velocity: Velocity,
}

/// Who may pay the fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FeePayer {
    /// A key that is swept, in JSON `self`.
    Swept,
    /// This account.
    Pinned(Address),
}

/// Why rules are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expected} was expected")]
pub struct NotRules {
    /// The field.
    pub field: &'static str,
    /// What would have been right.
    pub expected: String,
}

impl NotRules {
    fn new(field: &'static str, expected: impl Into<String>) -> Self {
        Self { field, expected: expected.into() }
    }
}

impl Rules {
    /// How many confirmations a deposit needs; 32 is finality.
    pub const fn confirmations(&self) -> u32 {
        self.given.confirmations
    }

    /// The owners that may be paid.
    pub fn destinations(&self) -> &[Address] {
        &self.given.destinations
    }

    /// The tokens that may be swept.
    pub fn tokens(&self) -> &[Token] {
        &self.given.tokens
    }
}

impl TryFrom<Given> for Rules {
    type Error = NotRules;

    fn try_from(given: Given) -> Result<Self, NotRules> {
        if given.destinations.is_empty() {
            return Err(NotRules::new("destinations", "an owner"));
        }
        distinct("destinations", &given.destinations, MAX_DESTINATIONS)?;
        given.destinations.iter().try_for_each(|owner| held("destinations", owner))?;
        off_curve(&given)?;
        tokens(&given)?;
        distinct("fee_payers", &given.fee_payers, MAX_OTHERS)?;
        for payer in &given.fee_payers {
            if let FeePayer::Pinned(payer) = payer {
                signs("fee_payers", payer)?;
            }
        }
        distinct("nonce_authorities", &given.nonce_authorities, MAX_OTHERS)?;
        given.nonce_authorities.iter().try_for_each(|authority| signs("nonce_authorities", authority))?;
        if !(1..=MAX_UNIT_LIMIT).contains(&given.max_unit_limit) {
            return Err(NotRules::new("max_unit_limit", format!("1 to {MAX_UNIT_LIMIT} compute units")));
        }
        if given.confirmations == 0 {
            return Err(NotRules::new("confirmations", "a number above 0"));
        }
        let token_accounts = given.tokens.iter().map(|token| accounts_of(token, &given.destinations));
        let token_accounts = token_accounts.collect::<Result<_, _>>()?;
        let symbols: Vec<_> = given.tokens.iter().map(|token| &token.symbol).collect();
        let listed = Listed {
            destinations: list(&given.destinations),
            tokens: list(&symbols),
            fee_payers: list(&given.fee_payers),
            nonce_authorities: list(&given.nonce_authorities),
        };
        Ok(Self { given, token_accounts, listed })
    }
}

impl From<Rules> for Given {
    fn from(rules: Rules) -> Self {
        rules.given
    }
}

/// That the destinations without a private key are those that are named as such.
fn off_curve(given: &Given) -> Result<(), NotRules> {
    distinct("off_curve", &given.off_curve, MAX_DESTINATIONS)?;
    if let Some(other) = given.off_curve.iter().find(|owner| !given.destinations.contains(owner)) {
        return Err(NotRules::new("off_curve", format!("a destination, not {other},")));
    }
    if let Some(key) = given.off_curve.iter().find(|owner| is_point(owner)) {
        return Err(NotRules::new("off_curve", format!("an address off the curve, not {key},")));
    }
    match given.destinations.iter().find(|owner| !is_point(owner) && !given.off_curve.contains(owner)) {
        None => Ok(()),
        Some(owner) => {
            let expected = format!("a key's address, or {owner} in off_curve, if a program holds it,");
            Err(NotRules::new("destinations", expected))
        }
    }
}

fn tokens(given: &Given) -> Result<(), NotRules> {
    let mints: Vec<_> = given.tokens.iter().map(|token| token.mint).collect();
    distinct("tokens", &mints, MAX_TOKENS)?;
    for token in &given.tokens {
        if token.mint != programs::WRAPPED_SOL {
            held("tokens", &token.mint)?;
        }
        if given.destinations.contains(&token.mint) {
            return Err(NotRules::new("tokens", format!("another mint than the destination {}", token.mint)));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if token.symbol.is_empty() || token.symbol.len() > MAX_SYMBOL || !token.symbol.bytes().all(plain) {
            let expected = format!("a symbol of 1 to {MAX_SYMBOL} letters, digits, '.', '-' and '_'");
            return Err(NotRules::new("tokens", expected));
        }
    }
    Ok(())
}

fn accounts_of(token: &Token, owners: &[Address]) -> Result<Vec<Address>, NotRules> {
    let missing = || NotRules::new("destinations", "owners that have a token account");
    owners.iter().map(|owner| associated_token_account(owner, &token.mint).ok_or_else(missing)).collect()
}

/// That the list is not too long and names each item once.
fn distinct<T: PartialEq>(field: &'static str, items: &[T], limit: usize) -> Result<(), NotRules> {
    if items.len() > limit {
        return Err(NotRules::new(field, format!("at most {limit} items")));
    }
    let repeated = |(place, item)| items.iter().take(place).any(|other| other == item);
    if items.iter().enumerate().any(repeated) {
        return Err(NotRules::new(field, "each item once"));
    }
    Ok(())
}

/// The items for people: the first few, and how many more.
fn list(items: &[impl fmt::Display]) -> String {
    let shown: Vec<_> = items.iter().take(MAX_LISTED).map(ToString::to_string).collect();
    match items.len().checked_sub(MAX_LISTED) {
        _ if items.is_empty() => "none".to_owned(),
        None | Some(0) => shown.join(" or "),
        Some(more) => format!("{} or {more} more", shown.join(", ")),
    }
}

/// That it is an account that can sign, which takes a private key.
fn signs(field: &'static str, account: &Address) -> Result<(), NotRules> {
    held(field, account)?;
    match is_point(account) {
        true => Ok(()),
        false => {
            Err(NotRules::new(field, format!("a key's address, not {account}, which is off the curve,")))
        }
    }
}

/// That it is no account that nobody holds. Whether somebody holds it, its bytes do not say.
fn held(field: &'static str, account: &Address) -> Result<(), NotRules> {
    match programs::name_of(account) {
        None => Ok(()),
        Some(name) => Err(NotRules::new(field, format!("an account that somebody holds, not {name},"))),
    }
}

impl TryFrom<String> for FeePayer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "self" {
            return Ok(Self::Swept);
        }
        text.parse().map(Self::Pinned).map_err(|_| "\"self\" or a Solana address was expected")
    }
}

impl From<FeePayer> for String {
    fn from(payer: FeePayer) -> Self {
        payer.to_string()
    }
}

impl fmt::Display for FeePayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swept => f.write_str("self"),
            Self::Pinned(address) => address.fmt(f),
        }
    }
}
