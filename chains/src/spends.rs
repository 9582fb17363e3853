//! What would spend what a transaction spends: what to use up so that a signed transaction can never
//! be mined. The log names it for every signature, and an order that voids one names it again.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{solana, text::as_text};

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
        account: solana::SolanaAddress,
        /// Its value.
        value: solana::SolanaAddress,
    },
    /// Nothing: it is good while this blockhash is recent, a minute or two.
    Blockhash(solana::SolanaAddress),
    /// Nothing: it is good until then, milliseconds since 1970.
    Expiration(u64),
}

/// An output of an earlier transaction: its txid as people write it, a colon, its index.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Outpoint(String);

/// Text that is no outpoint, or outpoints that are no set of one transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSpends {
    /// Not an outpoint.
    #[error(
        "expected an outpoint (64 lower-case hexadecimal digits, a colon, an index without leading zeroes), \
         found {0:?}"
    )]
    Outpoint(String),
    /// Too many outpoints, or none, or in another order.
    #[error("expected 1 to {MOST_OUTPOINTS} outpoints in ascending order, found {0}")]
    Outpoints(String),
}

/// The members as they are in JSON.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "expected chain_id and nonce, or outpoints, or nonce_account and nonce_value, or blockhash, or \
                 expiration, found other members"
)]
enum Form {
    Nonce { chain_id: u64, nonce: u64 },
    Outpoints { outpoints: Vec<Outpoint> },
    NonceAccount { nonce_account: solana::SolanaAddress, nonce_value: solana::SolanaAddress },
    Blockhash { blockhash: solana::SolanaAddress },
    Expiration { expiration: u64 },
}

impl Spends {
    /// Outpoints in any order, each once.
    ///
    /// # Errors
    /// [`NotSpends::Outpoints`] unless they are 1 to 100.
    pub fn outpoints(outpoints: impl IntoIterator<Item = Outpoint>) -> Result<Self, NotSpends> {
        let outpoints: BTreeSet<_> = outpoints.into_iter().collect();
        let fits = (1..=MOST_OUTPOINTS).contains(&outpoints.len());
        let found = || NotSpends::Outpoints(outpoints.len().to_string());
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
    pub(crate) fn new(txid: &str, index: u32) -> Self {
        Self(format!("{txid}:{index}"))
    }
}

impl TryFrom<Form> for Spends {
    type Error = NotSpends;

    fn try_from(form: Form) -> Result<Self, NotSpends> {
        Ok(match form {
            Form::Nonce { chain_id, nonce } => Self::Nonce { chain_id, nonce },
            Form::Outpoints { outpoints } => {
                // One spelling of a set: each once, in ascending order.
                let ascending = outpoints.iter().zip(outpoints.iter().skip(1)).all(|(one, next)| one < next);
                if !ascending {
                    return Err(NotSpends::Outpoints("another order, or one of them twice".to_owned()));
                }
                Self::outpoints(outpoints)?
            }
            Form::NonceAccount { nonce_account: account, nonce_value: value } => {
                Self::NonceAccount { account, value }
            }
            Form::Blockhash { blockhash } => Self::Blockhash(blockhash),
            Form::Expiration { expiration } => Self::Expiration(expiration),
        })
    }
}

impl From<Spends> for Form {
    fn from(spends: Spends) -> Self {
        match spends {
            Spends::Nonce { chain_id, nonce } => Self::Nonce { chain_id, nonce },
            Spends::Outpoints(outpoints) => Self::Outpoints { outpoints: outpoints.into_iter().collect() },
            Spends::NonceAccount { account: nonce_account, value: nonce_value } => {
                Self::NonceAccount { nonce_account, nonce_value }
            }
            Spends::Blockhash(blockhash) => Self::Blockhash { blockhash },
            Spends::Expiration(expiration) => Self::Expiration { expiration },
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

as_text!(Outpoint);

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
        solana::SolanaAddress::new([byte; 32]).to_string()
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
            account: solana::SolanaAddress::new([account; 32]),
            value: solana::SolanaAddress::new([value; 32]),
        };
        let two = outpoints(&[("00", 0), ("01", 0)]);
        assert!(nonce(1, 5).covers(&nonce(1, 5)) && two.covers(&two) && two.covers(&outpoints(&[("01", 0)])));
        assert!(account(1, 2).covers(&account(1, 2)));
        let blockhash = Spends::Blockhash(solana::SolanaAddress::new([2; 32]));
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
