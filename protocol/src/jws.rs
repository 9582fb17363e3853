//! Compact JWS (RFC 7515, EdDSA of RFC 8037) by which the session key of a boot states something
//! that anyone can verify offline. One form for all statements; each has a `typ` of its own, so
//! that none can pass for another.

use std::marker::PhantomData;

use attestation::{DocumentHash, Pcr};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::SessionKey;

/// The longest statement that is read.
pub const MAX_JWS: usize = 4096;

/// Why a statement was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts of base64url, or not the JSON of a header and of claims.
    #[error("a compact JWS of at most {MAX_JWS} bytes with {0} was expected")]
    Malformed(&'static str),
    /// The signature is not the session key's, or the statement is of another type.
    #[error("a signature by the session key of the attestation document was expected")]
    Signature,
    /// The document binds no session key.
    #[error(transparent)]
    SessionKey(#[from] crate::session::NotASessionKey),
    /// A claim contradicts the attestation document, or another claim.
    #[error("{0}")]
    Claim(&'static str),
}

/// What is stated: the payload, as JSON with its members in order.
pub trait Claims: Serialize + DeserializeOwned {
    /// The `typ` of the protected header.
    const TYPE: &'static str;

    /// Whether the claims agree with each other.
    ///
    /// # Errors
    /// [`JwsError::Claim`]
    fn check(&self) -> Result<(), JwsError>;

    /// Which boot states it, and when.
    fn stated(&self) -> Stated;
}

/// Which boot states something, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stated {
    /// In seconds since 1970, by the NSM's clock.
    pub iat: u64,
    /// PCR0 of its image.
    pub pcr0: Pcr,
    /// SHA-256 of the attestation document that binds its session key.
    pub attestation: DocumentHash,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedHeader {
    alg: String,
    kid: String,
    typ: String,
}

impl ProtectedHeader {
    fn of<C: Claims>(session: &SessionKey) -> Self {
        Self { alg: "EdDSA".into(), kid: session.thumbprint(), typ: C::TYPE.into() }
    }
}

/// Signs statements of one kind for one session: the header is the same in all of them.
pub struct Issuer<'k, C> {
    key: &'k SigningKey,
    header: String,
    kind: PhantomData<fn(&C)>,
}

impl<'k, C: Claims> Issuer<'k, C> {
    /// Signs with this session key.
    ///
    /// # Errors
    /// [`JwsError::Malformed`] never for this type; so that nothing is assumed.
    pub fn new(key: &'k SigningKey) -> Result<Self, JwsError> {
        let header = ProtectedHeader::of::<C>(&key.verifying_key().into());
        let json = serde_json::to_vec(&header).map_err(|_| JwsError::Malformed("a header"))?;
        Ok(Self { key, header: BASE64URL_NOPAD.encode(&json), kind: PhantomData })
    }

    /// The compact serialisation.
    ///
    /// # Errors
    /// [`JwsError::Malformed`] never for this type; so that nothing is assumed.
    pub fn issue(&self, claims: &C) -> Result<String, JwsError> {
        let json = serde_json::to_vec(claims).map_err(|_| JwsError::Malformed("claims"))?;
        let mut jws = self.header.clone();
        jws.push('.');
        BASE64URL_NOPAD.encode_append(&json, &mut jws);
        let signature = self.key.sign(jws.as_bytes());
        jws.push('.');
        BASE64URL_NOPAD.encode_append(&signature.to_bytes(), &mut jws);
        Ok(jws)
    }
}

/// Reads the claims without verifying anything: to know which attestation document to fetch.
pub(crate) fn unverified<C: Claims>(jws: &str) -> Result<C, JwsError> {
    Parts::parse(jws)?.claims()
}

/// Verifies the type, the signature, and that the claims agree with each other.
pub(crate) fn verify_signature<C: Claims>(jws: &str, session: &SessionKey) -> Result<C, JwsError> {
    let parts = Parts::parse(jws)?;
    parts.verify::<C>(session)?;
    let claims: C = parts.claims()?;
    claims.check()?;
    Ok(claims)
}

/// Verifies against the attestation document that binds the session key.
#[cfg(feature = "verify")]
pub(crate) fn verify<C: Claims>(
    jws: &str,
    document: &attestation::Verified<attestation::AttestationDoc>,
) -> Result<C, JwsError> {
    let session = SessionKey::from_spki(document.public_key().unwrap_or_default())?;
    let claims: C = verify_signature(jws, &session)?;
    let stated = claims.stated();
    if stated.attestation != document.hash() {
        return Err(JwsError::Claim("attestation: the hash of the given document was expected"));
    }
    if Some(stated.pcr0) != document.pcr(attestation::PcrIndex::IMAGE) {
        return Err(JwsError::Claim("pcr0: the document's was expected"));
    }
    if stated.iat < document.timestamp() / 1000 {
        return Err(JwsError::Claim("iat: a time after the document's was expected"));
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
    fn parse(jws: &'t str) -> Result<Self, JwsError> {
        let malformed = JwsError::Malformed("three parts of base64url");
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

    fn verify<C: Claims>(&self, session: &SessionKey) -> Result<(), JwsError> {
        let header: ProtectedHeader = serde_json::from_slice(&self.header)
            .map_err(|_| JwsError::Malformed("a header of alg, kid and typ"))?;
        let key: &VerifyingKey = session.verifying_key();
        if header != ProtectedHeader::of::<C>(session) {
            return Err(JwsError::Signature);
        }
        key.verify_strict(self.signed.as_bytes(), &Signature::from_bytes(&self.signature))
            .map_err(|_| JwsError::Signature)
    }

    fn claims<C: Claims>(&self) -> Result<C, JwsError> {
        serde_json::from_slice(&self.payload).map_err(|_| JwsError::Malformed("the claims of version 1"))
    }
}
