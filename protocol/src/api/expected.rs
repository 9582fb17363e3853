//! What a client expects a key to be. The host chooses which record a request is carried out with, and
//! which address a client was shown: a client that kept the address or the public key says so, and
//! the enclave refuses where the opened record's is another.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize};

use super::{BodyError, object::Object};
use crate::{KeyId, RecordHeader};

/// The longest address that is read: more than any family's.
const MAX_ADDRESS: usize = 128;

/// An address, or a public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Object<CheckRequest>", into = "CheckRequest")]
pub enum Expected {
    /// As the address's certificate spells it; on Bitcoin either of the two.
    Address(String),
    /// 33 bytes (secp256k1, compressed) or 32 (Ed25519); as text in lower-case hexadecimal.
    PublicKey(Vec<u8>),
}

/// What one of a request's keys is expected to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Object<ExpectedKeyFields>", into = "ExpectedKeyFields")]
pub struct ExpectedKey {
    /// Which of them.
    pub key_id: KeyId,
    /// Its address or public key.
    pub expected: Expected,
}

/// A key that is not the one that was expected. Both are public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key with the {what} {expected} was expected, found {found}")]
pub struct Unexpected {
    /// `address` or `public key`.
    pub what: &'static str,
    /// The client's.
    pub expected: String,
    /// The record's.
    pub found: String,
}

/// What the key is expected to be: at most one of the two.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// As the address's certificate spells it; on Bitcoin either of the two.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, max_length = 128))]
    address: Option<String>,
    /// 32 or 33 bytes in lower-case hexadecimal.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    public_key: Option<String>,
}

/// What a key is expected to be: exactly one of `address` and `public_key`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(as = ExpectedKey))]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedKeyFields {
    /// One of the request's keys, each once.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    key_id: KeyId,
    /// As the address's certificate spells it; on Bitcoin either of the two.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false, max_length = 128))]
    address: Option<String>,
    /// 32 or 33 bytes in lower-case hexadecimal.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schema(nullable = false))]
    public_key: Option<String>,
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl Expected {
    /// Reads an address or a public key. No address is 64 or 66 digits of lower-case hexadecimal.
    ///
    /// # Errors
    /// [`BodyError`]
    pub fn read(text: &str) -> Result<Self, BodyError> {
        let digits = matches!(text.len(), 64 | 66) && HEXLOWER.decode(text.as_bytes()).is_ok();
        let (address, public_key) =
            if digits { (None, Some(text.to_owned())) } else { (Some(text.to_owned()), None) };
        Self::try_from(CheckRequest { address, public_key })
    }

    /// Whether a key is the one that is expected.
    ///
    /// # Errors
    /// [`Unexpected`]
    pub fn is(&self, header: &RecordHeader) -> Result<(), Unexpected> {
        let refuse = |what, expected: &str, found: &str| {
            Err(Unexpected { what, expected: expected.to_owned(), found: found.to_owned() })
        };
        match self {
            Self::Address(address) => {
                let taproot = header.taproot_address.as_ref();
                if header.address == *address || taproot == Some(address) {
                    Ok(())
                } else {
                    refuse("address", address, &header.address)
                }
            }
            Self::PublicKey(key) if header.public_key == *key => Ok(()),
            Self::PublicKey(key) => {
                refuse("public key", &HEXLOWER.encode(key), &HEXLOWER.encode(&header.public_key))
            }
        }
    }
}

/// Whether a text may be an address of some chain: 1 to 128 letters and digits.
pub fn may_be_address(text: &str) -> bool {
    (1..=MAX_ADDRESS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl TryFrom<Object<CheckRequest>> for Expected {
    type Error = BodyError;

    fn try_from(Object(wire): Object<CheckRequest>) -> Result<Self, BodyError> {
        wire.try_into()
    }
}

impl TryFrom<CheckRequest> for Expected {
    type Error = BodyError;

    fn try_from(wire: CheckRequest) -> Result<Self, BodyError> {
        let expected = |what: &str| BodyError(format!("expected: {what} was expected"));
        match (wire.address, wire.public_key) {
            (Some(address), None) if may_be_address(&address) => Ok(Self::Address(address)),
            (None, Some(key)) if matches!(key.len(), 64 | 66) => HEXLOWER
                .decode(key.as_bytes())
                .map(Self::PublicKey)
                .map_err(|_| expected("a public key in lower-case hexadecimal")),
            _ => Err(expected("one address of letters and digits, or one public key of 32 or 33 bytes,")),
        }
    }
}

impl From<Expected> for CheckRequest {
    fn from(expected: Expected) -> Self {
        match expected {
            Expected::Address(address) => Self { address: Some(address), public_key: None },
            Expected::PublicKey(key) => Self { address: None, public_key: Some(HEXLOWER.encode(&key)) },
        }
    }
}

impl TryFrom<Object<ExpectedKeyFields>> for ExpectedKey {
    type Error = BodyError;

    fn try_from(Object(wire): Object<ExpectedKeyFields>) -> Result<Self, BodyError> {
        let ExpectedKeyFields { key_id, address, public_key } = wire;
        Ok(Self { key_id, expected: CheckRequest { address, public_key }.try_into()? })
    }
}

impl From<ExpectedKey> for ExpectedKeyFields {
    fn from(key: ExpectedKey) -> Self {
        let CheckRequest { address, public_key } = key.expected.into();
        Self { key_id: key.key_id, address, public_key }
    }
}

/// What one of a request's keys is expected to be; a key that nothing is said of may be any.
///
/// # Errors
/// As [`Expected::is`].
pub fn expect(expected: &[ExpectedKey], header: &RecordHeader) -> Result<(), Unexpected> {
    let mut of_key = expected.iter().filter(|expected| expected.key_id == header.key_id);
    of_key.try_for_each(|expected| expected.expected.is(header))
}

/// That each stands for another one of the request's keys.
pub(super) fn distinct(expected: &[ExpectedKey], keys: &[KeyId]) -> Result<(), BodyError> {
    let mut left: std::collections::BTreeSet<&KeyId> = keys.iter().collect();
    if expected.iter().all(|expected| left.remove(&expected.key_id)) {
        Ok(())
    } else {
        Err(BodyError("expected: keys of the request, each once, were expected".into()))
    }
}

/// What a body of `POST /v1/keys/{id}/check` expects of the key; it may be empty.
///
/// # Errors
/// [`BodyError`]
pub fn expected_of_check(body: &[u8]) -> Result<Option<Expected>, BodyError> {
    if body.is_empty() {
        return Ok(None);
    }
    let wire: CheckRequest = super::parse(body)?;
    let nothing = wire.address.is_none() && wire.public_key.is_none();
    if nothing { Ok(None) } else { wire.try_into().map(Some) }
}
