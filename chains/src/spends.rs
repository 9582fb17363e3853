//! What would spend what a transaction spends: what to use up so that a signed transaction can never
//! be mined. The log names it for every signature, and an order that voids one names it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::solana;

/// The most outpoints; a transaction of ours has as many inputs at most.
const MOST_OUTPOINTS: usize = 100;

/// What a transaction uses up, or until when it lives. In JSON an object with exactly the members of
/// one form:
///
/// | chain | members |
/// |---|---|
/// | EVM | `chain_id`, `nonce`: numbers |
/// | Bitcoin | `outpoints`: 1 to 100 texts, txid and index, `…:0`, in ascending order |
/// | Solana | `nonce_account`, `nonce_value`: base58; or `blockhash` |
/// | Tron | `expiration`: milliseconds since 1970 |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub enum Spends {
    /// A nonce of the key's account.
    Nonce {
        /// EIP-155's.
        chain_id: u64,
        /// How many transactions of the account come before.
        nonce: u64,
    },
    /// Outputs of earlier transactions.
    Outpoints(BTreeSet<Outpoint>),
    /// The value of a durable nonce.
    NonceAccount {
        /// The nonce account.
        account: solana::Address,
        /// Its value.
        value: solana::Address,
    },
    /// Nothing: it is good while this blockhash is recent, a minute or two.
    Blockhash(solana::Address),
    /// Nothing: it is good until then, milliseconds since 1970.
    Expiration(u64),
}

/// An output of an earlier transaction: its txid as people write it, a colon, its index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Outpoint(String);

/// Text that is no outpoint, or members that are no form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSpends {
    /// Not an outpoint.
    #[error(
        "an outpoint was expected: 64 lower-case hexadecimal digits, a colon, an index without leading zeroes; \
         found {0:?}"
    )]
    Outpoint(String),
    /// Not one form.
    #[error(
        "chain_id and nonce, or 1 to {MOST_OUTPOINTS} outpoints in ascending order, or nonce_account and nonce_value, or blockhash, or expiration were expected; found {0}"
    )]
    Form(String),
}

/// The members as they are in JSON.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    chain_id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outpoints: Option<Vec<Outpoint>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce_account: Option<solana::Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce_value: Option<solana::Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blockhash: Option<solana::Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<u64>,
}

impl Spends {
    /// Outpoints in any order, each once.
    ///
    /// # Errors
    /// [`NotSpends::Form`] unless they are 1 to 100.
    pub fn outpoints(outpoints: impl IntoIterator<Item = Outpoint>) -> Result<Self, NotSpends> {
        let outpoints: BTreeSet<_> = outpoints.into_iter().collect();
        let fits = (1..=MOST_OUTPOINTS).contains(&outpoints.len());
        let found = || NotSpends::Form(format!("{} outpoints", outpoints.len()));
        if fits { Ok(Self::Outpoints(outpoints)) } else { Err(found()) }
    }

    /// Whether a transaction that spends `other` and nothing else spends only what is named here. What
    /// lives by time alone covers nothing: there is nothing to use up.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nonce { .. } | Self::NonceAccount { .. }, _) => self == other,
            (Self::Outpoints(these), Self::Outpoints(others)) => others.is_subset(these),
            _ => false,
        }
    }

    /// Whether another transaction can use it up.
    pub const fn can_be_voided(&self) -> bool {
        match self {
            Self::Nonce { .. } | Self::Outpoints(_) | Self::NonceAccount { .. } => true,
            Self::Blockhash(_) | Self::Expiration(_) => false,
        }
    }
}

impl Outpoint {
    /// The output of a transaction, by its txid as people write it.
    pub(crate) fn of(txid: &str, index: u32) -> Self {
        Self(format!("{txid}:{index}"))
    }
}

impl TryFrom<Form> for Spends {
    type Error = NotSpends;

    fn try_from(form: Form) -> Result<Self, NotSpends> {
        let Form { chain_id, nonce, outpoints, nonce_account, nonce_value, blockhash, expiration } = form;
        match (chain_id, nonce, outpoints, nonce_account, nonce_value, blockhash, expiration) {
            (Some(chain_id), Some(nonce), None, None, None, None, None) => {
                Ok(Self::Nonce { chain_id, nonce })
            }
            (None, None, Some(outpoints), None, None, None, None) => {
                // One spelling of a set: each once, in ascending order.
                let ascending = outpoints.iter().zip(outpoints.iter().skip(1)).all(|(one, next)| one < next);
                let other = || NotSpends::Form("outpoints in another order, or one of them twice".to_owned());
                if ascending { Self::outpoints(outpoints) } else { Err(other()) }
            }
            (None, None, None, Some(account), Some(value), None, None) => {
                Ok(Self::NonceAccount { account, value })
            }
            (None, None, None, None, None, Some(blockhash), None) => Ok(Self::Blockhash(blockhash)),
            (None, None, None, None, None, None, Some(expiration)) => Ok(Self::Expiration(expiration)),
            _ => Err(NotSpends::Form("other members".to_owned())),
        }
    }
}

