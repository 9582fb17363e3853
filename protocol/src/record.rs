//! The sealed record: a private key under AES-256-GCM, and in clear all that names it. The form
//! only; sealing and opening are the enclave's (`enclave-app`, `sealing`).
//!
//! Deterministic CBOR: `[version, header, certificate, ciphertext]`, where `header` is a byte
//! string that holds the CBOR map of a [`RecordHeader`]. Everything before the ciphertext is
//! authenticated with it. A stored record never changes. The header's fields stand in the order of
//! their keys, in which they are written.

use attestation::cbor::{self, CborError};
use chains::{Chain, PublicKey, PublicKeyError};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{Deployment, Index, KeyId, KeyPath, Label, Purpose, UserRef};

/// The longest record that is read.
pub const MAX_RECORD: usize = 8192;
/// No record that is made is longer: with the longest names, under any ARN of AWS's, with a wrapped
/// data key as KMS makes them.
pub const LONGEST: usize = 2848;
/// The longest wrapped data key. KMS's are below 200 bytes.
pub const MAX_DATA_KEY: usize = 1024;
/// The version that this code writes and reads.
pub const VERSION: u8 = 1;
/// First item of the additional authenticated data.
const AAD_TAG: &str = "cofferdam/record/v1";
/// The ciphertext of a 32-byte key with its tag.
const CIPHERTEXT: usize = 32 + 16;

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not this form.
    #[error("a sealed record: {0}")]
    Cbor(#[from] CborError),
    /// A later version than this code knows.
    #[error("a sealed record of version {VERSION} was expected, found {found}")]
    Version {
        /// The record's.
        found: u8,
    },
    /// A wrapped data key that KMS cannot have made.
    #[error("a wrapped data key of 1 to {MAX_DATA_KEY} bytes was expected")]
    DataKey,
    /// A ciphertext of another length.
    #[error("a ciphertext of {CIPHERTEXT} bytes was expected")]
    Ciphertext,
    /// A public key that is no point of the chain's curve.
    #[error("a sealed record: {0}")]
    PublicKey(#[from] PublicKeyError),
    /// The key id is not that of the names beside it.
    #[error("the key id of this deployment, user, chain, purpose and index was expected")]
    KeyId,
}

/// Everything before the ciphertext, authenticated with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordHeader {
    /// The user.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// Index among the user's keys.
    pub index: Index,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// The nonce of AES-256-GCM.
    pub nonce: ByteArray<12>,
    /// The id that follows from the deployment and the four fields after it.
    pub key_id: KeyId,
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// When it was made, in milliseconds since 1970, by the NSM's clock.
    pub created: u64,
    /// ARN of the KMS key that wraps the data key.
    pub kms_key: String,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// The wrapped data key: KMS's CiphertextBlob.
    pub data_key: ByteBuf,
    /// The deployment.
    pub deployment: Deployment,
    /// 33 bytes (secp256k1, compressed) or 32 (Ed25519).
    pub public_key: ByteBuf,
    /// On Bitcoin, the P2TR address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taproot_address: Option<String>,
}

impl RecordHeader {
    /// What identifies the key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

/// A record whose form is right and whose key id follows from its names. Its header is believed
/// only once the enclave has opened it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    header: RecordHeader,
    header_bytes: Vec<u8>,
    ciphertext: Vec<u8>,
    certificate: String,
}

impl Record {
    /// Writes a record: `seal` gets the additional authenticated data and returns the ciphertext.
    ///
    /// # Errors
    /// Those of `seal`, and [`RecordError`] when the header does not encode.
    pub fn seal<E: From<RecordError>>(
        header: RecordHeader,
        certificate: String,
        seal: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let header_bytes = cbor::encode(&header).map_err(RecordError::from)?;
        let ciphertext = seal(&aad(&header_bytes, &certificate)?)?;
        Ok(Self { header, header_bytes, ciphertext, certificate })
    }

