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
    Deployment, Index, JwsError, KeyId, KeyPath, Purpose, RecordHeader, SessionKey, UserRef,
    certificate::addresses_follow,
    jws::{self, Claims, Stated},
    log::ContentHash,
};

/// The `typ` of the protected header.
pub const TYPE: &str = "cofferdam-check+jws";

/// What an enclave states of a record that it opened: the payload, as JSON in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckClaims {
    /// Version of this format: 1.
    pub v: u8,
    /// The deployment.
    pub deployment: Deployment,
    /// The id that follows from the deployment and the four fields after it.
    pub key_id: KeyId,
    /// Whose key.
    pub user: UserRef,
    /// On which family of chains.
    pub chain: Chain,
    /// For what use.
    pub purpose: Purpose,
    /// Which one.
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

impl CheckClaims {
    /// What is stated of a record with this header and these bytes.
    pub fn of(header: &RecordHeader, record: &[u8], request: ContentHash, stated: Stated) -> Self {
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

    /// Reads the claims without verifying anything: to know which attestation document to fetch.
    ///
    /// # Errors
    /// [`JwsError::Malformed`]
    pub fn unverified(jws: &str) -> Result<Self, JwsError> {
        jws::unverified(jws)
    }

    /// Verifies the signature, that the claims agree with each other (key id, public key and
    /// addresses), and that the statement answers this request. That `session` is an enclave's key
    /// must be known from elsewhere.
    ///
    /// # Errors
    /// [`JwsError`]
    pub fn verify_signature(
        jws: &str,
        session: &SessionKey,
        request: &ContentHash,
    ) -> Result<Self, JwsError> {
        jws::verify_signature::<Self>(jws, session)?.answers(request)
    }

    /// Verifies against the attestation document that binds the session key, and that the statement
    /// answers this request.
    ///
    /// # Errors
    /// [`JwsError`]
    #[cfg(feature = "verify")]
    pub fn verify(
        jws: &str,
        document: &attestation::Verified<attestation::AttestationDoc>,
        request: &ContentHash,
    ) -> Result<Self, JwsError> {
        jws::verify::<Self>(jws, document)?.answers(request)
    }

    fn answers(self, request: &ContentHash) -> Result<Self, JwsError> {
        if self.request == *request {
            Ok(self)
        } else {
            Err(JwsError::Claim("request: the hash of the request that was sent was expected"))
        }
    }

    /// The natural key.
    pub fn path(&self) -> KeyPath {
        KeyPath { user: self.user.clone(), chain: self.chain, purpose: self.purpose, index: self.index }
    }
}

impl Claims for CheckClaims {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AddressClaims, jws::Issuer};
    use ed25519_dalek::SigningKey;
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

    fn claims() -> CheckClaims {
        let stated = Stated {
            iat: 1_700_000_001,
            pcr0: Pcr::new([1; 48]),
            attestation: DocumentHash::of(b"document"),
        };
        CheckClaims::of(&header(), b"record", ContentHash::of(b"request"), stated)
    }

    fn issue(claims: &CheckClaims) -> (String, SessionKey) {
        let key = SigningKey::from_bytes(&[9; 32]);
        (Issuer::new(&key).unwrap().issue(claims).unwrap(), key.verifying_key().into())
    }

    #[test]
    fn a_statement_answers_its_request_and_no_other() {
        let (jws, session) = issue(&claims());
        let verify =
            |request: &[u8]| CheckClaims::verify_signature(&jws, &session, &ContentHash::of(request));
        assert_eq!(verify(b"request").unwrap(), claims());
        assert!(matches!(verify(b"another"), Err(JwsError::Claim(text)) if text.starts_with("request")));
    }

    #[test]
    fn a_statement_is_no_certificate_and_a_certificate_no_statement() {
        let (jws, session) = issue(&claims());
        assert_eq!(AddressClaims::verify_signature(&jws, &session), Err(JwsError::Signature));
        let key = SigningKey::from_bytes(&[9; 32]);
        let address = AddressClaims::of(&header(), Pcr::new([1; 48]), DocumentHash::of(b"document"));
        let certificate = Issuer::new(&key).unwrap().issue(&address).unwrap();
        let request = ContentHash::of(b"request");
        assert_eq!(CheckClaims::verify_signature(&certificate, &session, &request), Err(JwsError::Signature));
    }

    #[test]
    fn claims_that_contradict_each_other_are_refused_though_signed() {
        for wrong in [
            CheckClaims { v: 2, ..claims() },
            CheckClaims { user: "mallory".parse().unwrap(), ..claims() },
            CheckClaims { chain: Chain::Tron, ..claims() },
            CheckClaims { public_key: "00".into(), ..claims() },
            CheckClaims { address: "0x52908400098527886E0F7030069857D2E4169EE7".into(), ..claims() },
            CheckClaims { taproot_address: Some("bc1p".into()), ..claims() },
        ] {
            let (jws, session) = issue(&wrong);
            let verified = CheckClaims::verify_signature(&jws, &session, &wrong.request);
            assert!(matches!(verified, Err(JwsError::Claim(_))), "{wrong:?}");
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
            assert!(CheckClaims::verify_signature(&changed, &session, &request).is_err(), "character {at}");
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
        let claims = CheckClaims {
            key_id: KeyId::derive(&deployment, &path),
            deployment,
            user,
            kms_key: arn,
            ..claims
        };
        let (jws, session) = issue(&claims);
        assert_eq!(CheckClaims::verify_signature(&jws, &session, &claims.request), Ok(claims));
    }
}
