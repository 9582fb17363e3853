//! The families, and the addresses of a key in one of them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{BitcoinNetwork, Curve, PublicKey, PublicKeyError, bitcoin, evm, solana, tron};

/// A family of chains of one key and address form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Chain {
    /// Ethereum and every network with its addresses: secp256k1, EIP-55.
    Evm,
    /// Bitcoin: secp256k1, P2WPKH and P2TR.
    Bitcoin,
    /// Solana: Ed25519, base58.
    Solana,
    /// Tron: secp256k1, base58check.
    Tron,
}

/// A name that is no family's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected evm, bitcoin, solana or tron, found another name")]
pub struct UnknownChain;

impl Chain {
    /// All families.
    pub const ALL: [Self; 4] = [Self::Evm, Self::Bitcoin, Self::Solana, Self::Tron];

    /// The name in requests, records and certificates.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evm => "evm",
            Self::Bitcoin => "bitcoin",
            Self::Solana => "solana",
            Self::Tron => "tron",
        }
    }

    /// The curve of its keys.
    pub const fn curve(self) -> Curve {
        match self {
            Self::Evm | Self::Bitcoin | Self::Tron => Curve::Secp256k1,
            Self::Solana => Curve::Ed25519,
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Chain {
    type Err = UnknownChain;

    fn from_str(text: &str) -> Result<Self, UnknownChain> {
        Self::ALL.into_iter().find(|chain| chain.as_str() == text).ok_or(UnknownChain)
    }
}

/// Where a key can be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// On Bitcoin, the same key's P2TR address (BIP-86).
    pub taproot: Option<String>,
}

/// The addresses of `key` in the family `chain`.
///
/// # Errors
/// [`PublicKeyError::Curve`] when the key is on another curve than the family's.
pub fn addresses(
    chain: Chain,
    key: &PublicKey,
    network: BitcoinNetwork,
) -> Result<Addresses, PublicKeyError> {
    let one = |address| Addresses { address, taproot: None };
    match (chain, key) {
        (Chain::Evm, PublicKey::Secp256k1(key)) => Ok(one(evm::address(key))),
        (Chain::Tron, PublicKey::Secp256k1(key)) => Ok(one(tron::address(key))),
        (Chain::Bitcoin, PublicKey::Secp256k1(key)) => Ok(Addresses {
            address: bitcoin::p2wpkh(key, network)?,
            taproot: Some(bitcoin::p2tr(key, network)?),
        }),
        (Chain::Solana, PublicKey::Ed25519(key)) => Ok(one(solana::address(key))),
        (Chain::Evm | Chain::Tron | Chain::Bitcoin, PublicKey::Ed25519(_))
        | (Chain::Solana, PublicKey::Secp256k1(_)) => Err(PublicKeyError::Curve),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_nothing_else_is() {
        for chain in Chain::ALL {
            assert_eq!(chain.as_str().parse(), Ok(chain));
            assert_eq!(serde_json::to_string(&chain).unwrap(), format!("\"{chain}\""));
        }
        for name in ["", "EVM", "ethereum", "evm "] {
            assert_eq!(name.parse::<Chain>(), Err(UnknownChain));
        }
    }

    #[test]
    fn a_key_of_another_curve_has_no_address() {
        let ed25519 = PublicKey::from_bytes(Curve::Ed25519, &[0x20; 32]);
        let key = ed25519.or_else(|_| PublicKey::from_bytes(Curve::Ed25519, &[1; 32])).unwrap();
        assert_eq!(addresses(Chain::Evm, &key, BitcoinNetwork::Mainnet), Err(PublicKeyError::Curve));
    }
}
