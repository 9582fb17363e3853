//! Clients: who may ask, and for what.

use std::collections::BTreeSet;

use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};

use crate::operators::Ed25519Key;

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Make addresses and secondary wallets.
    #[serde(rename = "address.create")]
    AddressCreate,
    /// Sign with `sweep` keys.
    #[serde(rename = "sign.sweep")]
    SignSweep,
    /// Sign with secondary wallets.
    #[serde(rename = "sign.secondary")]
    SignSecondary,
    /// Read keys and check their records.
    #[serde(rename = "keys.read")]
    KeysRead,
    /// Have keys rewrapped under the deployment's first KMS key.
    #[serde(rename = "keys.rewrap")]
    KeysRewrap,
    /// Read the policy, orders and the log.
    #[serde(rename = "audit.read")]
    AuditRead,
    /// Submit orders that operators signed.
    #[serde(rename = "order.submit")]
    OrderSubmit,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 7] = [
        Self::AddressCreate,
        Self::SignSweep,
        Self::SignSecondary,
        Self::KeysRead,
        Self::KeysRewrap,
        Self::AuditRead,
        Self::OrderSubmit,
    ];

    /// The name in policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AddressCreate => "address.create",
            Self::SignSweep => "sign.sweep",
            Self::SignSecondary => "sign.secondary",
            Self::KeysRead => "keys.read",
            Self::KeysRewrap => "keys.rewrap",
            Self::AuditRead => "audit.read",
            Self::OrderSubmit => "order.submit",
        }
    }
}

/// The name of a client: 1 to 64 of a-z, 0-9 and . _ -
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(String);

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text))
        } else {
            Err("id: 1 to 64 characters of a-z, 0-9 and . _ - were expected")
        }
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0
    }
}

/// A program of the exchange, or a person with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    id: ClientId,
    key: Ed25519Key,
    #[serde(deserialize_with = "super::set")]
    roles: BTreeSet<Role>,
}

impl Client {
    /// The `keyid` of its requests.
    pub fn id(&self) -> &str {
        &self.id.0
    }

    /// The key that signs its requests.
    pub const fn key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    /// What it may do.
    pub const fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
    }
}
