//! Statements of an enclave, verified: compact JWS (RFC 7515, EdDSA of RFC 8037) by the session key
//! that an attestation document binds.

use attestation::{AttestationDoc, PcrIndex, Verified};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, VerifyingKey};
use protocol::{
    SessionKey,
    jws::{Claims, MAX_JWS, ProtectedHeader},
    session::NotASessionKey,
};

/// Why a statement was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not three parts of base64url, or not the JSON of a header and of claims.
    #[error("a compact JWS of at most {MAX_JWS} bytes with {0} was expected")]
    Malformed(&'static str),
    /// The signature is not the session key's, or the statement is of another type.
    #[error("a signature by the session key of the attestation document was expected")]
    Signature,
    /// The document binds no session key.
    #[error(transparent)]
    SessionKey(#[from] NotASessionKey),
    /// A claim contradicts the attestation document, or another claim.
    #[error("{0}")]
    Claim(&'static str),
}

/// Claims whose parts must agree with each other.
pub trait Statement: Claims {
    /// Whether they do.
    ///
    /// # Errors
    /// [`StatementError::Claim`]
    fn check(&self) -> Result<(), StatementError>;
}

/// Reads the claims without verifying anything: to know which attestation document to fetch.
///
/// # Errors
/// [`StatementError::Malformed`]
pub fn unverified<C: Claims>(jws: &str) -> Result<C, StatementError> {
    Parts::parse(jws)?.claims()
}

/// Verifies the type, the signature, and that the claims agree with each other. That `session` is an
/// enclave's key must be known from elsewhere.
///
/// # Errors
/// [`StatementError`]
pub fn verify_signature<C: Statement>(jws: &str, session: &SessionKey) -> Result<C, StatementError> {
    let parts = Parts::parse(jws)?;
    parts.verify::<C>(session)?;
    let claims: C = parts.claims()?;
    claims.check()?;
    Ok(claims)
}

/// Verifies against the attestation document that binds the session key.
///
/// # Errors
/// [`StatementError`]
pub fn verify<C: Statement>(jws: &str, document: &Verified<AttestationDoc>) -> Result<C, StatementError> {
    let session = SessionKey::from_spki(document.public_key().unwrap_or_default())?;
    let claims: C = verify_signature(jws, &session)?;
    let stated = claims.stated();
    if stated.attestation != document.hash() {
        return Err(StatementError::Claim("attestation: the hash of the given document was expected"));
    }
    if Some(stated.pcr0) != document.pcr(PcrIndex::IMAGE) {
        return Err(StatementError::Claim("pcr0: the document's was expected"));
    }
    if stated.iat < document.timestamp() / 1000 {
        return Err(StatementError::Claim("iat: a time after the document's was expected"));
    }
    Ok(claims)
}

/// The three parts of a compact JWS.
struct Parts<'t> {
    signed: &'t str,
    header: Vec<u8>,
    payload: Vec<u8>,
    signature: [u8; 64],
}

impl<'t> Parts<'t> {
    fn parse(jws: &'t str) -> Result<Self, StatementError> {
        let malformed = StatementError::Malformed("three parts of base64url");
        if jws.len() > MAX_JWS {
            return Err(malformed);
        }
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).ok();
        let parse = || {
            let (signed, signature) = jws.rsplit_once('.')?;
            let (header, payload) = signed.split_once('.')?;
            let signature = decode(signature)?.try_into().ok()?;
            Some(Self { signed, header: decode(header)?, payload: decode(payload)?, signature })
        };
        parse().ok_or(malformed)
    }

    fn verify<C: Claims>(&self, session: &SessionKey) -> Result<(), StatementError> {
        let header: ProtectedHeader = serde_json::from_slice(&self.header)
            .map_err(|_| StatementError::Malformed("a header of alg, kid and typ"))?;
        let key: &VerifyingKey = session.verifying_key();
        if header != ProtectedHeader::of::<C>(session) {
            return Err(StatementError::Signature);
        }
        key.verify_strict(self.signed.as_bytes(), &Signature::from_bytes(&self.signature))
            .map_err(|_| StatementError::Signature)
    }

    fn claims<C: Claims>(&self) -> Result<C, StatementError> {
        serde_json::from_slice(&self.payload)
            .map_err(|_| StatementError::Malformed("the claims of version 1"))
    }
}
