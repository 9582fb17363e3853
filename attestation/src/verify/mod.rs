//! The one way from an [`AttestationDoc`] to a [`Verified`] one. What each check proves, and
//! what it does not, is told in `docs/attestation.md`.
//!
//! The same code verifies AWS's documents and the simulator's: only the [`TrustAnchor`] differs,
//! and expectations have no default.

mod expect;
mod path;

use std::ops::Deref;

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};

pub use expect::{Expectations, ExpectedPcrs, Freshness, Match};
pub use path::{CertificateError, TrustAnchor};

use crate::{AttestationDoc, DocumentError, Pcr, PcrError, PcrIndex};

/// Why a document was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// Not an attestation document.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The certificates do not lead to the root.
    #[error("certificate {position} of the path from the root: {error}")]
    Path {
        /// 0 is the root, the last is the one that signed the document.
        position: usize,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// The signature is not the leaf certificate's.
    #[error("a signature by the leaf certificate's key was expected")]
    Signature,
    /// The document lies in the future.
    #[error("a timestamp not after {now} was expected, found {timestamp} (milliseconds)")]
    Future {
        /// The document's.
        timestamp: u64,
        /// The verifier's, with the skew that was allowed.
        now: u64,
    },
    /// The document is older than allowed.
    #[error("a document at most {max_age} ms old was expected, found {age}")]
    Stale {
        /// How old it is.
        age: u64,
        /// How old it may be.
        max_age: u64,
    },
    /// A debug-mode enclave: its console shows everything.
    #[error("PCR{index} of an image was expected, found zeroes: an enclave in debug mode")]
    Debug {
        /// The first register that is zero and must not be.
        index: PcrIndex,
    },
    /// Another image, role or instance.
    #[error("PCR{index} {expected} was expected, found {}", found.map_or("none".to_owned(), |pcr| pcr.to_string()))]
    Pcr {
        /// Which register.
        index: PcrIndex,
        /// What the verifier names.
        expected: Pcr,
        /// What the document says.
        found: Option<Pcr>,
    },
    /// The nonce, public key or user data is not the expected one.
    #[error("{field}: {expected} was expected")]
    Binding {
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// Why expectations make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectationError {
    /// No register names the image.
    #[error("PCR0, or PCR1 and PCR2 together, were expected: PCR3, 4 and 8 alone identify no image")]
    NoImage,
    /// Zero is what every debug enclave has.
    #[error("a value that is not zero was expected for PCR{0}: zeroes are an enclave in debug mode")]
    Zero(PcrIndex),
    /// The same register twice.
    #[error("one value for PCR{0} was expected")]
    Repeated(PcrIndex),
    /// Not of the form `INDEX=HEX`.
    #[error(transparent)]
    Syntax(#[from] PcrError),
}

/// Something that was verified. Only this module makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Verifies a document: form, certificate path, signature, age, PCRs, nonce, public key, user data.
///
/// # Errors
/// [`VerifyError`], the first check that failed.
pub fn verify(document: &[u8], expected: &Expectations<'_>) -> Result<Verified<AttestationDoc>, VerifyError> {
    let doc = AttestationDoc::parse(document)?;
    let at = expected.freshness.check(doc.timestamp())?;
    let leaf_key = path::verify(doc.cabundle(), doc.certificate(), expected.root, at / 1000)
        .map_err(|(position, error)| VerifyError::Path { position, error })?;
    UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, leaf_key)
        .verify(doc.signed_bytes(), doc.signature())
        .map_err(|_| VerifyError::Signature)?;
    expected.pcrs.check(&doc)?;
    expected.nonce.check("nonce", doc.nonce())?;
    expected.public_key.check("public_key", doc.public_key())?;
    expected.user_data.check("user_data", doc.user_data())?;
    Ok(Verified(doc))
}

#[cfg(test)]
mod tests;
