//! The policy's part for Tron: where deposit keys may sweep to, which assets, how much within a
//! day, at which fee, and for how long a signed transaction may lie about.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Address, Asset, Sweep};
use crate::{Amount, Check, Count, FeeCap, Meter, Native, Velocity, limits::at_least};

/// Destinations and tokens, each.
const MOST: usize = 256;
/// The network takes nothing that expires later (java-tron: `MAXIMUM_TIME_UNTIL_EXPIRATION`).
const DAY_SECONDS: u32 = 86_400;
const DAY_MILLISECONDS: u64 = 86_400_000;
const MOST_CONFIRMATIONS: u32 = 100_000;
/// How many addresses a check names before it counts the others.
const NAMED: usize = 8;

/// Rules for Tron, as the policy has them. What they do not name is not allowed.
///
/// ```json
/// {"destinations": ["T…"],
///  "native": {"min_amount": "22000000", "max_fee_permille": 50,
///             "per_key_per_day": "100000000", "per_day": "5000000000"},
///  "tokens": [{"contract": "T…", "symbol": "USDT", "min_amount": "1000000",
///              "velocity": {"per_key_per_day": "1000000", "per_day": "9000000"}}],
///  "fee": {"per_transaction": "30000000", "per_day": "900000000"},
///  "max_expiration_seconds": 3600,
///  "confirmations": 19}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Rules {
    destinations: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<TokenRule>,
    fee: FeeCap,
    max_expiration_seconds: u32,
    confirmations: u32,
}

/// A TRC-20 token that may be swept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRule {
    /// Its contract, which is the token.
    pub contract: Address,
    /// What people call it: 1 to 32 visible ASCII characters. Decides nothing.
    pub symbol: String,
    /// The least that a transaction moves, in its base unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// How much of it may leave, in its base unit.
    pub velocity: Velocity,
}

/// What is wrong with rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Destinations are missing, or too many.
    #[error("1 to {MOST} destinations were expected, found {0}")]
    Destinations(usize),
    /// Too many tokens.
    #[error("at most {MOST} tokens were expected, found {0}")]
    Tokens(usize),
    /// A destination or a token is listed twice, or a token's contract is a destination: what is
    /// sent to the contract itself is lost.
    #[error("every destination and every token was expected once, and none as both: {0}")]
    Duplicate(Address),
    /// The address of twenty zero bytes, from which nothing comes back.
    #[error("an address other than that of zeroes was expected: {0}")]
    Zero(Address),
    /// A symbol that people cannot read, or not tell from another.
    #[error("a symbol of 1 to 32 visible ASCII characters was expected for the token {0}")]
    Symbol(Address),
    /// A lifetime that no transaction can have.
    #[error("max_expiration_seconds from 1 to {DAY_SECONDS} was expected, found {0}")]
    Expiration(u32),
    /// A count that cannot be meant.
    #[error("1 to {MOST_CONFIRMATIONS} confirmations were expected, found {0}")]
    Confirmations(u32),
}

/// The same, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    destinations: Vec<Address>,
    native: Option<Native>,
    #[serde(default)]
    tokens: Vec<TokenRule>,
    fee: FeeCap,
    max_expiration_seconds: u32,
    confirmations: u32,
}

impl TryFrom<Unchecked> for Rules {
    type Error = RulesError;

    fn try_from(rules: Unchecked) -> Result<Self, RulesError> {
        let Unchecked { destinations, native, tokens, fee, max_expiration_seconds, confirmations } = rules;
        if !(1..=MOST).contains(&destinations.len()) {
            return Err(RulesError::Destinations(destinations.len()));
        }
        if tokens.len() > MOST {
            return Err(RulesError::Tokens(tokens.len()));
        }
        let mut seen = BTreeSet::new();
        for address in destinations.iter().chain(tokens.iter().map(|token| &token.contract)) {
            if address.is_zero() {
                return Err(RulesError::Zero(*address));
            }
            if !seen.insert(*address) {
                return Err(RulesError::Duplicate(*address));
            }
        }
        for token in &tokens {
            let visible = token.symbol.bytes().all(|byte| byte.is_ascii_graphic());
            if !visible || !(1..=32).contains(&token.symbol.len()) {
                return Err(RulesError::Symbol(token.contract));
            }
        }
        if !(1..=DAY_SECONDS).contains(&max_expiration_seconds) {
            return Err(RulesError::Expiration(max_expiration_seconds));
        }
        if !(1..=MOST_CONFIRMATIONS).contains(&confirmations) {
            return Err(RulesError::Confirmations(confirmations));
        }
        Ok(Self { destinations, native, tokens, fee, max_expiration_seconds, confirmations })
    }
}

impl Rules {
    /// Where sweeps may go.
    pub fn destinations(&self) -> &[Address] {
        &self.destinations
    }

