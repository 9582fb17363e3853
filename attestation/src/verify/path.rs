//! The certificate path of an attestation document (RFC 5280 §6, as far as AWS's PKI uses it):
//! P-384 throughout, from a named root to a leaf that is not a CA.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_ASN1, UnparsedPublicKey};
use der::{Decode, DecodePem, Encode, asn1::ObjectIdentifier};
use x509_cert::{
    Certificate, Version,
    ext::{
        Extension,
        pkix::{BasicConstraints, KeyUsage},
    },
};

/// AWS's path has root, region, zone, instance and leaf; a few more are allowed, not many.
const MAX_PATH: usize = 8;

const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not X.509, not DER, or another version.
    #[error("an X.509 version 3 certificate in DER was expected")]
    Malformed,
    /// Another algorithm than the PKI's.
    #[error("a P-384 key and a signature with ecdsa-with-SHA384 were expected")]
    Algorithm,
    /// Not the root that the verifier names.
    #[error("the named root certificate was expected")]
    Root,
    /// Longer than any real path.
    #[error("a path of at most {MAX_PATH} certificates was expected")]
    TooLong,
    /// Issued by someone else.
    #[error("the subject of the certificate above was expected as issuer")]
    Issuer,
    /// The signature is not the issuer's.
    #[error("a signature by the certificate above was expected")]
    Signature,
    /// Outside its validity.
    #[error("a validity from {from} to {to} was found, the time was {at} (seconds since 1970)")]
    Validity {
        /// notBefore.
        from: u64,
        /// notAfter.
        to: u64,
        /// When it had to be valid.
        at: u64,
    },
    /// A CA that is none, a leaf that is one, or a path that is too long for its CA.
    #[error("critical basicConstraints that allow this position were expected")]
    BasicConstraints,
    /// keyCertSign is missing on a CA, digitalSignature on the leaf.
    #[error("a keyUsage that allows this position was expected")]
    KeyUsage,
    /// An extension that must be understood and is not.
    #[error(
        "basicConstraints and keyUsage alone as critical extensions were expected, found another, or name constraints"
    )]
    CriticalExtension,
}

/// A root certificate that a verifier names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchor {
    der: Vec<u8>,
}

impl TrustAnchor {
    /// AWS Nitro Enclaves root G1, SHA-256
    /// `641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b`, valid until 2049-10-28.
    ///
    /// # Errors
    /// Never: the certificate is part of the program, and a test reads it.
    pub fn aws_nitro_root_g1() -> Result<Self, CertificateError> {
        Self::from_pem(include_str!("../aws-nitro-root-g1.pem"))
    }

    /// Reads a root in PEM.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        let certificate = Certificate::from_pem(pem).map_err(|_| CertificateError::Malformed)?;
        Self::from_der(&certificate.to_der().map_err(|_| CertificateError::Malformed)?)
    }

    /// Reads a root in DER.
    ///
    /// # Errors
    /// [`CertificateError`]
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        parse(der)?;
        Ok(Self { der: der.to_vec() })
    }

    /// SHA-256 of the DER, lower-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        crate::DocumentHash::of(&self.der).to_string()
    }
}

/// Verifies the path `[bundle…, leaf]` at `at` (seconds since 1970); returns the leaf's key, an
/// uncompressed point. An error names the position: 0 is the root.
pub(super) fn verify(
    bundle: &[Vec<u8>],
    leaf: &[u8],
    root: &TrustAnchor,
    at: u64,
) -> Result<Vec<u8>, (usize, CertificateError)> {
    if bundle.first().map(Vec::as_slice) != Some(root.der.as_slice()) {
        return Err((0, CertificateError::Root));
    }
    if bundle.len() >= MAX_PATH {
        return Err((bundle.len(), CertificateError::TooLong));
    }
    // The root's own signature is checked against itself, like any other.
    let mut issuer = parse(&root.der).map_err(|error| (0, error))?;
    for (position, der) in bundle.iter().enumerate() {
        // CA certificates between this one and the leaf.
        let below = bundle.len().saturating_sub(position).saturating_sub(1);
        issuer = check(der, &issuer, Role::Authority { below }, at).map_err(|error| (position, error))?;
    }
    let leaf = check(leaf, &issuer, Role::Leaf, at).map_err(|error| (bundle.len(), error))?;
    public_key(&leaf).map(<[u8]>::to_vec).map_err(|error| (bundle.len(), error))
}

