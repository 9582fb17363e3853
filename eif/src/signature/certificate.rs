//! The certificate of an image's signer: X.509, usually self-signed, of any version. It carries a
//! key, a name and a time; its issuer is nobody's concern, as it is not AWS's.

use der::{Decode, Encode, asn1::ObjectIdentifier};

use super::{SignatureError, cose::Curve};
use crate::pem;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
/// Larger than any certificate for this use.
const MAX_CERTIFICATE: usize = 1 << 14;

/// A signer's certificate as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    subject: String,
    from: u64,
    to: u64,
    key: Option<(Curve, Vec<u8>)>,
}

impl Certificate {
    /// Reads the first certificate of a PEM file, as AWS's tools do.
    ///
    /// # Errors
    /// [`SignatureError::Certificate`]
    pub fn from_pem(text: &str) -> Result<Self, SignatureError> {
        const EXPECTED: SignatureError = SignatureError::Certificate("an X.509 certificate in PEM");
        let der = pem::block(text, "CERTIFICATE").filter(|der| der.len() <= MAX_CERTIFICATE);
        let der = der.ok_or(EXPECTED)?.to_vec();
        let certificate = x509_cert::Certificate::from_der(&der).map_err(|_| EXPECTED)?;
        // PCR8 is over the DER: a certificate has one.
        if certificate.to_der().ok().as_ref() != Some(&der) {
            return Err(SignatureError::Certificate("an X.509 certificate whose encoding is DER"));
        }
        let tbs = certificate.tbs_certificate();
        let info = tbs.subject_public_key_info();
        let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as().ok());
        let curve = match curve {
            _ if info.algorithm.oid != EC_PUBLIC_KEY => None,
            Some(SECP256R1) => Some(Curve::P256),
            Some(SECP384R1) => Some(Curve::P384),
            Some(SECP521R1) => Some(Curve::P521),
            _ => None,
        };
        let point = info.subject_public_key.as_bytes().map(<[u8]>::to_vec);
        Ok(Self {
            subject: tbs.subject().to_string(),
            from: tbs.validity().not_before.to_unix_duration().as_secs(),
            to: tbs.validity().not_after.to_unix_duration().as_secs(),
            key: curve.zip(point),
            der,
        })
    }

    /// The DER, from which PCR8 is made.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The distinguished name (RFC 4514). Text from outside.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Valid from, in seconds since 1970.
    pub const fn valid_from(&self) -> u64 {
        self.from
    }

    /// Valid to, in seconds since 1970.
    pub const fn valid_to(&self) -> u64 {
        self.to
    }

    /// The key, an encoded point, when it is on a curve of the format.
    pub(super) fn key(&self) -> Option<(Curve, &[u8])> {
        self.key.as_ref().map(|(curve, point)| (*curve, point.as_slice()))
    }
}