    /// The tokens that may be swept.
    pub fn tokens(&self) -> &[TokenRule] {
        &self.tokens
    }

    /// How many blocks make a deposit final; 19 is what Tron calls solidified.
    pub const fn confirmations(&self) -> u32 {
        self.confirmations
    }

    /// Every rule, applied to a sweep at `now`, in milliseconds since 1970: `policy.tron.asset`,
    /// `.destination`, `.min_amount`, for TRX `.max_fee_permille`, `.fee`, `.expiration`, and
    /// `.timestamp` where the transaction has one.
    pub fn check(&self, sweep: &Sweep, now: u64) -> Vec<Check> {
        let mut checks = vec![self.check_asset(sweep.asset()), self.check_destination(sweep.destination())];
        checks.extend(self.check_amount(sweep));
        checks.push(self.check_fee(sweep.fee()));
        checks.push(self.check_expiration(sweep.expiration(), now));
        checks.extend(sweep.timestamp().map(|timestamp| {
            // No node checks it; one that is far off comes of a wrong clock or a wrong unit.
            let holds = timestamp.abs_diff(now) <= DAY_MILLISECONDS;
            let allowed = format!("a time within a day of {now} ms");
            Check::new("policy.tron.timestamp", holds, allowed, format!("{timestamp} ms"))
        }));
        checks
    }

    /// What a sweep adds to the running counts: `tron/native` or `tron/<contract>`, under
    /// `policy.tron.velocity`, and `tron/fee`, under `policy.tron.fee`. An asset that the rules do
    /// not name has a bound of zero.
    pub fn meters(&self, sweep: &Sweep) -> Vec<Meter> {
        let name = match sweep.asset() {
            Asset::Trx => "tron/native".to_owned(),
            Asset::Token(contract) => format!("tron/{contract}"),
        };
        let nothing = Velocity { per_key_per_day: Amount::ZERO, per_day: Amount::ZERO };
        let Velocity { per_key_per_day, per_day } = self.velocity(sweep.asset()).unwrap_or(nothing);
        let counts = |amount| vec![Count { key: 0, amount, anchors: vec![sweep.anchor()] }];
        vec![
            Meter {
                name,
                tag: "policy.tron.velocity",
                counts: counts(sweep.amount()),
                per_key_per_day: Some(per_key_per_day),
                per_day,
            },
            Meter {
                name: "tron/fee".to_owned(),
                tag: "policy.tron.fee",
                counts: counts(sweep.fee()),
                per_key_per_day: None,
                per_day: self.fee.per_day,
            },
        ]
    }

    fn token(&self, contract: Address) -> Option<&TokenRule> {
        self.tokens.iter().find(|token| token.contract == contract)
    }

    fn velocity(&self, asset: Asset) -> Option<Velocity> {
        match asset {
            Asset::Trx => self.native.as_ref().map(Native::velocity),
            Asset::Token(contract) => self.token(contract).map(|token| token.velocity),
        }
    }

    /// That enough is moved, and of TRX that the fee is no greater share of it than allowed. An asset
    /// that the rules do not name has neither bound.
    fn check_amount(&self, sweep: &Sweep) -> Vec<Check> {
        let (amount, fee) = (sweep.amount(), sweep.fee());
        match sweep.asset() {
            Asset::Trx => self.native.as_ref().map_or_else(Vec::new, |native| {
                let tags = ("policy.tron.min_amount", "policy.tron.max_fee_permille");
                native.check(tags, amount, fee, "sun").into()
            }),
            Asset::Token(contract) => self.token(contract).map_or_else(Vec::new, |token| {
                vec![at_least("policy.tron.min_amount", token.min_amount, amount, "units")]
            }),
        }
    }

    fn check_asset(&self, asset: Asset) -> Check {
        let native = self.native.as_ref().map(|_| "TRX".to_owned());
        let tokens = self.tokens.iter().map(|token| format!("{} ({})", token.symbol, token.contract));
        let found = match asset {
            Asset::Trx => "TRX".to_owned(),
            Asset::Token(contract) => contract.to_string(),
        };
        let holds = self.velocity(asset).is_some();
        Check::new("policy.tron.asset", holds, list(native.into_iter().chain(tokens)), found)
    }

    fn check_destination(&self, destination: Address) -> Check {
        let holds = self.destinations.contains(&destination);
        let allowed = list(self.destinations.iter().map(Address::to_string));
        Check::new("policy.tron.destination", holds, allowed, destination.to_string())
    }

    fn check_fee(&self, fee: Amount) -> Check {
        let cap = self.fee.per_transaction;
        Check::new("policy.tron.fee", fee <= cap, format!("at most {cap} sun"), format!("{fee} sun"))
    }