    /// Reads a record and checks all that can be checked without a secret.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let record = Self::read(bytes)?;
        PublicKey::from_bytes(record.header.chain.curve(), &record.header.public_key)?;
        Ok(record)
    }

    /// The same, but for whether the public key is a point of its curve: for whoever opens the record,
    /// and compares the key with the one that it derives.
    ///
    /// # Errors
    /// [`RecordError`]
    pub fn read(bytes: &[u8]) -> Result<Self, RecordError> {
        // A later version may look different in everything but its first item.
        if let [array, found @ 0..=23, ..] = bytes
            && array >> 5 == 4
            && *found != VERSION
        {
            return Err(RecordError::Version { found: *found });
        }
        let (version, header_bytes, certificate, ciphertext): (u8, ByteBuf, String, ByteBuf) =
            cbor::decode_deterministic(bytes, MAX_RECORD)?;
        if version != VERSION {
            return Err(RecordError::Version { found: version });
        }
        let header: RecordHeader = cbor::decode_deterministic(&header_bytes, MAX_RECORD)?;
        if ciphertext.len() != CIPHERTEXT {
            return Err(RecordError::Ciphertext);
        }
        if !(1..=MAX_DATA_KEY).contains(&header.data_key.len()) {
            return Err(RecordError::DataKey);
        }
        if header.key_id != KeyId::derive(&header.deployment, &header.path()) {
            return Err(RecordError::KeyId);
        }
        Ok(Self {
            header,
            header_bytes: header_bytes.into_vec(),
            ciphertext: ciphertext.into_vec(),
            certificate,
        })
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// Never for this type; see [`cbor::encode`].
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let header = serde_bytes::Bytes::new(&self.header_bytes);
        let ciphertext = serde_bytes::Bytes::new(&self.ciphertext);
        Ok(cbor::encode(&(VERSION, header, &self.certificate, ciphertext))?)
    }

    /// What names the key.
    pub const fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// The additional authenticated data: deterministic CBOR of a domain tag, the header's bytes
    /// and the certificate.
    ///
    /// # Errors
    /// Never for this type; see [`cbor::encode`].
    pub fn aad(&self) -> Result<Vec<u8>, RecordError> {
        aad(&self.header_bytes, &self.certificate)
    }

    /// The private key under AES-256-GCM, with its tag: 48 bytes.
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// The address certificate, a compact JWS.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }
}

fn aad(header: &[u8], certificate: &str) -> Result<Vec<u8>, RecordError> {
    Ok(cbor::encode(&(AAD_TAG, serde_bytes::Bytes::new(header), certificate))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let deployment: Deployment = "laptop".parse().unwrap();
        let path = KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::default(),
        };
        let generator = data_encoding::HEXLOWER
            .decode(b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
            .unwrap();
        let header = RecordHeader {
            key_id: KeyId::derive(&deployment, &path),
            deployment,
            user: path.user,
            chain: path.chain,
            purpose: path.purpose,
            index: path.index,
            label: None,
            public_key: ByteBuf::from(generator),
            address: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".into(),
            taproot_address: None,
            created: 1_700_000_000_000,
            kms_key: "arn:aws:kms:us-east-1:000000000000:key/k".into(),
            data_key: ByteBuf::from(vec![1; 184]),
            nonce: ByteArray::new([2; 12]),
        };
        Record::seal::<RecordError>(header, "a.b.c".into(), |_| Ok(vec![3; CIPHERTEXT])).unwrap()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = sample();
        assert_eq!(Record::parse(&record.encode().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_later_version_is_named_as_such_whatever_follows() {
        let mut bytes = sample().encode().unwrap();
        bytes[1] = 2;
        assert_eq!(Record::parse(&bytes), Err(RecordError::Version { found: 2 }));
        assert_eq!(Record::parse(&[0x82, 0x09, 0xf6]), Err(RecordError::Version { found: 9 }));
    }

    #[test]
    fn names_that_do_not_give_the_key_id_are_refused() {
        let record = sample();
        let header = RecordHeader { user: "mallory".parse().unwrap(), ..record.header.clone() };
        let other = Record::seal::<RecordError>(header, "a.b.c".into(), |_| Ok(vec![3; CIPHERTEXT])).unwrap();
        assert_eq!(Record::parse(&other.encode().unwrap()), Err(RecordError::KeyId));
    }

    #[test]
    fn no_truncation_is_a_record() {
        let bytes = sample().encode().unwrap();
        for end in 0..bytes.len() {
            assert!(Record::parse(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(Record::parse(&[bytes, vec![0]].concat()).is_err());
    }
}
