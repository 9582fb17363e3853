//! What a transaction adds to running counts, and under which anchors: of all transactions on one
//! anchor the network takes one, so that a count needs only the greatest of them.

use sha2::{Digest, Sha256};

use crate::{Amount, FeeCap, Velocity};

/// A name of something that a transaction uses up and no other can use again: a nonce of an account,
/// an output, or where there is nothing of the kind the transaction itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor([u8; 32]);

impl Anchor {
    /// From what it names, written so that no two things are written alike.
    pub fn from_name(name: &str) -> Self {
        Self(Sha256::digest(name).into())
    }
}

/// What a transaction adds to a running count, and the bounds of that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// Stable name of what is counted: `evm:1/native`, `evm:1/<token>`, `evm:1/fee`, …
    pub name: String,
    /// The tag of the refusal when the bound is passed: `policy.evm.velocity`, `policy.evm.fee`, ….
    pub tag: &'static str,
    /// What the transaction adds.
    pub counts: Vec<Count>,
    /// The bound for each key; a fee has none.
    pub per_key_per_day: Option<Amount>,
    /// The bound for all keys.
    pub per_day: Amount,
}

impl Meter {
    /// Of an asset that leaves.
    pub(crate) fn of_asset(name: String, tag: &'static str, counts: Vec<Count>, velocity: Velocity) -> Self {
        let Velocity { per_key_per_day, per_day } = velocity;
        Self { name, tag, counts, per_key_per_day: Some(per_key_per_day), per_day }
    }

    /// Of fees.
    pub(crate) const fn of_fee(name: String, tag: &'static str, counts: Vec<Count>, cap: FeeCap) -> Self {
        Self { name, tag, counts, per_key_per_day: None, per_day: cap.per_day }
    }
}

/// An amount that stands under an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The position of the key among the request's.
    pub key: usize,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
    /// What it may stand under: one at least. The transaction uses up all of them, so any will do; one
    /// that is known from another transaction counts both once, where they are of one key.
    pub anchors: Vec<Anchor>,
}
