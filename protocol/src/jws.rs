//! Compact JWS (RFC 7515, EdDSA of RFC 8037) by which the session key of a boot states something
//! that anyone can verify offline. One form for all statements; each has a `typ` of its own, so
//! that none can pass for another.

use std::marker::PhantomData;

use attestation::{DocumentHash, Pcr};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::SessionKey;

/// The longest statement that is read.
pub const MAX_JWS: usize = 4096;

/// What is stated: the payload, as JSON with its members in order.
pub trait Claims: Serialize + DeserializeOwned {
    /// The `typ` of the protected header.
    const TYPE: &'static str;

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

/// The protected header: `EdDSA`, the thumbprint of the session key, and the type of the claims.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectedHeader {
    alg: String,
    kid: String,
    typ: String,
}

impl ProtectedHeader {
    /// The one header that statements of this type by this session have.
    pub fn of<C: Claims>(session: &SessionKey) -> Self {
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
    /// None for this type; so that nothing is assumed.
    pub fn new(key: &'k SigningKey) -> serde_json::Result<Self> {
        let header = ProtectedHeader::of::<C>(&key.verifying_key().into());
        let json = serde_json::to_vec(&header)?;
        Ok(Self { key, header: BASE64URL_NOPAD.encode(&json), kind: PhantomData })
    }

    /// The compact serialisation.
    ///
    /// # Errors
    /// None for the claims of this crate; so that nothing is assumed.
    pub fn issue(&self, claims: &C) -> serde_json::Result<String> {
        let json = serde_json::to_vec(claims)?;
        let mut jws = self.header.clone();
        jws.push('.');
        BASE64URL_NOPAD.encode_append(&json, &mut jws);
        let signature = self.key.sign(jws.as_bytes());
        jws.push('.');
        BASE64URL_NOPAD.encode_append(&signature.to_bytes(), &mut jws);
        Ok(jws)
    }
}