    fn check_expiration(&self, expiration: u64, now: u64) -> Check {
        let seconds = self.max_expiration_seconds;
        let left = expiration.checked_sub(now).filter(|left| *left > 0);
        let most = u64::from(seconds).saturating_mul(1_000);
        let allowed = format!("a time after {now} ms, by at most {seconds} s");
        let holds = left.is_some_and(|left| left <= most);
        Check::new("policy.tron.expiration", holds, allowed, format!("{expiration} ms"))
    }
}

/// `a, b and 3 more`; `nothing` for none.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let named = items.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match items.len().checked_sub(NAMED) {
        _ if items.is_empty() => "nothing".to_owned(),
        None | Some(0) => named,
        Some(others) => format!("{named} and {others} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn account(byte: u8) -> String {
        Address::from_account([byte; 20]).to_string()
    }

    fn rules() -> Value {
        json!({
            "destinations": [account(1), account(2)],
            "native": {
                "min_amount": "2", "max_fee_permille": 50, "per_key_per_day": "5", "per_day": "50",
            },
            "tokens": [{
                "contract": account(3),
                "symbol": "USDT",
                "min_amount": "3",
                "velocity": {"per_key_per_day": "7", "per_day": "70"},
            }],
            "fee": {"per_transaction": "30000000", "per_day": "900000000"},
            "max_expiration_seconds": 3600,
            "confirmations": 19,
        })
    }

    fn read(value: Value) -> Result<Rules, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn with(change: impl FnOnce(&mut Value)) -> String {
        let mut value = rules();
        change(&mut value);
        read(value).unwrap_err()
    }

    #[test]
    fn rules_are_written_as_they_were_read() {
        assert_eq!(serde_json::to_value(read(rules()).unwrap()).unwrap(), rules());
        let mut least = rules();
        for optional in ["native", "tokens"] {
            least.as_object_mut().unwrap().remove(optional).unwrap();
        }
        assert_eq!(serde_json::to_value(read(least.clone()).unwrap()).unwrap(), least);
    }

    #[test]
    fn every_other_member_is_required_and_no_other_is_read() {
        for member in ["destinations", "fee", "max_expiration_seconds", "confirmations"] {
            let error = with(|rules| _ = rules.as_object_mut().unwrap().remove(member));
            assert!(error.contains("missing field"), "{error}");
        }
        assert!(with(|rules| rules["destination"] = json!([])).contains("unknown field"));
        assert!(with(|rules| rules["fee"]["cap"] = json!("1")).contains("unknown field"));
        assert!(with(|rules| rules["tokens"][0]["decimals"] = json!(6)).contains("unknown field"));
        assert!(with(|rules| rules["native"] = json!({"per_day": "1"})).contains("missing field"));
    }

    #[test]
    fn rules_that_cannot_be_meant_are_refused() {
        let many: Vec<String> = (0..=u8::MAX)
            .map(|byte| Address::from_account([byte; 20]).to_string())
            .chain([Address::from_account([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
                .to_string()])
            .collect();
        let token = |byte| {
            let velocity = &rules()["tokens"][0]["velocity"];
            json!({"contract": account(byte), "symbol": "A", "min_amount": "1", "velocity": velocity})
        };
        for (member, value, expected) in [
            ("destinations", json!([]), "1 to 256 destinations"),
            ("destinations", json!(many), "1 to 256 destinations"),
            ("destinations", json!([account(1), account(1)]), "expected once"),
            ("destinations", json!([account(0)]), "that of zeroes"),
            ("destinations", json!(["0x0101010101010101010101010101010101010101"]), "a Tron address"),
            ("destinations", json!([account(1), account(3)]), "none as both"),
            ("tokens", json!([token(4), token(4)]), "expected once"),
            ("tokens", json!([token(2)]), "none as both"),
            ("tokens", json!([token(0)]), "that of zeroes"),
            ("tokens", json!(vec![token(4); 257]), "at most 256 tokens"),
            ("max_expiration_seconds", json!(0), "1 to 86400"),
            ("max_expiration_seconds", json!(86_401), "1 to 86400"),
            ("confirmations", json!(0), "1 to 100000"),
            ("confirmations", json!(100_001), "1 to 100000"),
        ] {
            let error = with(|rules| rules[member] = value);
            assert!(error.contains(expected), "{member}: {error}");
        }
        for symbol in ["", "USD T", "USDТ", "U\n", &"U".repeat(33)] {
            let error = with(|rules| rules["tokens"][0]["symbol"] = json!(symbol));
            assert!(error.contains("visible ASCII"), "{error}");
        }
    }

    #[test]
    fn a_long_list_is_cut_and_an_empty_one_says_so() {
        let numbers = |count: usize| list((0..count).map(|number| number.to_string()));
        assert_eq!(numbers(0), "nothing");
        assert_eq!(numbers(2), "0, 1");
        assert_eq!(numbers(8), "0, 1, 2, 3, 4, 5, 6, 7");
        assert_eq!(numbers(11), "0, 1, 2, 3, 4, 5, 6, 7 and 3 more");
    }
}
