//! Solana addresses: 32 bytes in base58. A wallet's are its Ed25519 public key; a program's
//! account has bytes that are no point of the curve.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{NotAnAddress, text::as_text};

/// Base58 of 32 bytes is never longer.
const MAX_TEXT: usize = 44;

/// 32 to 44 characters.
pub fn address(key: &[u8; 32]) -> String {
    bs58::encode(key).into_string()
}

/// Any 32 bytes that name an account: a wallet, a token account, a mint, a program. As text and in
/// JSON base58, in its one spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SolanaAddress([u8; 32]);

impl SolanaAddress {
    /// The account with these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for SolanaAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let text_of_32 = Some(text).filter(|text| text.len() <= MAX_TEXT);
        let bytes = text_of_32.and_then(|text| bs58::decode(text).into_vec().ok()?.try_into().ok());
        let found = bytes.map(Self).filter(|found| address(&found.0) == text);
        found.ok_or_else(|| NotAnAddress::new("a Solana address, 32 bytes in base58", text))
    }
}

as_text!(SolanaAddress, "addresses");

impl fmt::Display for SolanaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&address(&self.0))
    }
}

impl fmt::Debug for SolanaAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_spelling() {
        for text in [
            "11111111111111111111111111111111",
            "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA",
            "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
        ] {
            assert_eq!(text.parse::<SolanaAddress>().unwrap().to_string(), text);
            for bad in [format!("1{text}"), format!(" {text}"), format!("{text} ")] {
                assert!(bad.parse::<SolanaAddress>().is_err(), "{bad}");
            }
        }
        for bad in ["", "0", "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5Dl", &"1".repeat(45), &"z".repeat(44)]
        {
            assert!(bad.parse::<SolanaAddress>().is_err(), "{bad}");
        }
    }
}
