//! The address certificate, verified: the address was made inside the attested enclave.

use attestation::{AttestationDoc, Verified};
use chains::{BitcoinNetwork, Chain, Curve, PublicKey};
use data_encoding::HEXLOWER;
use protocol::{AddressClaims, KeyId};

use crate::statement::{self, Statement, StatementError};

/// Verifies a certificate against the attestation document that binds the session key: signature, key id,
/// public key, addresses, image and time.
///
/// # Errors
/// [`StatementError`]
pub fn verify(jws: &str, document: &Verified<AttestationDoc>) -> Result<AddressClaims, StatementError> {
    statement::verify(jws, document)
}

impl Statement for AddressClaims {
    fn check(&self) -> Result<(), StatementError> {
        if self.v != 1 {
            return Err(StatementError::Claim("v: 1 was expected"));
        }
        if self.key_id != KeyId::derive(&self.deployment, &self.path()) {
            return Err(StatementError::Claim("key_id: the one of the names beside it was expected"));
        }
        addresses_follow(self.chain, &self.public_key, &self.address, self.taproot_address.as_deref())
    }
}

/// Whether these are the addresses of a public key; on Bitcoin, both of one network.
pub(crate) fn addresses_follow(
    chain: Chain,
    public_key: &str,
    address: &str,
    taproot: Option<&str>,
) -> Result<(), StatementError> {
    let wrong_key = StatementError::Claim("public_key: a point of the chain's curve was expected");
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
        Err(StatementError::Claim("address: the one of public_key was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::verify_signature;
    use attestation::{DocumentHash, Pcr};
    use data_encoding::BASE64URL_NOPAD;
    use ed25519_dalek::SigningKey;
    use protocol::{Deployment, Index, KeyPath, Purpose, SessionKey, jws::Issuer};

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
        assert_eq!(verify_signature::<AddressClaims>(&jws, &session).unwrap(), claims());
    }

    #[test]
    fn no_character_of_a_certificate_can_be_changed() {
        let (jws, session) = issue(&claims());
        for at in 0..jws.len() {
            let mut bytes = jws.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify_signature::<AddressClaims>(&changed, &session).is_err(), "character {at}");
        }
    }

    #[test]
    fn claims_that_contradict_each_other_are_refused_though_signed() {
        let refused = |claims: AddressClaims| {
            let (jws, session) = issue(&claims);
            verify_signature::<AddressClaims>(&jws, &session).unwrap_err()
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
            assert!(matches!(refused(wrong.clone()), StatementError::Claim(_)), "{wrong:?}");
        }
    }

    #[test]
    fn another_algorithm_or_another_key_is_refused() {
        let (jws, session) = issue(&claims());
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key().into();
        assert_eq!(verify_signature::<AddressClaims>(&jws, &other), Err(StatementError::Signature));
        let (_, rest) = jws.split_once('.').unwrap();
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256","kid":"x","typ":"cofferdam-address+jws"}"#] {
            let forged = format!("{}.{rest}", BASE64URL_NOPAD.encode(header.as_bytes()));
            assert!(verify_signature::<AddressClaims>(&forged, &session).is_err());
        }
    }
}
