//! The signature section: one signature of PCR0 and the certificate of the key that made it. PCR8
//! is made from the certificate, whether or not the signature is right: only AWS's hypervisor and
//! [`Signature::verify`] look at that.

mod certificate;
mod cose;
mod signer;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_bytes::Bytes;

use attestation::{Pcr, cbor};

use crate::{EifError, image::MAX_SIGNATURE};

pub use certificate::Certificate;
pub use signer::Signer;

/// Why a signature is not believed, or cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A key on another curve than the format knows, or another algorithm than the key's.
    #[error("a key on P-256, P-384 or P-521 and its own algorithm (ES256, ES384, ES512) were expected")]
    Algorithm,
    /// Signed by another key, or something else was signed.
    #[error("a signature by the certificate's key was expected")]
    Signature,
    /// The signature is right, but of another image.
    #[error("a signature of this image's PCR0 was expected: it is another image's")]
    Image,
    /// The certificate is not valid at that time.
    #[error(
        "a certificate that is valid from {from} to {to} was found, the time was {at} (seconds since 1970)"
    )]
    Validity {
        /// notBefore.
        from: u64,
        /// notAfter.
        to: u64,
        /// When it had to be valid.
        at: u64,
    },
    /// Not a certificate.
    #[error("the signing certificate: {0} was expected")]
    Certificate(&'static str),
    /// Not a private key that signs images.
    #[error("the signing key: {0} was expected")]
    Key(&'static str),
    /// A key and a certificate that do not belong together.
    #[error("the key of the signing certificate was expected")]
    Pair,
}

/// A signature section as it was read. Not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    certificate: Certificate,
    message: cose::Sign1,
}

/// As AWS writes it: byte strings are arrays of numbers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    signing_certificate: Vec<u8>,
    signature: Vec<u8>,
}

impl Signature {
    /// Reads the section: one entry, in the one encoding that AWS's tools write.
    ///
    /// # Errors
    /// [`EifError::Signature`], [`EifError::Certificate`].
    pub(crate) fn parse(section: &[u8]) -> Result<Self, EifError> {
        const FORM: EifError =
            EifError::Signature("CBOR of one {signing_certificate, signature}, each an array of bytes,");
        let limit = usize::try_from(MAX_SIGNATURE).unwrap_or(usize::MAX);
        let [entry]: [Entry; 1] = cbor::decode(section, limit).map_err(|_| FORM)?;
        if encode(&entry.signing_certificate, &entry.signature)? != section {
            return Err(FORM);
        }
        let pem = str::from_utf8(&entry.signing_certificate)
            .map_err(|_| EifError::Certificate("a certificate in PEM"))?;
        let certificate = Certificate::from_pem(pem).map_err(|error| match error {
            SignatureError::Certificate(expected) => EifError::Certificate(expected),
            _ => EifError::Certificate("an X.509 certificate"),
        })?;
        let message = cose::Sign1::parse(&entry.signature)
            .ok_or(EifError::Signature("COSE_Sign1 without a tag and without unprotected headers"))?;
        Ok(Self { certificate, message })
    }

    /// The certificate. Nothing says whose it is but PCR8: anyone can make one.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Checks that the certificate's key signed PCR0 `pcr0`, and that the certificate is valid at
    /// `at` (seconds since 1970). The certificate's own issuer is not looked at, as AWS does not.
    ///
    /// # Errors
    /// [`SignatureError`], the first check that failed.
    pub fn verify(&self, pcr0: &Pcr, at: u64) -> Result<(), SignatureError> {
        let (curve, key) = self.certificate.key().ok_or(SignatureError::Algorithm)?;
        self.message.verify(curve, key)?;
        if self.message.payload() != payload(pcr0).map_err(|_| SignatureError::Image)? {
            return Err(SignatureError::Image);
        }
        let (from, to) = (self.certificate.valid_from(), self.certificate.valid_to());
        if (from..=to).contains(&at) { Ok(()) } else { Err(SignatureError::Validity { from, to, at }) }
    }
}

/// What is signed: `{"register_index": 0, "register_value": [PCR0]}`, the value an array of numbers.
fn payload(pcr0: &Pcr) -> Result<Vec<u8>, EifError> {
    let value = numbers(pcr0.as_bytes())?;
    Ok([&[0xa2][..], &text("register_index")?, &[0x00], &text("register_value")?, &value].concat())
}

/// The section. Its keys are in AWS's order, which is not the one of deterministic CBOR.
fn encode(certificate: &[u8], signature: &[u8]) -> Result<Vec<u8>, EifError> {
    let (certificate, signature) = (numbers(certificate)?, numbers(signature)?);
    let parts =
        [&[0x81, 0xa2][..], &text("signing_certificate")?, &certificate, &text("signature")?, &signature];
    Ok(parts.concat())
}

fn text(text: &str) -> Result<Vec<u8>, EifError> {
    cbor::encode(text).map_err(|_| EifError::Signature("text that CBOR can carry"))
}

/// An array with one number for each byte.
fn numbers(bytes: &[u8]) -> Result<Vec<u8>, EifError> {
    cbor::encode(bytes).map_err(|_| EifError::Signature("bytes that CBOR can carry"))
}

/// A byte string.
fn string(bytes: &[u8]) -> &Bytes {
    Bytes::new(bytes)
}
