//! Operators: their keys, and how many of them must sign.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

/// The most keys of a quorum.
pub const MAX_OPERATORS: usize = 64;

/// Text that is no Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Ed25519 key, ed25519: and 64 lower-case hexadecimal digits, was expected")]
pub struct NotAKey;

/// An Ed25519 key of an operator or a client: `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ed25519Key(VerifyingKey);

impl Ed25519Key {
    /// The key.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }
}

impl From<VerifyingKey> for Ed25519Key {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl FromStr for Ed25519Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.strip_prefix("ed25519:")
            .and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
            // A weak key's signatures verify for many messages.
            .filter(|key| !key.is_weak())
            .map(Self)
            .ok_or(NotAKey)
    }
}

impl TryFrom<String> for Ed25519Key {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<Ed25519Key> for String {
    fn from(key: Ed25519Key) -> Self {
        key.to_string()
    }
}

impl fmt::Display for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", HEXLOWER.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// So many of these keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quorum {
    /// How many must sign.
    pub threshold: usize,
    /// Who may.
    pub keys: Vec<Ed25519Key>,
}

impl Quorum {
    /// Whether the threshold is from 1 to the number of keys, each of which is there once.
    pub fn is_possible(&self) -> bool {
        let repeated = |at: usize, key| self.keys.iter().take(at).any(|earlier| earlier == key);
        let distinct = !self.keys.iter().enumerate().any(|(at, key)| repeated(at, key));
        distinct && self.keys.len() <= MAX_OPERATORS && (1..=self.keys.len()).contains(&self.threshold)
    }
}
