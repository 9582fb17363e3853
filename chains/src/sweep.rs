//! What all families share when a transaction is to be signed: why it is refused, what it does,
//! which checks it passed, what is signed, and what comes out.
//!
//! The way is the same on every chain. Bytes are parsed strictly into the chain's `Transaction`;
//! that matches the whole template for the keys that shall sign, or is refused; only the `Sweep`
//! that comes out of the match knows what there is to sign. The chain's `Rules` then check it.

use serde::Serialize;

use crate::Amount;

/// Why a transaction is refused: a stable tag for programs, and for people what was expected and
/// what was found. Holds what the transaction says, which is public, and never anything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{tag}: {allowed} was expected, found {found}")]
pub struct Refused {
    /// Stable: `transaction.evm.type`, `policy.evm.destination`, …
    pub tag: &'static str,
    /// What the transaction says.
    pub found: String,
    /// What would have been right.
    pub allowed: String,
}

impl Refused {
    /// Refuses with a reason.
    pub fn new(tag: &'static str, allowed: impl Into<String>, found: impl Into<String>) -> Self {
        Self { tag, found: found.into(), allowed: allowed.into() }
    }
}

/// One rule of the policy, applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The rule's stable tag.
    pub tag: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// What the transaction says.
    pub found: String,
    /// What the rule allows.
    pub allowed: String,
}

impl Check {
    /// A rule, and whether it holds.
    pub fn new(tag: &'static str, holds: bool, allowed: impl Into<String>, found: impl Into<String>) -> Self {
        Self { tag, holds, found: found.into(), allowed: allowed.into() }
    }

    /// The refusal of a rule that does not hold.
    pub fn refusal(&self) -> Option<Refused> {
        (!self.holds).then(|| Refused::new(self.tag, self.allowed.clone(), self.found.clone()))
    }
}

/// That a transaction which moves nothing, and only uses up what another one spends, takes an order: no
/// rule allows it.
pub(crate) fn void(kind: &str) -> Check {
    let allowed = "a transaction that moves something, or an order that voids what it spends";
    Check::new("policy.void", false, allowed, kind)
}

/// What leaves a key's address for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Transfer {
    /// `native`, or the token: a contract's or a mint's address.
    pub asset: String,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
    /// Whom it pays: an address, on Solana the token account where it is one.
    pub destination: String,
}

/// What one of the signing keys gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The position of the key among the request's.
    pub key: usize,
    /// As [`Transfer::asset`].
    pub asset: String,
    /// How much, in the asset's smallest unit.
    pub amount: Amount,
}

/// What the signer sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Which template matched: `evm.native`, `evm.erc20`, `evm.cancel`, `bitcoin.sweep`,
    /// `solana.sol`, `solana.spl`, `solana.advance`, `tron.trx`, `tron.trc20`.
    pub kind: &'static str,
    /// Which network, where the transaction says it: `evm:1`, `bitcoin:mainnet`; otherwise the
    /// family: `solana`, `tron`.
    pub network: String,
    /// Every payment that the transaction makes.
    pub transfers: Vec<Transfer>,
    /// What each key gives.
    pub sources: Vec<Source>,
    /// The most that the network may take, in the native asset's smallest unit.
    pub fee: Amount,
}

/// What one key signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningInput {
    /// The position of the key among the request's.
    pub key: usize,
    /// What, and how.
    pub message: ToSign,
}

/// What is signed, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSign {
    /// ECDSA over secp256k1 of this digest: RFC 6979 nonce, low s. The signature is 65 bytes,
    /// r ‖ s ‖ recovery id (0 or 1).
    Ecdsa([u8; 32]),
    /// BIP-340 of this digest by the key tweaked as BIP-86 says. The signature is 64 bytes.
    TaprootKeySpend([u8; 32]),
    /// Ed25519 (RFC 8032) of this message. The signature is 64 bytes.
    Ed25519(Vec<u8>),
}

impl ToSign {
    /// Its name (`ecdsa`, `taproot`, `ed25519`) and the bytes that are signed.
    pub fn described(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Ecdsa(digest) => ("ecdsa", digest),
            Self::TaprootKeySpend(digest) => ("taproot", digest),
            Self::Ed25519(message) => ("ed25519", message),
        }
    }
}

/// A transaction that can be broadcast.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// As the network takes it.
    pub bytes: Vec<u8>,
    /// The network's name of it, in the network's own spelling.
    pub id: String,
}
