//! A stored key as the parent answers it: the record and its certificate, parsed and found to
//! agree with each other and with what was asked for. Whether the certificate is genuine is for
//! whoever relies on it; the parent's word would be worth nothing.

use std::time::SystemTime;

use attestation::DocumentHash;
use data_encoding::HEXLOWER;
use protocol::{AddressClaims, KeyId, NewKey, Record, RecordError};
use serde::Serialize;
use time::{OffsetDateTime, format_description::StaticFormatDescription, macros::format_description};
use utoipa::ToSchema;

const MILLISECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Why bytes are not the record of the key that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a sealed record of a version that is known.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record of another key than asked for.
    #[error("expected the record of the key that was asked for, found another key's")]
    Identity,
    /// A record whose certificate is for something else, or not one at all.
    #[error("the record's certificate is of something else, or is none")]
    Certificate,
    /// A time that no calendar has.
    #[error("the record's creation time is beyond every calendar")]
    Time,
}

impl AddressError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Record(RecordError::Version { .. }) => "record.version",
            Self::Record(RecordError::KeyId) | Self::Identity => "record.identity",
            Self::Record(_) | Self::Certificate | Self::Time => "record.malformed",
        }
    }
}

/// A deposit address and what proves where it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Address {
    /// `key_` and 52 characters; follows from deployment, user, chain, purpose and index.
    pub key_id: String,
    /// The exchange's reference of the user.
    pub user: String,
    /// The family of chains.
    pub chain: String,
    /// What the key may be used for.
    pub purpose: String,
    /// Which of the user's keys on the chain.
    #[schema(maximum = 2147483647)]
    pub index: u32,
    /// The note that the key was made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub label: Option<String>,
    /// Hexadecimal: 33 bytes (secp256k1, compressed) or 32 (Ed25519).
    pub public_key: String,
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// On Bitcoin, the same key's P2TR address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub taproot_address: Option<String>,
    /// When the key was made (RFC 3339, milliseconds).
    #[schema(format = DateTime)]
    pub created_at: String,
    /// The address certificate: a compact JWS by the enclave's session key.
    pub certificate: String,
    /// SHA-256 of the attestation document that binds the session key.
    pub attestation: String,
}

/// A record that is what was asked for.
#[derive(Debug, Clone)]
pub struct StoredKey {
    record: Record,
    document: DocumentHash,
    created_at: String,
}

/// A time as answers have it, with milliseconds; none that no calendar has.
pub fn rfc_3339(time: SystemTime) -> Option<String> {
    OffsetDateTime::from(time).format(MILLISECONDS).ok()
}

impl StoredKey {
    /// Reads the record of `key_id`.
    ///
    /// # Errors
    /// [`AddressError`]
    pub fn parse(bytes: &[u8], key_id: &KeyId) -> Result<Self, AddressError> {
        let record = Record::parse(bytes)?;
        let header = record.header();
        if header.key_id != *key_id {
            return Err(AddressError::Identity);
        }
        let claims = verifier::unverified::<AddressClaims>(record.certificate())
            .map_err(|_| AddressError::Certificate)?;
        // PCR0 and the document are what the record does not say.
        if claims != AddressClaims::from_record(header, claims.pcr0, claims.attestation) {
            return Err(AddressError::Certificate);
        }
        let created = OffsetDateTime::from_unix_timestamp_nanos(i128::from(header.created) * 1_000_000);
        let created_at =
            created.ok().and_then(|time| time.format(MILLISECONDS).ok()).ok_or(AddressError::Time)?;
        Ok(Self { document: claims.attestation, record, created_at })
    }

    /// Whether it is what `key` asks for, its note included.
    pub fn is_new(&self, key: &NewKey) -> bool {
        self.record.header().path() == key.path() && self.record.header().label == key.label
    }

    /// The key id.
    pub fn key_id(&self) -> KeyId {
        self.record.header().key_id
    }

    /// The user whose key it is.
    pub fn user(&self) -> &protocol::UserRef {
        &self.record.header().user
    }

    /// Its addresses: on Bitcoin two.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        let header = self.record.header();
        [Some(&header.address), header.taproot_address.as_ref()].into_iter().flatten().map(String::as_str)
    }

    /// Its address certificate, as it is sealed with the key.
    pub fn certificate(&self) -> &str {
        self.record.certificate()
    }

    /// The boot document that its certificate names.
    pub const fn document(&self) -> &DocumentHash {
        &self.document
    }

    /// For an answer.
    pub fn to_address(&self) -> Address {
        let header = self.record.header();
        Address {
            key_id: header.key_id.to_string(),
            user: header.user.to_string(),
            chain: header.chain.to_string(),
            purpose: header.purpose.to_string(),
            index: header.index.get(),
            label: header.label.as_ref().map(ToString::to_string),
            public_key: HEXLOWER.encode(&header.public_key),
            address: header.address.clone(),
            taproot_address: header.taproot_address.clone(),
            created_at: self.created_at.clone(),
            certificate: self.record.certificate().to_owned(),
            attestation: self.document.to_string(),
        }
    }
}
