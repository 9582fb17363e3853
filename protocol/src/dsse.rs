//! DSSE v1 envelopes (github.com/secure-systems-lab/dsse): how operators sign policies, orders and
//! activations. Strict: one type of payload at a time, no signature that does not count.

use std::collections::BTreeSet;

use data_encoding::BASE64;
use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey};
use serde::{Deserialize, Serialize};

use crate::{
    base64,
    operators::{Ed25519Key, MAX_OPERATORS, Quorum},
};

/// The payload type of a policy.
pub const POLICY_TYPE: &str = "application/vnd.cofferdam.policy+json";
/// The payload type of an order.
pub const ORDER_TYPE: &str = "application/vnd.cofferdam.order+json";
/// The payload type of an activation.
pub const ACTIVATION_TYPE: &str = "application/vnd.cofferdam.activation+json";
/// The longest envelope, in bytes: with a policy of 256 KiB in base64 and all signatures.
pub const MAX_ENVELOPE: usize = 384 * 1024;

/// Why an envelope is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsseError {
    /// Not an envelope.
    #[error("a DSSE envelope of at most {MAX_ENVELOPE} bytes was expected: {0}")]
    Malformed(&'static str),
    /// A payload of another type.
    #[error("the payload type {0} was expected")]
    Type(&'static str),
    /// One signer twice.
    #[error("one signature of each signer was expected")]
    Duplicate,
    /// A signer who may not.
    #[error("signatures of the measured configuration's keys were expected, and no others")]
    Unknown,
    /// A signature over something else.
    #[error("signatures over this payload were expected")]
    Invalid,
    /// Fewer than the threshold.
    #[error("{expected} signatures were expected, found {found}")]
    TooFew {
        /// The threshold.
        expected: usize,
        /// How many there are.
        found: usize,
    },
}

impl DsseError {
    /// The stable tag.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "dsse.malformed",
            Self::Type(_) => "dsse.type",
            Self::Duplicate => "dsse.duplicate",
            Self::Unknown => "dsse.unknown",
            Self::Invalid => "dsse.invalid",
            Self::TooFew { .. } => "dsse.too_few",
        }
    }
}

// Nothing of it is believed before `verify`.
/// A DSSE envelope (github.com/secure-systems-lab/dsse).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The payload in standard base64.
    payload: String,
    /// What the payload is.
    #[serde(rename = "payloadType")]
    payload_type: String,
    /// Of operators, each once.
    signatures: Vec<EnvelopeSignature>,
}

/// An operator's signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    /// The operator's key: `ed25519:` and 64 hexadecimal digits.
    keyid: String,
    /// The signature in standard base64.
    sig: String,
}

impl Envelope {
    /// Reads an envelope of this payload type.
    ///
    /// # Errors
    /// [`DsseError::Malformed`], [`DsseError::Type`]
    pub fn parse(bytes: &[u8], expected: &'static str) -> Result<Self, DsseError> {
        if bytes.len() > MAX_ENVELOPE {
            return Err(DsseError::Malformed("it is longer"));
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(|_| {
            DsseError::Malformed("JSON with payload, payloadType and signatures, each once, and no more")
        })?;
        if envelope.payload_type != expected {
            return Err(DsseError::Type(expected));
        }
        if envelope.signatures.len() > MAX_OPERATORS {
            return Err(DsseError::Malformed("at most 64 signatures"));
        }
        envelope.payload()?;
        Ok(envelope)
    }

    /// An envelope without signatures.
    pub fn new(payload_type: &'static str, payload: &[u8]) -> Self {
        Self {
            payload: BASE64.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: Vec::new(),
        }
    }

    /// The payload, which nobody may have signed.
    ///
    /// # Errors
    /// [`DsseError::Malformed`]
    pub fn payload(&self) -> Result<Vec<u8>, DsseError> {
        base64::decode(&self.payload).ok_or(DsseError::Malformed("a payload in standard base64 with padding"))
    }

    /// Adds the signature of a key, in place of an earlier one of the same key.
    ///
    /// # Errors
    /// [`DsseError::Malformed`]
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), DsseError> {
        let signature = key.sign(&pre_authentication(&self.payload_type, &self.payload()?));
        let keyid = Ed25519Key::from(key.verifying_key()).to_string();
        self.signatures.retain(|signature| signature.keyid != keyid);
        self.signatures.push(EnvelopeSignature { keyid, sig: BASE64.encode(&signature.to_bytes()) });
        Ok(())
    }

