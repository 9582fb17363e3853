//! Why the enclave did not do what it was asked: a stable code, and for people what was expected.

use protocol::{OrderId, RecordError, api::Unexpected};
use serde::{Deserialize, Serialize};

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Refusal {
    /// Which of many rules, when the code alone does not say it: `auth.signature`,
    /// `policy.evm.destination`, …
    pub tag: Option<String>,
    /// Stable, for programs.
    pub code: RefusalCode,
    /// The order that forbids it.
    pub order: Option<OrderId>,
    /// For people: what was expected. Never a secret, never a user's data.
    pub message: String,
    /// Where a value is wrong, what it should be and is.
    pub wrong: Option<Box<Wrong>>,
}

/// What was expected of a value, and what was found in its place, for people. Never a secret, and of a
/// user's data only what a transaction says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrong {
    /// What would have been right.
    pub expected: String,
    /// What there is.
    pub found: String,
}

/// The stable reasons of a [`Refusal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalCode {
    /// Not a request of this protocol.
    #[serde(rename = "request.malformed")]
    RequestMalformed,
    /// The enclave has no valid credentials yet.
    #[serde(rename = "enclave.not_ready")]
    NotReady,
    /// The enclave is shutting down.
    #[serde(rename = "enclave.draining")]
    Draining,
    /// Too much is under way.
    #[serde(rename = "enclave.overloaded")]
    Overloaded,
    /// KMS said no: the key policy, a disabled key, or credentials.
    #[serde(rename = "kms.denied")]
    KmsDenied,
    /// KMS could not be reached, or failed.
    #[serde(rename = "kms.unavailable")]
    KmsUnavailable,
    /// KMS answered something that must not be used, such as a plaintext.
    #[serde(rename = "kms.answer")]
    KmsAnswer,
    /// Not a sealed record.
    #[serde(rename = "record.malformed")]
    RecordMalformed,
    /// A record of another version.
    #[serde(rename = "record.version")]
    RecordVersion,
    /// A record of another key, user or deployment than asked for.
    #[serde(rename = "record.identity")]
    RecordIdentity,
    /// A record whose data key is wrapped under a KMS key that is not this deployment's.
    #[serde(rename = "record.kms_key")]
    RecordKmsKey,
    /// A record of another public key or address than the client expected.
    #[serde(rename = "record.expected")]
    RecordExpected,
    /// A record that does not open: it was changed.
    #[serde(rename = "record.tampered")]
    RecordTampered,
    /// The NSM failed.
    #[serde(rename = "enclave.nsm")]
    Nsm,
    /// A fault of the enclave.
    #[serde(rename = "enclave.internal")]
    Internal,
    /// The request is no client's. The tag says why.
    #[serde(rename = "auth")]
    Unauthenticated,
    /// The client has not the role for it.
    #[serde(rename = "auth.role")]
    Forbidden,
    /// There is no policy in force.
    #[serde(rename = "policy.inactive")]
    PolicyInactive,
    /// A policy, or an activation, that is not taken. The tag says why.
    #[serde(rename = "policy.refused")]
    PolicyRefused,
    /// The policy does not allow it. The tag names the rule.
    #[serde(rename = "policy.denied")]
    Denied,
    /// An order, or the policy, forbids it.
    #[serde(rename = "order.frozen")]
    Frozen,
    /// An order that is not taken. The tag says why.
    #[serde(rename = "order.refused")]
    OrderRefused,
    /// A transaction of no template. The tag says why.
    #[serde(rename = "transaction.refused")]
    TransactionRefused,
    /// The log has not begun, or the parent stores too little of it.
    #[serde(rename = "log.unavailable")]
    LogUnavailable,
}

impl RefusalCode {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RequestMalformed => "request.malformed",
            Self::NotReady => "enclave.not_ready",
            Self::Draining => "enclave.draining",
            Self::Overloaded => "enclave.overloaded",
            Self::KmsDenied => "kms.denied",
            Self::KmsUnavailable => "kms.unavailable",
            Self::KmsAnswer => "kms.answer",
            Self::RecordMalformed => "record.malformed",
            Self::RecordVersion => "record.version",
            Self::RecordIdentity => "record.identity",
            Self::RecordKmsKey => "record.kms_key",
            Self::RecordExpected => "record.expected",
            Self::RecordTampered => "record.tampered",
            Self::Nsm => "enclave.nsm",
            Self::Internal => "enclave.internal",
            Self::Unauthenticated => "auth",
            Self::Forbidden => "auth.role",
            Self::PolicyInactive => "policy.inactive",
            Self::PolicyRefused => "policy.refused",
            Self::Denied => "policy.denied",
            Self::Frozen => "order.frozen",
            Self::OrderRefused => "order.refused",
            Self::TransactionRefused => "transaction.refused",
            Self::LogUnavailable => "log.unavailable",
        }
    }
}

impl Refusal {
    /// Refuses with a reason.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), tag: None, order: None, wrong: None }
    }

    /// With what was expected of a value and what was found, beside the text that says both.
    #[must_use]
    pub fn wrong(self, expected: impl Into<String>, found: impl Into<String>) -> Self {
        let wrong = Wrong { expected: expected.into(), found: found.into() };
        Self { wrong: Some(Box::new(wrong)), ..self }
    }

    /// With the rule's tag.
    #[must_use]
    pub fn tagged(self, tag: impl Into<String>) -> Self {
        Self { tag: Some(tag.into()), ..self }
    }

    /// The tag, or the code where there is none.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(self.code.as_str())
    }
}

impl From<RecordError> for Refusal {
    fn from(error: RecordError) -> Self {
        let code = match error {
            RecordError::Version { .. } => RefusalCode::RecordVersion,
            RecordError::KeyId => RefusalCode::RecordIdentity,
            RecordError::Cbor(_)
            | RecordError::DataKey
            | RecordError::Ciphertext
            | RecordError::PublicKey(_) => RefusalCode::RecordMalformed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<Unexpected> for Refusal {
    fn from(key: Unexpected) -> Self {
        Self::new(RefusalCode::RecordExpected, key.to_string()).wrong(key.expected, key.found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_text_on_the_wire_and_for_people() {
        for code in [RefusalCode::NotReady, RefusalCode::RecordKmsKey, RefusalCode::Internal] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
