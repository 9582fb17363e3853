//! What the API answers to a request for signatures. It is the parent's word: whoever broadcasts a
//! transaction has the network check its signature.

use chains::Chain;
use serde::{Deserialize, Serialize};

/// A transaction that can be broadcast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Its family.
    pub chain: Chain,
    /// In its family's text.
    pub transaction: String,
    /// The network's name of it; empty on Solana while the fee payer has not signed.
    pub id: String,
    /// Which template it matches.
    pub kind: String,
    /// Which network it is for.
    pub network: String,
    /// Of its keys, in their order. Hexadecimal.
    #[serde(default)]
    pub public_keys: Vec<String>,
}
