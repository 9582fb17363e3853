//! The bounds of a policy that every chain has alike, and the checks of those that need no memory: a
//! host that starts the enclave anew takes nothing away from them.

use serde::{Deserialize, Serialize};

use crate::{Amount, Check, RulesError};

/// How much of an asset may leave within any 24 hours. Nothing is unlimited by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Velocity {
    /// From one key.
    pub per_key_per_day: Amount,
    /// From all keys under these rules.
    pub per_day: Amount,
}

/// The bounds of a network's own coin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Native {
    /// The least that a transaction moves. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_amount: Option<Amount>,
    /// The most that the network takes of it. Absent: as much as is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fee_permille: Option<Permille>,
    /// From one key within any 24 hours.
    pub per_key_per_day: Amount,
    /// From all keys under these rules within any 24 hours.
    pub per_day: Amount,
}

/// The tags of the least amount and of the fee's share of it.
pub(crate) type Tags = (&'static str, &'static str);

/// How much the network may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeeCap {
    /// For one transaction.
    pub per_transaction: Amount,
    /// For all transactions within any 24 hours.
    pub per_day: Amount,
}

/// A share of the amount that a transaction moves: 1 to 1,000 thousandths of it. In JSON a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Permille(u16);

impl Native {
    /// Its bounds of 24 hours.
    pub const fn velocity(&self) -> Velocity {
        Velocity { per_key_per_day: self.per_key_per_day, per_day: self.per_day }
    }

    /// That a transaction moves enough, and that the network takes no more than its share of it.
    pub(crate) fn check(&self, tags: Tags, amount: Amount, fee: Amount, unit: &str) -> [Check; 2] {
        [
            at_least(tags.0, self.min_amount, amount, unit),
            self.max_fee_permille.unwrap_or_default().check(tags.1, amount, fee, unit),
        ]
    }
}

impl Permille {
    /// A twentieth.
    pub const TWENTIETH: Self = Self(50);
    /// A fee as large as the amount.
    pub const WHOLE: Self = Self(1000);

    /// The thousandths.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The share of an amount, rounded down.
    pub const fn share_of(self, amount: Amount) -> Amount {
        let (whole, rest) = (amount.get() / 1000, amount.get() % 1000);
        // A share is at most the amount itself; a rest below 1,000 keeps far from any overflow.
        let whole = whole.saturating_mul(self.0 as u128);
        Amount::new(whole.saturating_add(rest.saturating_mul(self.0 as u128) / 1000))
    }

    /// That the fee is at most this share of the amount.
    pub(crate) fn check(self, tag: &'static str, amount: Amount, fee: Amount, unit: &str) -> Check {
        let most = self.share_of(amount);
        let allowed = format!("a fee of at most {} ‰ of {amount} {unit}, {most}", self.0);
        Check::new(tag, fee <= most, allowed, format!("up to {fee} {unit}"))
    }
}

impl Default for Permille {
    fn default() -> Self {
        Self::WHOLE
    }
}

/// The least that a transaction moves where nothing is said: nothing moves an amount of 0.
pub const DEFAULT_MIN_AMOUNT: Amount = Amount::new(1);

/// That a transaction moves enough.
pub(crate) fn at_least(tag: &'static str, least: Option<Amount>, amount: Amount, unit: &str) -> Check {
    let least = least.unwrap_or(DEFAULT_MIN_AMOUNT);
    Check::new(tag, amount >= least, format!("at least {least} {unit}"), format!("{amount} {unit}"))
}

/// That the network takes no more.
pub(crate) fn at_most(tag: &'static str, most: Amount, found: Amount, unit: &str) -> Check {
    Check::new(tag, found <= most, format!("at most {most} {unit}"), format!("up to {found} {unit}"))
}

impl TryFrom<u64> for Permille {
    type Error = RulesError;

    fn try_from(thousandths: u64) -> Result<Self, RulesError> {
        match u16::try_from(thousandths) {
            Ok(share @ 1..=1000) => Ok(Self(share)),
            _ => Err(RulesError::new("max_fee_permille", "1 to 1000 thousandths", thousandths)),
        }
    }
}

impl From<Permille> for u64 {
    fn from(share: Permille) -> Self {
        share.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_to_a_thousand_thousandths() {
        for (text, share) in
            [("1", Some(1)), ("1000", Some(1000)), ("0", None), ("1001", None), ("65537", None)]
        {
            let read = serde_json::from_str::<Permille>(text);
            assert_eq!(read.as_ref().ok().map(|share| share.get()), share, "{text}");
        }
        for text in ["-1", "1.5", "\"5\"", "null"] {
            assert!(serde_json::from_str::<Permille>(text).is_err(), "{text}");
        }
        let error = serde_json::from_str::<Permille>("0").unwrap_err().to_string();
        assert!(error.contains("expected 1 to 1000 thousandths, found 0"), "{error}");
    }

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_amount() {
        let of = |share: u64, amount| Permille::try_from(share).unwrap().share_of(Amount::new(amount)).get();
        assert_eq!(of(1, 999), 0);
        assert_eq!(of(1, 1000), 1);
        assert_eq!(of(50, 1_999), 99);
        assert_eq!(of(999, 1_001), 999);
        assert_eq!(of(1000, u128::MAX), u128::MAX);
        assert_eq!(of(500, u128::MAX), u128::MAX / 2);
        for amount in [1, 7, 1000, 123_456_789, u128::from(u64::MAX)] {
            for share in [1, 3, 250, 999, 1000] {
                assert_eq!(of(share, amount), amount * u128::from(share) / 1000, "{share} of {amount}");
            }
        }
    }

    #[test]
    fn a_fee_above_its_share_or_an_amount_below_the_least_is_refused() {
        let native = Native {
            min_amount: Some(Amount::new(1000)),
            max_fee_permille: Some(Permille(50)),
            per_key_per_day: Amount::ZERO,
            per_day: Amount::ZERO,
        };
        let holds = |amount, fee| {
            native
                .check(("least", "share"), Amount::new(amount), Amount::new(fee), "wei")
                .map(|check| check.holds)
        };
        assert_eq!(holds(1000, 50), [true, true]);
        assert_eq!(holds(999, 50), [false, false]);
        assert_eq!(holds(1000, 51), [true, false]);
        assert_eq!(holds(u128::MAX, u128::MAX), [true, false]);
        // Where nothing is said, a unit at least, and no greater fee than that.
        let native = Native { min_amount: None, max_fee_permille: None, ..native };
        let holds = |amount, fee| {
            let checks = native.check(("least", "share"), Amount::new(amount), Amount::new(fee), "wei");
            checks.map(|check| check.holds)
        };
        assert_eq!((holds(1, 1), holds(1, 2), holds(0, 0)), ([true, true], [true, false], [false, true]));
    }
}
