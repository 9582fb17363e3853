//! The policy's part for Tron: where deposit keys may sweep to, which assets, how much within a
//! day, at which fee, and for how long a signed transaction may lie about.

use serde::{Deserialize, Serialize};

use super::{Sweep, TronAddress};
use crate::{
    Amount, Check, Confirmations, Count, Distinct, FeeCap, Meter, Native, RulesError, Token, Velocity,
    assets::Assets, limits::at_most,
};

/// The network takes nothing that expires later (java-tron: `MAXIMUM_TIME_UNTIL_EXPIRATION`).
const DAY_SECONDS: u32 = 86_400;
const DAY_MILLISECONDS: u64 = 86_400_000;

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
#[serde(try_from = "Members", into = "Members")]
pub struct TronRules(Members);

/// The rules as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    destinations: Distinct<TronAddress>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    tokens: Distinct<Token<TronAddress>>,
    fee: FeeCap,
    max_expiration_seconds: u32,
    confirmations: Confirmations,
}

impl TryFrom<Members> for TronRules {
    type Error = RulesError;

    fn try_from(members: Members) -> Result<Self, RulesError> {
        let rules = Self(members);
        let seconds = rules.0.max_expiration_seconds;
        if !(1..=DAY_SECONDS).contains(&seconds) {
            let expected = format!("1 to {DAY_SECONDS}");
            return Err(RulesError::new("max_expiration_seconds", expected, seconds));
        }
        rules.assets().check_destinations(&rules.0.destinations, TronAddress::ZERO)?;
        Ok(rules)
    }
}

impl From<TronRules> for Members {
    fn from(rules: TronRules) -> Self {
        rules.0
    }
}

impl TronRules {
    const fn assets(&self) -> Assets<'_, TronAddress> {
        Assets { native: self.0.native.as_ref(), tokens: &self.0.tokens }
    }

    /// Where sweeps may go.
    pub fn destinations(&self) -> &[TronAddress] {
        &self.0.destinations
    }

    /// The tokens that may be swept.
    pub fn tokens(&self) -> &[Token<TronAddress>] {
        &self.0.tokens
    }

    /// How many blocks make a deposit final; 19 is what Tron calls solidified.
    pub const fn confirmations(&self) -> u32 {
        self.0.confirmations.get()
    }

    /// Every rule, applied to a sweep at `now`, in milliseconds since 1970: `policy.tron.asset`,
    /// `.destination`, `.min_amount`, for TRX `.max_fee_permille`, `.fee`, `.expiration`, and
    /// `.timestamp` where the transaction has one.
    pub fn check(&self, sweep: &Sweep, now: u64) -> Vec<Check> {
        let (asset, destination) = (sweep.asset(), sweep.destination());
        let mut checks = vec![
            self.assets().check_listed("policy.tron.asset", asset),
            Check::new(
                "policy.tron.destination",
                self.0.destinations.contains(&destination),
                self.0.destinations.listed(),
                destination.to_string(),
            ),
        ];
        let tags = ("policy.tron.min_amount", "policy.tron.max_fee_permille");
        checks.extend(self.assets().check_amount(tags, asset, (sweep.amount(), sweep.fee()), "sun"));
        checks.push(at_most("policy.tron.fee", self.0.fee.per_transaction, sweep.fee(), "sun"));
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
        let nothing = Velocity { per_key_per_day: Amount::ZERO, per_day: Amount::ZERO };
        let velocity = self.assets().velocity(sweep.asset()).unwrap_or(nothing);
        let counts = |amount| vec![Count { key: 0, amount, anchors: vec![sweep.anchor()] }];
        let name = format!("tron/{}", sweep.asset());
        vec![
            Meter::of_asset(name, "policy.tron.velocity", counts(sweep.amount()), velocity),
            Meter::of_fee("tron/fee".to_owned(), "policy.tron.fee", counts(sweep.fee()), self.0.fee),
        ]
    }

    fn check_expiration(&self, expiration: u64, now: u64) -> Check {
        let seconds = self.0.max_expiration_seconds;
        let left = expiration.checked_sub(now).filter(|left| *left > 0);
        let most = u64::from(seconds).saturating_mul(1_000);
        let allowed = format!("a time after {now} ms, by at most {seconds} s");
        let holds = left.is_some_and(|left| left <= most);
        Check::new("policy.tron.expiration", holds, allowed, format!("{expiration} ms"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn account(byte: u8) -> String {
        TronAddress::from_account([byte; 20]).to_string()
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

    fn read(value: Value) -> Result<TronRules, String> {
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
        least["destinations"] = json!([]);
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
            .map(|byte| TronAddress::from_account([byte; 20]).to_string())
            .chain([TronAddress::from_account([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
                .to_string()])
            .collect();
        let token = |byte| {
            let velocity = &rules()["tokens"][0]["velocity"];
            json!({"contract": account(byte), "symbol": "A", "min_amount": "1", "velocity": velocity})
        };
        let numbered = |n: u16| {
            let mut account = [9; 20];
            account[..2].copy_from_slice(&n.to_be_bytes());
            let mut token = token(4);
            token["contract"] = json!(TronAddress::from_account(account));
            token
        };
        let tokens: Vec<Value> = (0..1025).map(numbered).collect();
        for (member, value, expected) in [
            ("destinations", json!(many), "destinations: expected at most 256, found 257"),
            ("destinations", json!([account(1), account(1)]), "destinations: expected each once"),
            ("destinations", json!([account(0)]), "found the account of zeroes"),
            ("destinations", json!(["0x0101010101010101010101010101010101010101"]), "a Tron address"),
            ("destinations", json!([account(1), account(3)]), "found the contract of"),
            ("tokens", json!([token(4), token(4)]), "tokens: expected each once"),
            ("tokens", json!([token(2)]), "found the contract of"),
            ("tokens", json!([token(0)]), "tokens: expected contracts, found the account of zeroes"),
            ("tokens", json!(tokens), "tokens: expected at most 1024, found 1025"),
            ("max_expiration_seconds", json!(0), "max_expiration_seconds: expected 1 to 86400, found"),
            ("max_expiration_seconds", json!(86_401), "max_expiration_seconds: expected 1 to 86400, found"),
            ("confirmations", json!(0), "nonzero"),
            ("confirmations", json!(1_u64 << 32), "nonzero"),
        ] {
            let error = with(|rules| rules[member] = value);
            assert!(error.contains(expected), "{member}: {error}");
        }
        for symbol in ["", "USD T", "USDТ", "U\n", &"U".repeat(33)] {
            let error = with(|rules| rules["tokens"][0]["symbol"] = json!(symbol));
            assert!(error.contains("visible ASCII"), "{error}");
        }
    }
}