    /// The payload, if the quorum signed it and nobody else did.
    ///
    /// # Errors
    /// [`DsseError`]
    pub fn verify(&self, quorum: &Quorum) -> Result<Vec<u8>, DsseError> {
        let payload = self.payload()?;
        let signed = pre_authentication(&self.payload_type, &payload);
        let mut signers = BTreeSet::new();
        for signature in &self.signatures {
            if !signers.insert(signature.keyid.as_str()) {
                return Err(DsseError::Duplicate);
            }
            let key: Ed25519Key = signature.keyid.parse().map_err(|_| DsseError::Unknown)?;
            if !quorum.keys.contains(&key) {
                return Err(DsseError::Unknown);
            }
            let bytes = base64::decode(&signature.sig).and_then(|bytes| bytes.try_into().ok());
            let bytes: [u8; 64] = bytes.ok_or(DsseError::Invalid)?;
            key.verifying_key()
                .verify_strict(&signed, &Ed25519::from_bytes(&bytes))
                .map_err(|_| DsseError::Invalid)?;
        }
        // A quorum of none signs nothing.
        if !quorum.is_possible() || signers.len() < quorum.threshold {
            return Err(DsseError::TooFew { expected: quorum.threshold.max(1), found: signers.len() });
        }
        Ok(payload)
    }

    /// Who is said to have signed.
    pub fn signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|signature| signature.keyid.as_str())
    }

    /// The JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// DSSE's PAE: `"DSSEv1" SP len(type) SP type SP len(payload) SP payload`.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn quorum(threshold: usize, seeds: &[u8]) -> Quorum {
        Quorum { threshold, keys: seeds.iter().map(|seed| key(*seed).verifying_key().into()).collect() }
    }

    fn signed(seeds: &[u8]) -> Envelope {
        let mut envelope = Envelope::new(POLICY_TYPE, b"{}");
        for seed in seeds {
            envelope.sign(&key(*seed)).unwrap();
        }
        envelope
    }

    #[test]
    fn what_is_signed_is_the_specifications_example() {
        let pae = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(pae, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }

    #[test]
    fn a_quorum_signs_and_more_of_it_may() {
        let quorum = quorum(2, &[1, 2, 3]);
        for seeds in [&[1, 2][..], &[3, 1], &[1, 2, 3]] {
            let json = signed(seeds).to_json();
            let envelope = Envelope::parse(json.as_bytes(), POLICY_TYPE).unwrap();
            assert_eq!(envelope.verify(&quorum).unwrap(), b"{}");
        }
    }

    #[test]
    fn too_few_duplicate_unknown_and_wrong_signatures_are_refused_each_by_its_tag() {
        let quorum = quorum(2, &[1, 2, 3]);
        let tag = |envelope: &Envelope| envelope.verify(&quorum).unwrap_err().tag();
        assert_eq!(tag(&signed(&[])), "dsse.too_few");
        assert_eq!(tag(&signed(&[1])), "dsse.too_few");
        assert_eq!(tag(&signed(&[1, 2, 4])), "dsse.unknown");
        let mut twice = signed(&[1]);
        twice.signatures.push(twice.signatures[0].clone());
        assert_eq!(tag(&twice), "dsse.duplicate");
        let mut swapped = signed(&[1, 2]);
        swapped.signatures[0].sig = swapped.signatures[1].sig.clone();
        assert_eq!(tag(&swapped), "dsse.invalid");
        let mut changed = signed(&[1, 2]);
        changed.payload = BASE64.encode(b"{ }");
        assert_eq!(tag(&changed), "dsse.invalid");
        let mut retyped = signed(&[1, 2]);
        retyped.payload_type = ORDER_TYPE.into();
        assert_eq!(tag(&retyped), "dsse.invalid");
        let mut spelled = signed(&[1, 2]);
        spelled.signatures[0].keyid = spelled.signatures[0].keyid.to_uppercase();
        assert_eq!(tag(&spelled), "dsse.unknown");
    }

    #[test]
    fn an_impossible_quorum_is_never_reached() {
        for quorum in [quorum(0, &[1]), quorum(0, &[]), quorum(1, &[1, 1])] {
            assert!(signed(&[1]).verify(&quorum).is_err());
            assert!(signed(&[]).verify(&quorum).is_err());
        }
    }

    #[test]
    fn only_an_envelope_of_the_type_that_is_asked_for_is_read() {
        let json = signed(&[1]).to_json();
        assert_eq!(Envelope::parse(json.as_bytes(), ORDER_TYPE), Err(DsseError::Type(ORDER_TYPE)));
        let bad = [
            json.replace("\"sig\"", "\"sig\":\"\",\"sig\""),
            json.replace("{\"payload\"", "{\"more\":1,\"payload\""),
            json.replace("e30=", "e30"),
            json.replace("e30=", "e30-"),
            json.replace("e30=", "ew==fQ=="),
            format!("{json}x"),
            String::new(),
        ];
        for bad in bad {
            assert_eq!(Envelope::parse(bad.as_bytes(), POLICY_TYPE).unwrap_err().tag(), "dsse.malformed");
        }
        let many = Envelope { signatures: vec![signed(&[1]).signatures[0].clone(); 65], ..signed(&[]) };
        assert!(Envelope::parse(many.to_json().as_bytes(), POLICY_TYPE).is_err());
    }
}
