//! Orders: operators' word that counts at once. An order freezes, pauses or retires; one alone allows
//! something, a transaction that moves nothing and makes one worthless that was signed. Specified in
//! `docs/policy.md`.

mod id;
mod set;

use chains::{Chain, Spends};
use serde::{Deserialize, Serialize};

pub use id::OrderId;
pub use set::{MAX_HELD, MAX_ORDERS, MAX_RETIREMENTS, OrderSet, TooManyOrders};

use crate::{Deployment, Index, KeyId, KeyPath, Label, NewKey, Purpose, UserRef, timestamp::Timestamp};

/// The longest order's payload, in bytes.
pub const MAX_ORDER: usize = 16 * 1024;

/// Why a payload is no order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not this JSON.
    #[error("an order of at most {MAX_ORDER} bytes of the documented JSON was expected: {0}")]
    Malformed(String),
    /// A replacement that is not the key's next.
    #[error("replacement: the same user, chain and purpose as the key's, at its next index, were expected")]
    Replacement,
}

impl OrderError {
    /// The stable tag.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "order.malformed",
            Self::Replacement => "order.replacement",
        }
    }
}

/// What an order does: it restricts, but for [`Restriction::Void`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restriction {
    /// Nothing is signed.
    FreezeAll,
    /// Nothing is signed on a chain.
    FreezeChain {
        /// The family.
        chain: Chain,
    },
    /// Nothing is signed with a user's keys.
    FreezeUser {
        /// Whose.
        user: UserRef,
    },
    /// Nothing is signed with a key.
    FreezeKey {
        /// Which.
        key_id: KeyId,
    },
    /// Deposits are not to be credited.
    PauseCrediting {
        /// On this chain alone; on all without one.
        chain: Option<Chain>,
    },
    /// A key is not given out any more. A secondary wallet signs no more; a `sweep` key still brings
    /// late deposits home.
    RetireKey {
        /// Which.
        key_id: KeyId,
        /// What replaces it: the next index of the same user, chain and purpose.
        replacement: Option<NewKey>,
    },
    /// A transaction that moves nothing and spends no more than this may be signed, frozen or not: so
    /// that what was signed before can never be mined.
    Void {
        /// With which key.
        key_id: KeyId,
        /// What it may use up, as the log names it for the transaction that it ends.
        spends: Spends,
    },
}

impl Restriction {
    /// Whether it stops something, as a freeze or a pause does.
    pub const fn stops(&self) -> bool {
        !matches!(self, Self::RetireKey { .. } | Self::Void { .. })
    }

    /// The name in JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::FreezeAll => "freeze_all",
            Self::FreezeChain { .. } => "freeze_chain",
            Self::FreezeUser { .. } => "freeze_user",
            Self::FreezeKey { .. } => "freeze_key",
            Self::PauseCrediting { .. } => "pause_crediting",
            Self::RetireKey { .. } => "retire_key",
            Self::Void { .. } => "void",
        }
    }
}

/// An order. Whether operators signed it is its envelope's matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    id: OrderId,
    deployment: Deployment,
    restriction: Restriction,
    reason: Label,
    issued_at: Timestamp,
}

/// The fields as they are in JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    deployment: Deployment,
    r#type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<Chain>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<KeyId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replacement: Option<NewKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spends: Option<Spends>,
    reason: Label,
    issued_at: Timestamp,
}

