//! The attestation document: COSE_Sign1 (RFC 9052) around AWS's CBOR map, parsed strictly and
//! *not* verified. Source: aws/aws-nitro-enclaves-nsm-api, `docs/attestation_process.md`.
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

/// The longest document that is read: the NSM's own limit for a response.
pub const MAX_DOCUMENT: usize = 0x3000;
/// The longest certificate, public key, user data and nonce that are read.
const MAX_FIELD: usize = 1024;
/// The protected header `{1: -35}`: ES384.
const PROTECTED: [u8; 4] = [0xa1, 0x01, 0x38, 0x22];
/// COSE_Sign1 may carry tag 18.
const TAG_COSE_SIGN1: u8 = 0xd2;

/// Why bytes are not an attestation document. Each limit is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not the CBOR of a COSE_Sign1 or of the payload.
    #[error("an attestation document: {0}")]
    Cbor(#[from] CborError),
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
}

const fn field(field: &'static str, expected: &'static str) -> DocumentError {
    DocumentError::Field { field, expected }
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

#[derive(Deserialize)]
struct Payload {
    module_id: String,
    digest: String,
    timestamp: u64,
    pcrs: BTreeMap<u8, ByteBuf>,
    certificate: ByteBuf,
    cabundle: Vec<ByteBuf>,
    #[serde(default)]
    public_key: Option<ByteBuf>,
    #[serde(default)]
    user_data: Option<ByteBuf>,
    #[serde(default)]
    nonce: Option<ByteBuf>,
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
        let raw: Payload = cbor::decode(&payload, MAX_DOCUMENT)?;
        // RFC 9052 §4.4: what ES384 signs.
        let signed =
            cbor::encode(&("Signature1", Bytes::new(&PROTECTED), Bytes::new(&[]), Bytes::new(&payload)))?;
        raw.check()?;
        Ok(Self {
            module_id: raw.module_id,
            timestamp: raw.timestamp,
            pcrs: raw.pcrs.iter().map(|(index, value)| pcr(*index, value)).collect::<Result<_, _>>()?,
            certificate: raw.certificate.into_vec(),
            cabundle: raw.cabundle.into_iter().map(ByteBuf::into_vec).collect(),
            public_key: raw.public_key.map(ByteBuf::into_vec),
            user_data: raw.user_data.map(ByteBuf::into_vec),
            nonce: raw.nonce.map(ByteBuf::into_vec),
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

impl Payload {
    fn check(&self) -> Result<(), DocumentError> {
        let length = |name, bytes: &Option<ByteBuf>, least: usize| match bytes {
            Some(bytes) if !(least..=MAX_FIELD).contains(&bytes.len()) => {
                Err(field(name, "absent, null or at most 1024 bytes"))
            }
            _ => Ok(()),
        };
        let certificate = |name, bytes: &ByteBuf| match bytes.len() {
            1..=MAX_FIELD => Ok(()),
            _ => Err(field(name, "a certificate of 1 to 1024 bytes")),
        };
        if self.module_id.is_empty() {
            return Err(field("module_id", "text that is not empty"));
        }
        if self.digest != "SHA384" {
            return Err(field("digest", "SHA384"));
        }
        if self.timestamp == 0 {
            return Err(field("timestamp", "milliseconds above 0"));
        }
        if self.pcrs.is_empty() {
            return Err(field("pcrs", "1 to 32 registers"));
        }
        if self.cabundle.is_empty() {
            return Err(field("cabundle", "at least one certificate"));
        }
        certificate("certificate", &self.certificate)?;
        self.cabundle.iter().try_for_each(|issuer| certificate("cabundle", issuer))?;
        length("public_key", &self.public_key, 1)?;
        length("user_data", &self.user_data, 0)?;
        length("nonce", &self.nonce, 0)
    }
}

fn pcr(index: u8, value: &ByteBuf) -> Result<(PcrIndex, Pcr), DocumentError> {
    let wrong = |_| field("pcrs", "indices 0 to 31 with values of 48 bytes");
    Ok((PcrIndex::new(index).map_err(wrong)?, Pcr::try_from(value.as_slice()).map_err(wrong)?))
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
            .ok_or(field("hash", "64 lower-case hexadecimal digits"))
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
