//! COSE_Sign1 (RFC 9052 §4.2) as AWS's tools sign images: the algorithm as the one protected
//! header, no unprotected ones, no tag, the payload inside.

use std::collections::BTreeMap;

use attestation::cbor;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, EcdsaVerificationAlgorithm,
    UnparsedPublicKey,
};
use serde_bytes::ByteBuf;

use super::{SignatureError, string};

/// A payload is a register and its index; this is far more.
const MAX_MESSAGE: usize = 4096;

/// The curves that AWS's tools sign with; each has one algorithm (RFC 9053 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    /// The protected header `{1: algorithm}`.
    pub(super) const fn header(self) -> &'static [u8] {
        match self {
            Self::P256 => &[0xa1, 0x01, 0x26],
            Self::P384 => &[0xa1, 0x01, 0x38, 0x22],
            Self::P521 => &[0xa1, 0x01, 0x38, 0x23],
        }
    }

    fn algorithm(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::P521 => &ECDSA_P521_SHA512_FIXED,
        }
    }
}

/// A signed message. Not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign1 {
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Sign1 {
    /// A message that is signed by `signature`.
    pub(super) fn new(curve: Curve, payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { protected: curve.header().to_vec(), payload, signature }
    }

    /// Reads the one encoding of a message.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        type Fields = (ByteBuf, BTreeMap<i64, ByteBuf>, ByteBuf, ByteBuf);
        let (protected, unprotected, payload, signature): Fields = cbor::decode(bytes, MAX_MESSAGE).ok()?;
        let [protected, payload, signature] = [protected, payload, signature].map(ByteBuf::into_vec);
        let message = Self { protected, payload, signature };
        (unprotected.is_empty() && message.encode()? == bytes).then_some(message)
    }

    /// The bytes.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let none = BTreeMap::<i64, i64>::new();
        cbor::encode(&(string(&self.protected), none, string(&self.payload), string(&self.signature))).ok()
    }

    /// What is signed, of which nothing is known before [`Sign1::verify`].
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn verify(&self, curve: Curve, key: &[u8]) -> Result<(), SignatureError> {
        if self.protected != curve.header() {
            return Err(SignatureError::Algorithm);
        }
        let signed = to_be_signed(curve, &self.payload).ok_or(SignatureError::Signature)?;
        UnparsedPublicKey::new(curve.algorithm(), key)
            .verify(&signed, &self.signature)
            .map_err(|_| SignatureError::Signature)
    }
}

/// RFC 9052 §4.4: `["Signature1", protected, h'', payload]`.
pub(super) fn to_be_signed(curve: Curve, payload: &[u8]) -> Option<Vec<u8>> {
    cbor::encode(&("Signature1", string(curve.header()), string(&[]), string(payload))).ok()
}
