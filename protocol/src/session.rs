//! What a boot's attestation document binds: the session key, and in `user_data` the measured
//! configuration and the active policy.

use attestation::cbor::{self, CborError};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

/// DER SubjectPublicKeyInfo of an Ed25519 key up to the key itself (RFC 8410 §4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// `user_data` holds at most this.
const MAX_BINDING: usize = 512;

/// The Ed25519 key of one boot, public half: it signs address certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionKey(VerifyingKey);

/// A document's `public_key` that is no session key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public_key: the SubjectPublicKeyInfo of an Ed25519 key (RFC 8410) was expected")]
pub struct NotASessionKey;

impl SessionKey {
    /// The key behind an attestation document's `public_key`.
    ///
    /// # Errors
    /// [`NotASessionKey`], for example for the RSA key of a document that was made for KMS.
    pub fn from_spki(spki: &[u8]) -> Result<Self, NotASessionKey> {
        let key =
            spki.strip_prefix(&SPKI_PREFIX).and_then(|key| key.try_into().ok()).ok_or(NotASessionKey)?;
        VerifyingKey::from_bytes(key).map(Self).map_err(|_| NotASessionKey)
    }

    /// 44 bytes of DER for an attestation document's `public_key`.
    pub fn to_spki(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), self.0.as_bytes()].concat()
    }

    /// The key.
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.0
    }

    /// The key as a JSON Web Key's `x` (RFC 8037 §2).
    pub fn x(&self) -> String {
        BASE64URL_NOPAD.encode(self.0.as_bytes())
    }

    /// The JWK thumbprint (RFC 7638, RFC 8037 §A.3): a certificate's `kid`.
    pub fn thumbprint(&self) -> String {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, self.x());
        BASE64URL_NOPAD.encode(&Sha256::digest(jwk.as_bytes()))
    }
}

impl From<VerifyingKey> for SessionKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

/// A policy by version and hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyRef {
    /// Its version; a higher one replaces a lower one.
    pub version: u64,
    /// SHA-256 of its bytes.
    pub sha256: ByteArray<32>,
}

/// The `user_data` of a session's attestation documents, deterministic CBOR.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionBinding {
    /// Version of this format: 1.
    pub v: u8,
    /// SHA-384 of the measured configuration, as the file's bytes.
    pub config: ByteArray<48>,
    /// The active policy, or null before there is one.
    pub policy: Option<PolicyRef>,
}

impl SessionBinding {
    /// The version that this code writes and reads.
    pub const VERSION: u8 = 1;

    /// For `user_data`.
    ///
    /// # Errors
    /// Never for this type; see [`cbor::encode`].
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::encode(self)
    }

    /// From `user_data`.
    ///
    /// # Errors
    /// [`CborError`] when it is something else, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let binding: Self = cbor::decode_deterministic(bytes, MAX_BINDING)?;
        if binding.v == Self::VERSION {
            Ok(binding)
        } else {
            Err(CborError::Shape { expected: "SessionBinding of version 1", at: 0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_jwk_thumbprint_is_rfc_8037s() {
        // RFC 8037, appendix A.2 and A.3.
        let x = BASE64URL_NOPAD.decode(b"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let key = SessionKey::from_spki(&[&SPKI_PREFIX[..], &x].concat()).unwrap();
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(SessionKey::from_spki(&key.to_spki()).unwrap(), key);
    }

    #[test]
    fn an_rsa_key_is_no_session_key() {
        let document = include_bytes!("../../tests/vectors/attestation/nitro-2025-01-06.cose");
        let doc = attestation::AttestationDoc::parse(document).unwrap();
        assert_eq!(SessionKey::from_spki(doc.public_key().unwrap()), Err(NotASessionKey));
    }

    #[test]
    fn a_binding_is_read_as_it_was_written_and_fits() {
        let binding = SessionBinding {
            v: 1,
            config: ByteArray::new([7; 48]),
            policy: Some(PolicyRef { version: u64::MAX, sha256: ByteArray::new([9; 32]) }),
        };
        let bytes = binding.encode().unwrap();
        assert!(bytes.len() <= MAX_BINDING);
        assert_eq!(SessionBinding::decode(&bytes).unwrap(), binding);
        let other = SessionBinding { v: 2, ..binding };
        assert!(SessionBinding::decode(&other.encode().unwrap()).is_err());
    }
}
