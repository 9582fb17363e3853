//! The messages between parent and enclave, one CBOR item to a frame. Requests carry an id, so
//! that many can be under way on one connection and answers may overtake each other.

use std::fmt;

use attestation::{
    DocumentHash, Pcr,
    cbor::{self, CborError},
};
use chains::Chain;
use serde::{
    Deserialize, Serialize,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_bytes::ByteBuf;

use crate::{
    Credentials, Deployment, Index, KeyId, KeyPath, Label, Purpose, RecordError, UserRef, frame::MAX_FRAME,
};

/// The most keys that one [`Operation::CreateKeys`] may ask for: their records fit one frame.
pub const MAX_KEYS: usize = 256;
/// The longest nonce for an attestation: the NSM's limit.
pub const MAX_NONCE: usize = 512;

/// What the parent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Chosen by the parent; the answer repeats it.
    pub id: u64,
    /// What to do.
    pub operation: Operation,
}

/// What the enclave answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// The request's.
    pub id: u64,
    /// The answer, or why there is none.
    pub result: Result<Answer, Refusal>,
}

/// The operations. Every one is harmless when repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Who are you? Answered in every phase.
    Describe,
    /// A fresh attestation document with this nonce (1 to [`MAX_NONCE`] bytes).
    Attest {
        /// The asker's challenge.
        nonce: ByteBuf,
    },
    /// Credentials for KMS, replacing earlier ones.
    PutCredentials(Credentials),
    /// Makes and seals keys of one purpose: 1 to [`MAX_KEYS`], in order. Keys are not remembered: the store's
    /// conditional creation decides which record of a key is the one.
    CreateKeys {
        /// What to make.
        #[serde(deserialize_with = "at_most_max_keys")]
        keys: Vec<NewKey>,
    },
    /// Opens a stored record and compares the public key, as signing would.
    CheckRecord {
        /// The key that the record must be of.
        key_id: KeyId,
        /// The stored bytes.
        record: ByteBuf,
    },
}

/// Stops at the first key too many: a frame of 1 MiB has room for far more than it may name.
fn at_most_max_keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<NewKey>, D::Error> {
    struct Keys;

    impl<'de> Visitor<'de> for Keys {
        type Value = Vec<NewKey>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {MAX_KEYS} keys")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<NewKey>, A::Error> {
            let mut keys = Vec::new();
            while let Some(key) = items.next_element()? {
                if keys.len() == MAX_KEYS {
                    return Err(A::Error::invalid_length(MAX_KEYS.saturating_add(1), &self));
                }
                keys.push(key);
            }
            Ok(keys)
        }
    }

    deserializer.deserialize_seq(Keys)
}

/// A key to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose.
    pub user: UserRef,
    /// On which family of chains.
    pub chain: Chain,
    /// For what use.
    pub purpose: Purpose,
    /// Which one.
    pub index: Index,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
}

impl NewKey {
    /// The natural key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

/// The answers, one for each operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// To [`Operation::Describe`].
    Description(Description),
    /// To [`Operation::Attest`]: COSE_Sign1.
    Document(ByteBuf),
    /// To [`Operation::PutCredentials`].
    CredentialsAccepted,
    /// To [`Operation::CreateKeys`]: encoded [`crate::Record`]s, in the order of the request.
    Records(Vec<ByteBuf>),
    /// To [`Operation::CheckRecord`]: it opened, and the public key is the record's.
    RecordOpened,
}

/// Who the enclave is, as it says itself; proven only by the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// The deployment's name.
    pub deployment: Deployment,
    /// Where in its life it is.
    pub phase: Phase,
    /// PCR0 of its image.
    pub pcr0: Pcr,
    /// The attestation document made at boot, which binds the session key.
    pub document: ByteBuf,
    /// Its SHA-256: the name it is to be stored under.
    pub document_hash: DocumentHash,
    /// The enclave's time, in milliseconds since 1970.
    pub time: u64,
}

/// Where in its life an enclave is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Up, but without credentials for KMS that are still valid.
    AwaitingCredentials,
    /// Making and opening keys.
    Serving,
    /// Finishing what is under way; takes nothing new.
    Draining,
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message}")]
pub struct Refusal {
    /// Stable, for programs.
    pub code: RefusalCode,
    /// For people: what was expected. Never a secret, never a user's data.
    pub message: String,
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
    /// A record that does not open: it was changed.
    #[serde(rename = "record.tampered")]
    RecordTampered,
    /// The NSM failed.
    #[serde(rename = "enclave.nsm")]
    Nsm,
    /// A fault of the enclave.
    #[serde(rename = "enclave.internal")]
    Internal,
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
            Self::RecordTampered => "record.tampered",
            Self::Nsm => "enclave.nsm",
            Self::Internal => "enclave.internal",
        }
    }
}

impl Refusal {
    /// Refuses with a reason.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
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

macro_rules! codec {
    ($($message:ty),*) => {$(
        impl $message {
            /// One frame's body.
            ///
            /// # Errors
            /// Never for this type; see [`cbor::encode`].
            pub fn encode(&self) -> Result<Vec<u8>, CborError> {
                cbor::encode(self)
            }

            /// From one frame's body, which must be in the one form that [`Self::encode`] writes.
            ///
            /// # Errors
            /// [`CborError`]
            pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
                cbor::decode_deterministic(bytes, MAX_FRAME)
            }
        }
    )*};
}

codec!(Request, Response);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_read_as_they_were_written() {
        let key = NewKey {
            user: "alice".parse().unwrap(),
            chain: Chain::Solana,
            purpose: Purpose::Sweep,
            index: Index::default(),
            label: None,
        };
        let credentials = Credentials {
            access_key_id: "AKIA".into(),
            secret_access_key: "secret".into(),
            session_token: None,
            expires: Some(1),
        };
        for operation in [
            Operation::Describe,
            Operation::Attest { nonce: ByteBuf::from([1, 2]) },
            Operation::PutCredentials(credentials),
            Operation::CreateKeys { keys: vec![key; 2] },
        ] {
            let request = Request { id: 7, operation };
            assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), request);
            assert!(!format!("{request:?}").contains("secret"));
        }
        let refusal = Refusal::new(RefusalCode::RecordTampered, "no");
        for result in
            [Err(refusal), Ok(Answer::CredentialsAccepted), Ok(Answer::Records(vec![ByteBuf::new()]))]
        {
            let response = Response { id: 7, result };
            assert_eq!(Response::decode(&response.encode().unwrap()).unwrap(), response);
        }
    }

    #[test]
    fn a_code_is_the_same_text_on_the_wire_and_for_people() {
        for code in [RefusalCode::NotReady, RefusalCode::RecordKmsKey, RefusalCode::Internal] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    proptest! {
        #[test]
        fn any_frame_is_decoded_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Request::decode(&bytes);
            let _ = Response::decode(&bytes);
        }
    }
}
