//! The statement of a check, verified: an enclave opened the record just now, for this request.

use attestation::{AttestationDoc, Verified};
use protocol::{KeyId, PossessionClaims, SessionKey, log::ContentHash};

use crate::{
    certificate::addresses_follow,
    statement::{self, Statement, StatementError},
};

/// Verifies the signature, that the claims agree with each other (key id, public key and addresses), and
/// that the statement answers this request. That `session` is an enclave's key must be known from
/// elsewhere.
///
/// # Errors
/// [`StatementError`]
pub fn verify_signature(
    jws: &str,
    session: &SessionKey,
    request: &ContentHash,
) -> Result<PossessionClaims, StatementError> {
    answers(statement::verify_signature(jws, session)?, request)
}

/// Verifies against the attestation document that binds the session key, and that the statement answers
/// this request.
///
/// # Errors
/// [`StatementError`]
pub fn verify(
    jws: &str,
    document: &Verified<AttestationDoc>,
    request: &ContentHash,
) -> Result<PossessionClaims, StatementError> {
    answers(statement::verify(jws, document)?, request)
}

fn answers(claims: PossessionClaims, request: &ContentHash) -> Result<PossessionClaims, StatementError> {
    if claims.request == *request {
        Ok(claims)
    } else {
        Err(StatementError::Claim("request: the hash of the request that was sent was expected"))
    }
}

impl Statement for PossessionClaims {
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

#[cfg(test)]
mod tests {
    use super::*;
    use attestation::{DocumentHash, Pcr};
    use chains::Chain;
    use data_encoding::HEXLOWER;
    use ed25519_dalek::SigningKey;
    use protocol::{
        AddressClaims, Deployment, Index, KeyPath, Purpose, RecordHeader, UserRef,
        jws::{Issuer, Stated},
    };
    use serde_bytes::{ByteArray, ByteBuf};

    fn header() -> RecordHeader {
        let deployment: Deployment = "laptop".parse().unwrap();
        let path = KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::default(),
        };
        let generator = b"0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        RecordHeader {
            key_id: KeyId::derive(&deployment, &path),
            deployment,
            user: path.user,
            chain: path.chain,
            purpose: path.purpose,
            index: path.index,
            label: None,
            public_key: ByteBuf::from(HEXLOWER.decode(generator).unwrap()),
            address: "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf".into(),
            taproot_address: None,
            created: 1_700_000_000_000,
            kms_key: "arn:aws:kms:us-east-1:000000000000:key/k".into(),
            data_key: ByteBuf::from(vec![1; 184]),
            nonce: ByteArray::new([2; 12]),
        }
    }

    fn claims() -> PossessionClaims {
        let stated = Stated {
            iat: 1_700_000_001,
            pcr0: Pcr::new([1; 48]),
            attestation: DocumentHash::of(b"document"),
        };
        PossessionClaims::from_record(&header(), b"record", ContentHash::of(b"request"), stated)
    }

    fn issue(claims: &PossessionClaims) -> (String, SessionKey) {
        let key = SigningKey::from_bytes(&[9; 32]);
        (Issuer::new(&key).unwrap().issue(claims).unwrap(), key.verifying_key().into())
    }

    #[test]
    fn a_statement_answers_its_request_and_no_other() {
        let (jws, session) = issue(&claims());
        let verify = |request: &[u8]| verify_signature(&jws, &session, &ContentHash::of(request));
        assert_eq!(verify(b"request").unwrap(), claims());
        assert!(
            matches!(verify(b"another"), Err(StatementError::Claim(text)) if text.starts_with("request"))
        );
    }

    #[test]
    fn a_statement_is_no_certificate_and_a_certificate_no_statement() {
        let (jws, session) = issue(&claims());
        assert_eq!(
            statement::verify_signature::<AddressClaims>(&jws, &session),
            Err(StatementError::Signature)
        );
        let key = SigningKey::from_bytes(&[9; 32]);
        let address = AddressClaims::from_record(&header(), Pcr::new([1; 48]), DocumentHash::of(b"document"));
        let certificate = Issuer::new(&key).unwrap().issue(&address).unwrap();
        let request = ContentHash::of(b"request");
        assert_eq!(verify_signature(&certificate, &session, &request), Err(StatementError::Signature));
    }

    #[test]
    fn claims_that_contradict_each_other_are_refused_though_signed() {
        for wrong in [
            PossessionClaims { v: 2, ..claims() },
            PossessionClaims { user: "mallory".parse().unwrap(), ..claims() },
            PossessionClaims { chain: Chain::Tron, ..claims() },
            PossessionClaims { public_key: "00".into(), ..claims() },
            PossessionClaims { address: "0x52908400098527886E0F7030069857D2E4169EE7".into(), ..claims() },
            PossessionClaims { taproot_address: Some("bc1p".into()), ..claims() },
        ] {
            let (jws, session) = issue(&wrong);
            let verified = verify_signature(&jws, &session, &wrong.request);
            assert!(matches!(verified, Err(StatementError::Claim(_))), "{wrong:?}");
        }
    }

    #[test]
    fn no_character_of_a_statement_can_be_changed() {
        let (jws, session) = issue(&claims());
        for at in 0..jws.len() {
            let mut bytes = jws.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let request = claims().request;
            assert!(verify_signature(&changed, &session, &request).is_err(), "character {at}");
        }
    }

    #[test]
    fn the_longest_statement_is_read() {
        let name = "\\".repeat(128);
        let user: UserRef = name.parse().unwrap();
        let deployment: Deployment = "d".repeat(63).parse().unwrap();
        let arn = format!("arn:aws-iso-b:kms:{}:{}:key/{}", "r".repeat(32), "0".repeat(12), "k".repeat(128));
        let claims = claims();
        let path = KeyPath { user: user.clone(), ..claims.path() };
        let claims = PossessionClaims {
            key_id: KeyId::derive(&deployment, &path),
            deployment,
            user,
            kms_key: arn,
            ..claims
        };
        let (jws, session) = issue(&claims);
        assert_eq!(verify_signature(&jws, &session, &claims.request), Ok(claims));
    }
}
