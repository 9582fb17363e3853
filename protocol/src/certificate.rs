//! The address certificate: a compact JWS (RFC 7515, EdDSA of RFC 8037) by which anyone can tell,
//! offline and at any later time, that an address was made inside the attested enclave.

use attestation::{DocumentHash, Pcr};
use chains::Chain;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

pub use crate::jws::{Issuer, MAX_JWS as MAX_CERTIFICATE};
use crate::{
    Deployment, Index, KeyId, KeyPath, Label, Purpose, RecordHeader, UserRef,
    jws::{Claims, Stated},
};

/// The `typ` of the protected header.
pub const TYPE: &str = "cofferdam-address+jws";

/// What a certificate states: the payload, as JSON in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressClaims {
    /// Version of this format: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: Deployment,
    /// The id that follows from the deployment and the four fields after it.
    pub key_id: KeyId,
    /// Whose address.
    pub user: UserRef,
    /// The family of chains.
    pub chain: Chain,
    /// What the key may be used for.
    pub purpose: Purpose,
    /// Index among the user's keys.
    pub index: Index,
    /// A note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Hexadecimal, lower case: 33 bytes (secp256k1, compressed) or 32 (Ed25519).
    pub public_key: String,
    /// The address; on Bitcoin the P2WPKH one.
    pub address: String,
    /// On Bitcoin, the P2TR address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taproot_address: Option<String>,
    /// When it was issued, in seconds since 1970 (RFC 7519), by the NSM's clock.
    pub iat: u64,
    /// PCR0 of the image that made the key.
    pub pcr0: Pcr,
    /// SHA-256 of the attestation document that binds the session key.
    pub attestation: DocumentHash,
}

impl AddressClaims {
    /// What the certificate of this record states.
    pub fn from_record(header: &RecordHeader, pcr0: Pcr, attestation: DocumentHash) -> Self {
        Self {
            v: 1,
            deployment: header.deployment.clone(),
            key_id: header.key_id,
            user: header.user.clone(),
            chain: header.chain,
            purpose: header.purpose,
            index: header.index,
            label: header.label.clone(),
            public_key: HEXLOWER.encode(&header.public_key),
            address: header.address.clone(),
            taproot_address: header.taproot_address.clone(),
            iat: header.created / 1000,
            pcr0,
            attestation,
        }
    }

    /// What identifies the key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

impl Claims for AddressClaims {
    const TYPE: &'static str = TYPE;

    fn stated(&self) -> Stated {
        Stated { iat: self.iat, pcr0: self.pcr0, attestation: self.attestation }
    }
}