impl Order {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`OrderError`]
    pub fn parse(payload: &[u8]) -> Result<Self, OrderError> {
        if payload.len() > MAX_ORDER {
            return Err(OrderError::Malformed("it is longer".into()));
        }
        let wire: Wire = serde_json::from_slice(payload).map_err(|error| {
            OrderError::Malformed(format!("line {} column {}", error.line(), error.column()))
        })?;
        let Wire { v, deployment, r#type, chain, user, key_id, replacement, spends, reason, issued_at } =
            wire;
        let wrong = |what: &str| OrderError::Malformed(what.into());
        if v != 1 {
            return Err(wrong("v: 1"));
        }
        let restriction = match (r#type.as_str(), chain, user, key_id, replacement, spends) {
            ("freeze_all", None, None, None, None, None) => Restriction::FreezeAll,
            ("freeze_chain", Some(chain), None, None, None, None) => Restriction::FreezeChain { chain },
            ("freeze_user", None, Some(user), None, None, None) => Restriction::FreezeUser { user },
            ("freeze_key", None, None, Some(key_id), None, None) => Restriction::FreezeKey { key_id },
            ("pause_crediting", chain, None, None, None, None) => Restriction::PauseCrediting { chain },
            ("void", None, None, Some(key_id), None, Some(spends)) => {
                if !spends.can_be_voided() {
                    return Err(wrong(
                        "spends: a nonce, outpoints or a nonce account: nothing else can be used up",
                    ));
                }
                Restriction::Void { key_id, spends }
            }
            ("retire_key", None, None, Some(key_id), replacement, None) => {
                if let Some(replacement) = &replacement
                    && !is_next(&deployment, &key_id, replacement)
                {
                    return Err(OrderError::Replacement);
                }
                Restriction::RetireKey { key_id, replacement }
            }
            _ => return Err(wrong("a known type with exactly its own fields")),
        };
        Ok(Self { id: OrderId::from_payload(payload), deployment, restriction, reason, issued_at })
    }

    /// The payload of a new order, for operators to sign.
    pub fn payload(
        deployment: &Deployment,
        restriction: &Restriction,
        reason: &Label,
        issued_at: Timestamp,
    ) -> Vec<u8> {
        let mut wire = Wire {
            v: 1,
            deployment: deployment.clone(),
            r#type: restriction.kind().to_owned(),
            chain: None,
            user: None,
            key_id: None,
            replacement: None,
            spends: None,
            reason: reason.clone(),
            issued_at,
        };
        match restriction.clone() {
            Restriction::FreezeAll => {}
            Restriction::FreezeChain { chain } => wire.chain = Some(chain),
            Restriction::FreezeUser { user } => wire.user = Some(user),
            Restriction::FreezeKey { key_id } => wire.key_id = Some(key_id),
            Restriction::PauseCrediting { chain } => wire.chain = chain,
            Restriction::Void { key_id, spends } => {
                wire.key_id = Some(key_id);
                wire.spends = Some(spends);
            }
            Restriction::RetireKey { key_id, replacement } => {
                wire.key_id = Some(key_id);
                wire.replacement = replacement;
            }
        }
        // Names and numbers always encode.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    /// SHA-256 of the payload.
    pub const fn id(&self) -> OrderId {
        self.id
    }

    /// For which deployment.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// What it restricts.
    pub const fn restriction(&self) -> &Restriction {
        &self.restriction
    }

    /// Why, for people.
    pub const fn reason(&self) -> &Label {
        &self.reason
    }

    /// When, by the word of whoever wrote it.
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// The key that it retires.
    pub const fn retires(&self) -> Option<&KeyId> {
        match &self.restriction {
            Restriction::RetireKey { key_id, .. } => Some(key_id),
            _ => None,
        }
    }

    /// What replaces the key that it retires.
    pub const fn replacement(&self) -> Option<&NewKey> {
        match &self.restriction {
            Restriction::RetireKey { replacement, .. } => replacement.as_ref(),
            _ => None,
        }
    }
}

/// Whether the key before the replacement is the one that is retired. A secondary wallet needs a note.
fn is_next(deployment: &Deployment, key_id: &KeyId, replacement: &NewKey) -> bool {
    let before = u64::from(replacement.index).checked_sub(1).and_then(|index| Index::try_from(index).ok());
    let named = replacement.purpose != Purpose::Secondary || replacement.label.is_some();
    named
        && before.is_some_and(|index| {
            KeyId::derive(deployment, &KeyPath { index, ..replacement.path() }) == *key_id
        })
}

#[cfg(test)]
mod tests;