impl From<Spends> for Form {
    fn from(spends: Spends) -> Self {
        let none = Self::default();
        match spends {
            Spends::Nonce { chain_id, nonce } => {
                Self { chain_id: Some(chain_id), nonce: Some(nonce), ..none }
            }
            Spends::Outpoints(outpoints) => Self { outpoints: Some(outpoints.into_iter().collect()), ..none },
            Spends::NonceAccount { account, value } => {
                Self { nonce_account: Some(account), nonce_value: Some(value), ..none }
            }
            Spends::Blockhash(blockhash) => Self { blockhash: Some(blockhash), ..none },
            Spends::Expiration(expiration) => Self { expiration: Some(expiration), ..none },
        }
    }
}

impl std::str::FromStr for Outpoint {
    type Err = NotSpends;

    fn from_str(text: &str) -> Result<Self, NotSpends> {
        // As much of it as an outpoint is long.
        let other = || NotSpends::Outpoint(text.chars().take(80).collect());
        let (txid, index) = text.split_once(':').ok_or_else(other)?;
        let digits = txid.len() == 64 && txid.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = index.parse::<u32>().is_ok_and(|number| number.to_string() == index);
        if digits && number { Ok(Self(text.to_owned())) } else { Err(other()) }
    }
}

impl TryFrom<String> for Outpoint {
    type Error = NotSpends;

    fn try_from(text: String) -> Result<Self, NotSpends> {
        text.parse()
    }
}

impl From<Outpoint> for String {
    fn from(outpoint: Outpoint) -> Self {
        outpoint.0
    }
}

impl std::fmt::Display for Outpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outpoint(byte: &str, index: u32) -> String {
        format!("{}:{index}", byte.repeat(32))
    }

    fn read(value: Value) -> Result<Spends, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn account(byte: u8) -> String {
        solana::Address::new([byte; 32]).to_string()
    }

    #[test]
    fn every_form_is_written_as_it_was_read() {
        for form in [
            json!({"chain_id": 1, "nonce": 0}),
            json!({"outpoints": [outpoint("00", 0), outpoint("00", 10), outpoint("ab", 4_294_967_295)]}),
            json!({"nonce_account": account(1), "nonce_value": account(2)}),
            json!({"blockhash": account(3)}),
            json!({"expiration": 1_700_000_000_000_u64}),
        ] {
            assert_eq!(serde_json::to_value(read(form.clone()).unwrap()).unwrap(), form);
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for form in [
            json!({}),
            json!({"chain_id": 1}),
            json!({"nonce": 1}),
            json!({"chain_id": 1, "nonce": 1, "expiration": 1}),
            json!({"chain_id": 1, "nonce": -1}),
            json!({"chain_id": "1", "nonce": 1}),
            json!({"outpoints": []}),
            json!({"outpoints": [outpoint("00", 1), outpoint("00", 1)]}),
            json!({"outpoints": [outpoint("01", 0), outpoint("00", 0)]}),
            json!({"outpoints": [outpoint("AB", 0)]}),
            json!({"outpoints": [format!("{}:01", "00".repeat(32))]}),
            json!({"outpoints": [format!("{}:+1", "00".repeat(32))]}),
            json!({"outpoints": ["00:1"]}),
            json!({"outpoints": (0..101).map(|n| outpoint("00", 1000 + n)).collect::<Vec<_>>()}),
            json!({"nonce_account": account(1)}),
            json!({"blockhash": "x"}),
            json!({"other": 1}),
        ] {
            assert!(read(form.clone()).is_err(), "{form}");
        }
    }

    #[test]
    fn what_is_spent_is_covered_by_the_same_or_by_more_of_it() {
        let outpoints = |list: &[(&str, u32)]| {
            Spends::outpoints(list.iter().map(|(byte, at)| outpoint(byte, *at).parse().unwrap())).unwrap()
        };
        let nonce = |chain_id, nonce| Spends::Nonce { chain_id, nonce };
        let account = |account, value| Spends::NonceAccount {
            account: solana::Address::new([account; 32]),
            value: solana::Address::new([value; 32]),
        };
        let two = outpoints(&[("00", 0), ("01", 0)]);
        assert!(nonce(1, 5).covers(&nonce(1, 5)) && two.covers(&two) && two.covers(&outpoints(&[("01", 0)])));
        assert!(account(1, 2).covers(&account(1, 2)));
        let blockhash = Spends::Blockhash(solana::Address::new([2; 32]));
        for (one, other) in [
            (&nonce(1, 5), &nonce(1, 6)),
            (&nonce(1, 5), &nonce(2, 5)),
            (&outpoints(&[("01", 0)]), &two),
            (&two, &outpoints(&[("01", 1)])),
            (&account(1, 2), &account(2, 2)),
            (&account(1, 2), &account(1, 3)),
            (&account(1, 2), &blockhash),
            (&blockhash, &blockhash),
            (&Spends::Expiration(1), &Spends::Expiration(1)),
            (&nonce(1, 5), &two),
        ] {
            assert!(!one.covers(other), "{one:?} {other:?}");
        }
    }
}
