//! Amounts of an asset, in its smallest unit.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::as_text;

/// A whole number of an asset's smallest unit (wei, satoshi, lamport, sun, a token's base unit).
/// In JSON a decimal string without leading zeroes: JSON numbers lose digits in many readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Amount(u128);

/// Text that is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a whole number below 2^128 in decimal digits without leading zeroes, found another text")]
pub struct NotAnAmount;

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many of the smallest unit.
    pub const fn new(units: u128) -> Self {
        Self(units)
    }

    /// The number.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// From the big-endian number of a word of 32 bytes; `None` from 2^128.
    pub fn from_word(word: &[u8; 32]) -> Option<Self> {
        let (high, low) = word.split_at_checked(16)?;
        if high.iter().any(|byte| *byte != 0) {
            return None;
        }
        low.try_into().ok().map(u128::from_be_bytes).map(Self)
    }
}

impl From<u64> for Amount {
    fn from(units: u64) -> Self {
        Self(units.into())
    }
}

impl FromStr for Amount {
    type Err = NotAnAmount;

    fn from_str(text: &str) -> Result<Self, NotAnAmount> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        plain.then(|| text.parse().ok()).flatten().map(Self).ok_or(NotAnAmount)
    }
}

as_text!(Amount);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_one_spelling() {
        for text in ["0", "1", "340282366920938463463374607431768211455"] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        for text in
            ["", "00", "01", "+1", "-1", "1.0", "1e3", " 1", "340282366920938463463374607431768211456"]
        {
            assert_eq!(text.parse::<Amount>(), Err(NotAnAmount), "{text}");
        }
    }

    #[test]
    fn a_word_of_evm_is_an_amount_below_two_to_the_128() {
        let mut word = [0; 32];
        word[31] = 7;
        assert_eq!(Amount::from_word(&word), Some(Amount::new(7)));
        word[15] = 1;
        assert_eq!(Amount::from_word(&word), None);
    }
}
