//! What the API answers to a request for signatures. It is the parent's word: whoever broadcasts a
//! transaction has the network check its signature.

use chains::Chain;
use serde::{Deserialize, Serialize};

use crate::{
    client::Problem,
    output::{Sheet, Show},
};

/// A transaction that can be broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Signed {
    /// Its family.
    pub(crate) chain: Chain,
    /// In its family's text.
    pub(crate) transaction: String,
    /// The network's name of it; empty on Solana while the fee payer has not signed.
    pub(crate) id: String,
    /// Which template it matches.
    pub(crate) kind: String,
    /// Which network it is for.
    pub(crate) network: String,
    /// Of its keys, in their order. Hexadecimal.
    #[serde(default)]
    pub(crate) public_keys: Vec<String>,
}

/// One of a batch.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Outcome {
    /// Signed.
    Signed(Signed),
    /// Refused, each for its own reason.
    Refused {
        /// As of a request of its own.
        problem: Problem,
    },
}

impl Show for Signed {
    /// The transaction alone, so that it can be passed on.
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(&self.transaction);
    }
}
