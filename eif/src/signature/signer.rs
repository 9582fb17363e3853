//! Signs images: ES384 with a P-384 key, which AWS's documentation recommends.

use attestation::Pcr;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};

use super::{
    Certificate, SignatureError,
    cose::{Curve, Sign1, to_be_signed},
    encode, payload,
};
use crate::{EifError, pem};

/// A private key and its certificate, which belong together.
pub struct Signer {
    key: EcdsaKeyPair,
    certificate: Certificate,
    pem: Vec<u8>,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("certificate", &self.certificate.subject()).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads a P-384 key (PEM: PKCS#8, or SEC1 of RFC 5915) and its certificate (PEM), which goes
    /// into the images as it is.
    ///
    /// # Errors
    /// [`SignatureError::Key`], [`SignatureError::Certificate`], [`SignatureError::Pair`].
    pub fn new(key: &str, certificate: &str) -> Result<Self, SignatureError> {
        const EXPECTED: SignatureError =
            SignatureError::Key("a private key on P-384 in PEM, not encrypted (PKCS#8 or SEC1),");
        let der = pem::block(key, "PRIVATE KEY").or_else(|| pem::block(key, "EC PRIVATE KEY"));
        let key = EcdsaKeyPair::from_private_key_der(&ECDSA_P384_SHA384_FIXED_SIGNING, &der.ok_or(EXPECTED)?)
            .map_err(|_| EXPECTED)?;
        let pem = certificate.as_bytes().to_vec();
        let certificate = Certificate::from_pem(certificate)?;
        if certificate.key() != Some((Curve::P384, key.public_key().as_ref())) {
            return Err(SignatureError::Pair);
        }
        Ok(Self { key, certificate, pem })
    }

    /// The certificate.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The signature section for an image with this PCR0.
    pub(crate) fn sign(&self, pcr0: &Pcr) -> Result<Vec<u8>, EifError> {
        let payload = payload(pcr0)?;
        let signed = to_be_signed(Curve::P384, &payload).ok_or(EifError::Signing)?;
        let signature = self.key.sign(&SystemRandom::new(), &signed).map_err(|_| EifError::Signing)?;
        let message = Sign1::new(Curve::P384, payload, signature.as_ref().to_vec());
        encode(&self.pem, &message.encode().ok_or(EifError::Signing)?)
    }
}
