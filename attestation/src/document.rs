//! The attestation document: COSE_Sign1 (RFC 9052) around AWS's CBOR map (`payload`), parsed
//! strictly and *not* verified. Source: aws/aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`.
//!
//! Only the enclave itself may take what its own NSM said from here. Everyone else goes through
//! [`crate::verify`], the one way to a `Verified<AttestationDoc>`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use crate::{
    Pcr, PcrIndex,
    cbor::{self, CborError},
};
use payload::Payload;

mod payload;

/// The longest document that is read: the NSM's own limit for a response.
pub const MAX_DOCUMENT: usize = 0x3000;
/// The protected header `{1: -35}`: ES384.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
/// COSE_Sign1 may carry tag 18.
const TAG_COSE_SIGN1: u8 = 0xd2;

/// Why bytes are not an attestation document. Each limit is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not the CBOR of a COSE_Sign1.
    #[error("an attestation document: {0}")]
    Cbor(#[from] CborError),
    /// Not the CBOR of AWS's map, at an offset of the payload.
    #[error("an attestation document's payload: {0}")]
    Payload(CborError),
    /// A header or the signature has another form than ES384's.
    #[error(
        "COSE_Sign1 with the protected header a1013822 (ES384), no unprotected header and a signature of 96 bytes was expected"
    )]
    Cose,
    /// A field is empty, too long or of an unknown kind.
    #[error("the field {field}: {expected} was expected")]
    Field {
        /// The field's name in the payload.
        field: &'static str,
        /// What AWS's specification says.
        expected: &'static str,
    },
    /// A field that every document has is not there.
    #[error("the field {field} was expected, found none")]
    Missing {
        /// The field's name in the payload.
        field: &'static str,
    },
    /// A field, or a register, stands in the payload twice.
    #[error("each key of a map once was expected, found one again at byte {at} of the payload")]
    Repeated {
        /// Offset of the second one.
        at: usize,
    },
    /// A document of an EC2 instance with a NitroTPM, which AWS signs under the same root.
    #[error(
        "a Nitro Enclave's document was expected, found a NitroTPM's (field nitrotpm_pcrs): it speaks for an EC2 instance, not for an enclave"
    )]
    NitroTpm,
    /// Not the hash of a document as text.
    #[error("64 lower-case hexadecimal digits of a document's SHA-256 were expected, found other text")]
    Hash,
}

/// A parsed document whose limits hold. Nothing of it is proven yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationDoc {
    module_id: String,
    timestamp: u64,
    pcrs: BTreeMap<PcrIndex, Pcr>,
    certificate: Vec<u8>,
    cabundle: Vec<Vec<u8>>,
    public_key: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
    signature: Vec<u8>,
    signed: Vec<u8>,
    hash: DocumentHash,
}

impl AttestationDoc {
    /// Parses a document, tagged or not, and checks every limit of AWS's specification.
    ///
    /// # Errors
    /// [`DocumentError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let untagged = match bytes.split_first() {
            Some((&TAG_COSE_SIGN1, rest)) => rest,
            _ => bytes,
        };
        type CoseSign1 = (ByteBuf, BTreeMap<i64, ByteBuf>, ByteBuf, ByteBuf);
        let (protected, unprotected, payload, signature): CoseSign1 = cbor::decode(untagged, MAX_DOCUMENT)?;
        if protected.as_slice() != PROTECTED || !unprotected.is_empty() || signature.len() != 96 {
            return Err(DocumentError::Cose);
        }
        // serde_cbor would take text or numbers for byte strings: one document, one form.
        let strings = [&protected, &payload, &signature].map(|bytes| Bytes::new(bytes));
        if cbor::encode(&(strings[0], &unprotected, strings[1], strings[2]))? != untagged {
            return Err(DocumentError::Cose);
        }
        let read = Payload::read(&payload).map_err(|error| match error {
            DocumentError::Cbor(error) => DocumentError::Payload(error),
            other => other,
        })?;
        // RFC 9052 §4.4: what ES384 signs.
        let signed =
            cbor::encode(&("Signature1", Bytes::new(&PROTECTED), Bytes::new(&[]), Bytes::new(&payload)))?;
        Ok(Self {
            module_id: read.module_id.to_owned(),
            timestamp: read.timestamp,
            pcrs: read.pcrs,
            certificate: read.certificate.to_vec(),
            cabundle: read.cabundle.into_iter().map(<[u8]>::to_vec).collect(),
            public_key: read.public_key.map(<[u8]>::to_vec),
            user_data: read.user_data.map(<[u8]>::to_vec),
            nonce: read.nonce.map(<[u8]>::to_vec),
            signature: signature.into_vec(),
            signed,
            hash: DocumentHash::of(bytes),
        })
    }

    /// `i-…-enc…`: the instance and the enclave.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// When the NSM signed, in milliseconds since 1970.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The registers that the document names.
    pub fn pcrs(&self) -> &BTreeMap<PcrIndex, Pcr> {
        &self.pcrs
    }

    /// One register.
    pub fn pcr(&self, index: PcrIndex) -> Option<Pcr> {
        self.pcrs.get(&index).copied()
    }

    /// The leaf certificate, DER: its key signed the document.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The issuers, DER, root first.
    pub fn cabundle(&self) -> &[Vec<u8>] {
        &self.cabundle
    }

    /// What the enclave asked to be bound: DER SubjectPublicKeyInfo by convention.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// What the enclave asked to be bound: application data.
    pub fn user_data(&self) -> Option<&[u8]> {
        self.user_data.as_deref()
    }

    /// What the asker gave against replay.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// r ‖ s, 48 bytes each.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The Sig_structure that [`Self::signature`] is over.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.signed
    }

    /// SHA-256 of the document as it was given: the name it is stored under.
    pub fn hash(&self) -> DocumentHash {
        self.hash
    }
}

/// SHA-256 of a document's bytes; 64 lower-case hexadecimal digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentHash([u8; 32]);

impl DocumentHash {
    /// The hash of these bytes.
    pub fn of(document: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, document);
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for DocumentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl FromStr for DocumentHash {
    type Err = DocumentError;

    fn from_str(text: &str) -> Result<Self, DocumentError> {
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(DocumentError::Hash)
    }
}

impl Serialize for DocumentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DocumentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
