//! The address certificate: a compact JWS (RFC 7515, EdDSA of RFC 8037) by which anyone can tell,
//! offline and at any later time, that an address was made inside the attested enclave.

use attestation::{DocumentHash, Pcr};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

pub use crate::jws::{Issuer, MAX_JWS as MAX_CERTIFICATE};
use crate::{
    Deployment, Index, JwsError, KeyId, KeyPath, Label, Purpose, RecordHeader, SessionKey, UserRef,
    jws::{self, Claims, Stated},
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
    /// On which family of chains.
    pub chain: Chain,
    /// For what use.
    pub purpose: Purpose,
    /// Which one.
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
    pub fn of(header: &RecordHeader, pcr0: Pcr, attestation: DocumentHash) -> Self {
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

    /// Reads the claims without verifying anything: to know which attestation document to fetch.
    ///
    /// # Errors
    /// [`JwsError::Malformed`]
    pub fn unverified(jws: &str) -> Result<Self, JwsError> {
        jws::unverified(jws)
    }

    /// Verifies the signature and that the claims agree with each other: key id, public key and
    /// addresses. That `session` is an enclave's key must be known from elsewhere.
    ///
    /// # Errors
    /// [`JwsError`]
    pub fn verify_signature(jws: &str, session: &SessionKey) -> Result<Self, JwsError> {
        jws::verify_signature(jws, session)
    }

    /// Verifies against the attestation document that binds the session key.
    ///
    /// # Errors
    /// [`JwsError`]
    #[cfg(feature = "verify")]
    pub fn verify(
        jws: &str,
        document: &attestation::Verified<attestation::AttestationDoc>,
    ) -> Result<Self, JwsError> {
        jws::verify(jws, document)
    }

    /// The natural key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

impl Claims for AddressClaims {
    const TYPE: &'static str = TYPE;

    fn check(&self) -> Result<(), JwsError> {
        if self.v != 1 {
            return Err(JwsError::Claim("v: 1 was expected"));
        }
        if self.key_id != KeyId::derive(&self.deployment, &self.path()) {
            return Err(JwsError::Claim("key_id: the one of the names beside it was expected"));
        }
        addresses_follow(self.chain, &self.public_key, &self.address, self.taproot_address.as_deref())
    }

    fn stated(&self) -> Stated {
        Stated { iat: self.iat, pcr0: self.pcr0, attestation: self.attestation }
    }
}

/// Whether these are the addresses of a public key; on Bitcoin, both of one network.
pub(crate) fn addresses_follow(
    chain: Chain,
    public_key: &str,
    address: &str,
    taproot: Option<&str>,
) -> Result<(), JwsError> {
    let wrong_key = JwsError::Claim("public_key: a point of the chain's curve was expected");
    let bytes = HEXLOWER.decode(public_key.as_bytes()).map_err(|_| wrong_key.clone())?;
    let key = PublicKey::from_bytes(chain.curve(), &bytes).map_err(|_| wrong_key)?;
    let networks = match (chain, chain.curve()) {
        (Chain::Bitcoin, Curve::Secp256k1) => BitcoinNetwork::ALL.as_slice(),
        _ => &[BitcoinNetwork::Mainnet],
    };
    let matches = |network: &BitcoinNetwork| {
        chains::addresses(chain, &key, *network)
            .is_ok_and(|derived| derived.address == address && derived.taproot.as_deref() == taproot)
    };
    if networks.iter().any(matches) {
        Ok(())
    } else {
        Err(JwsError::Claim("address: the one of public_key was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;
    use ed25519_dalek::SigningKey;

    fn claims() -> AddressClaims {
        let deployment: Deployment = "laptop".parse().unwrap();
        let path = KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::default(),
        };
        AddressClaims {
            v: 1,
            key_id: KeyId::derive(&deployment, &path),
            deployment,
            user: path.user,
            chain: path.chain,
            purpose: path.purpose,
            index: path.index,
            label: None,
            public_key: "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".into(),
            address: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".into(),
            taproot_address: None,
            iat: 1_700_000_000,
            pcr0: Pcr::new([1; 48]),
            attestation: DocumentHash::of(b"document"),
        }
    }

    fn issue(claims: &AddressClaims) -> (String, SessionKey) {
        let key = SigningKey::from_bytes(&[9; 32]);
        (Issuer::new(&key).unwrap().issue(claims).unwrap(), key.verifying_key().into())
    }

    #[test]
    fn a_certificate_is_read_as_it_was_issued() {
        let (jws, session) = issue(&claims());
        assert_eq!(AddressClaims::verify_signature(&jws, &session).unwrap(), claims());
    }

    #[test]
    fn no_character_of_a_certificate_can_be_changed() {
        let (jws, session) = issue(&claims());
        for at in 0..jws.len() {
            let mut bytes = jws.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(AddressClaims::verify_signature(&changed, &session).is_err(), "character {at}");
        }
    }

    #[test]
    fn claims_that_contradict_each_other_are_refused_though_signed() {
        let refused = |claims: AddressClaims| {
            let (jws, session) = issue(&claims);
            AddressClaims::verify_signature(&jws, &session).unwrap_err()
        };
        for wrong in [
            AddressClaims { v: 2, ..claims() },
            AddressClaims { user: "mallory".parse().unwrap(), ..claims() },
            AddressClaims { chain: Chain::Tron, ..claims() },
            AddressClaims { index: Index::try_from(1).unwrap(), ..claims() },
            AddressClaims { public_key: "00".into(), ..claims() },
            AddressClaims { address: "0x52908400098527886E0F7030069857D2E4169EE7".into(), ..claims() },
            AddressClaims { taproot_address: Some("bc1p".into()), ..claims() },
        ] {
            assert!(matches!(refused(wrong.clone()), JwsError::Claim(_)), "{wrong:?}");
        }
    }

    #[test]
    fn another_algorithm_or_another_key_is_refused() {
        let (jws, session) = issue(&claims());
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().into();
        assert_eq!(AddressClaims::verify_signature(&jws, &other), Err(JwsError::Signature));
        let (_, rest) = jws.split_once('.').unwrap();
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"x","typ":"cofferdam-address+jws"}"#] {
            let forged = format!("{}.{rest}", BASE64URL_NOPAD.encode(header.as_bytes()));
            assert!(AddressClaims::verify_signature(&forged, &session).is_err());
        }
    }
}
