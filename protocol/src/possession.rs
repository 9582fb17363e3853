//! The statement of a check: a compact JWS by which an enclave says that it opened a record just
//! now, for one request. Its answer comes through a hostile parent, which could say so of any.
//!
//! The request's hash, which has a nonce of the client's in it, makes the statement an answer to
//! this request and no other: it is never older than the request.

use attestation::{DocumentHash, Pcr};
use chains::Chain;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::{
    Deployment, Index, KeyId, KeyPath, Purpose, RecordHeader, UserRef,
    jws::{Claims, Stated},
    log::ContentHash,
};

/// The `typ` of the protected header.
pub const TYPE: &str = "cofferdam-check+jws";

/// What an enclave states of a record that it opened: the payload, as JSON in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PossessionClaims {
    /// Version of this format: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: Deployment,
    /// The id that follows from the deployment and the four fields after it.
    pub key_id: KeyId,
    /// The user.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// Index among the user's keys.
    pub index: Index,
    /// Of the private key that is in the record. Hexadecimal, lower case: 33 bytes (secp256k1,
    /// compressed) or 32 (Ed25519).
    pub public_key: String,
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// On Bitcoin, the P2TR address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taproot_address: Option<String>,
    /// ARN of the KMS key under which the record is.
    pub kms_key: String,
    /// SHA-256 of the record's bytes.
    pub record: ContentHash,
    /// SHA-256 of the signature base of the request that this answers, as the log has it.
    pub request: ContentHash,
    /// When it was opened, in seconds since 1970 (RFC 7519), by the NSM's clock.
    pub iat: u64,
    /// PCR0 of the image that opened it.
    pub pcr0: Pcr,
    /// SHA-256 of the attestation document that binds the session key.
    pub attestation: DocumentHash,
}

impl PossessionClaims {
    /// What is stated of a record with this header and these bytes.
    pub fn from_record(header: &RecordHeader, record: &[u8], request: ContentHash, stated: Stated) -> Self {
        Self {
            v: 1,
            deployment: header.deployment.clone(),
            key_id: header.key_id,
            user: header.user.clone(),
            chain: header.chain,
            purpose: header.purpose,
            index: header.index,
            public_key: HEXLOWER.encode(&header.public_key),
            address: header.address.clone(),
            taproot_address: header.taproot_address.clone(),
            kms_key: header.kms_key.clone(),
            record: ContentHash::of(record),
            request,
            iat: stated.iat,
            pcr0: stated.pcr0,
            attestation: stated.attestation,
        }
    }

    /// What identifies the key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

impl Claims for PossessionClaims {
    const TYPE: &'static str = TYPE;

    fn stated(&self) -> Stated {
        Stated { iat: self.iat, pcr0: self.pcr0, attestation: self.attestation }
    }
}