#[derive(Clone, Copy)]
enum Role {
    Authority { below: usize },
    Leaf,
}

/// Reads a certificate and insists on DER, so that what was signed can be encoded again.
fn parse(der: &[u8]) -> Result<Certificate, CertificateError> {
    let certificate = Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
    let canonical = certificate.to_der().is_ok_and(|encoded| encoded == der);
    if canonical && certificate.tbs_certificate().version() == Version::V3 {
        Ok(certificate)
    } else {
        Err(CertificateError::Malformed)
    }
}

fn check(der: &[u8], issuer: &Certificate, role: Role, at: u64) -> Result<Certificate, CertificateError> {
    let certificate = parse(der)?;
    let tbs = certificate.tbs_certificate();
    if tbs.signature() != certificate.signature_algorithm()
        || tbs.signature().oid != ECDSA_WITH_SHA384
        || tbs.signature().parameters.is_some()
    {
        return Err(CertificateError::Algorithm);
    }
    if tbs.issuer() != issuer.tbs_certificate().subject() {
        return Err(CertificateError::Issuer);
    }
    let signed = tbs.to_der().map_err(|_| CertificateError::Malformed)?;
    let signature = certificate.signature().as_bytes().ok_or(CertificateError::Malformed)?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_ASN1, public_key(issuer)?)
        .verify(&signed, signature)
        .map_err(|_| CertificateError::Signature)?;

    let from = tbs.validity().not_before.to_unix_duration().as_secs();
    let to = tbs.validity().not_after.to_unix_duration().as_secs();
    if !(from..=to).contains(&at) {
        return Err(CertificateError::Validity { from, to, at });
    }
    extensions(&certificate, role)?;
    Ok(certificate)
}

fn extensions(certificate: &Certificate, role: Role) -> Result<(), CertificateError> {
    let tbs = certificate.tbs_certificate();
    let unknown = |id| ![BASIC_CONSTRAINTS, KEY_USAGE].contains(&id);
    // Name constraints must be critical (RFC 5280 §4.2.1.10), and bind where they are not.
    let binding = |e: &Extension| (e.critical && unknown(e.extn_id)) || e.extn_id == NAME_CONSTRAINTS;
    if tbs.extensions().into_iter().flatten().any(binding) {
        return Err(CertificateError::CriticalExtension);
    }
    let constraints =
        tbs.get_extension::<BasicConstraints>().map_err(|_| CertificateError::BasicConstraints)?;
    let (_, usage) = tbs
        .get_extension::<KeyUsage>()
        .map_err(|_| CertificateError::KeyUsage)?
        .ok_or(CertificateError::KeyUsage)?;
    let (constraints_fit, usage_fits) = match role {
        Role::Authority { below } => (
            constraints.is_some_and(|(critical, constraints)| {
                let length = constraints.path_len_constraint;
                critical && constraints.ca && length.is_none_or(|most| below <= usize::from(most))
            }),
            usage.key_cert_sign(),
        ),
        // AWS: basicConstraints "should" be in a leaf. Without them it is no CA (RFC 5280 §4.2.1.9).
        Role::Leaf => (
            constraints.is_none_or(|(_, constraints)| !constraints.ca),
            usage.digital_signature() && !usage.key_cert_sign(),
        ),
    };
    if !constraints_fit {
        Err(CertificateError::BasicConstraints)
    } else if !usage_fits {
        Err(CertificateError::KeyUsage)
    } else {
        Ok(())
    }
}

/// The uncompressed P-384 point of a certificate.
fn public_key(certificate: &Certificate) -> Result<&[u8], CertificateError> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    let curve = info.algorithm.parameters.as_ref().and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
    if info.algorithm.oid != EC_PUBLIC_KEY || curve != Some(SECP384R1) {
        return Err(CertificateError::Algorithm);
    }
    info.subject_public_key.as_bytes().ok_or(CertificateError::Algorithm)
}

#[cfg(test)]
mod foreign;
#[cfg(test)]
mod tests;
