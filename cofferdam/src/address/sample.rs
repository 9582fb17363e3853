//! An address for tests, and the claims that agree with it.

use attestation::DocumentHash;
use chains::Chain;
use client::Address;
use protocol::{AddressClaims, Index, KeyId, Purpose};

/// Both, without a certificate.
pub(crate) fn pair() -> (Address, AddressClaims) {
    let path = protocol::KeyPath {
        user: "alice".parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::default(),
    };
    let claims = AddressClaims {
        v: 1,
        deployment: "laptop".parse().unwrap(),
        key_id: KeyId::derive(&"laptop".parse().unwrap(), &path),
        user: path.user,
        chain: path.chain,
        purpose: path.purpose,
        index: path.index,
        label: None,
        public_key: "02".into(),
        address: "0x".into(),
        taproot_address: None,
        iat: 1_736_179_625,
        pcr0: attestation::Pcr::new([1; 48]),
        attestation: DocumentHash::of(b"document"),
    };
    let object = Address {
        key_id: claims.key_id,
        user: claims.user.clone(),
        chain: claims.chain,
        purpose: claims.purpose,
        index: claims.index,
        label: None,
        public_key: claims.public_key.clone(),
        address: claims.address.clone(),
        taproot_address: None,
        created_at: "2025-01-06T16:07:05.472Z".into(),
        certificate: String::new(),
        attestation: claims.attestation,
        created: None,
    };
    (object, claims)
}
