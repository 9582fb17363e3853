//! For whoever checks: an exchange's backend that was given an address, an auditor, a regulator.
//!
//! The way leads from the AWS Nitro root to the attestation document of a boot, from there to its session
//! key, and from the session key to whatever an enclave states: the certificate of an address, a check of
//! a stored record, the log. Everything works offline and at any later time, and nothing is believed
//! that a host says. There are no default expectations: whoever verifies names the root and the images.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use cofferdam_verifier::{Image, Trust, measurements, verify_address};
//!
//! let measured = std::fs::read_to_string("measurements.json")?; // of your own build
//! let trust = Trust::aws(vec![Image::parse(&measurements::read(&measured)?)?])?;
//! let document = std::fs::read("attestation.cose")?;
//! let claims = verify_address(&trust, &document, &std::fs::read_to_string("address.jws")?)?;
//! println!("{} of {}", claims.address, claims.user.as_str());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

pub mod certificate;
mod documents;
pub mod json;
pub mod log;
pub mod measurements;
pub mod possession;
mod refused;
mod statement;
mod trust;

pub use documents::Documents;
pub use refused::Refused;
pub use statement::{Statement, StatementError, unverified, verify, verify_signature};
pub use trust::{Bindings, Image, Trust};

use attestation::verify::Freshness;
use protocol::{AddressClaims, Deployment};

/// Verifies an address: the document under the root and for one of the images, as of its own time; the
/// certificate by the session key that the document binds; and that key id, public key, address, image and
/// time agree. What the claims say is then the enclave's word.
///
/// # Errors
/// [`Refused`], which names the first check that failed.
pub fn verify_address(trust: &Trust, document: &[u8], certificate: &str) -> Result<AddressClaims, Refused> {
    let (document, _) = trust.verify(document, Freshness::Archived, Bindings::ANYTHING)?;
    Ok(certificate::verify(certificate, &document)?)
}

/// Verifies the log of one boot: every line, in order and without newlines. Answers the chain as far as it
/// was read: its head, and up to where checkpoints sign it. What lies before this boot and after it is for
/// the caller to compare.
///
/// # Errors
/// [`Refused`] for the document, or the first fault of the log.
pub fn verify_log<'l>(
    trust: &Trust,
    document: &[u8],
    deployment: &Deployment,
    lines: impl IntoIterator<Item = &'l [u8]>,
) -> Result<log::Verifier, Refused> {
    let (document, _) = trust.verify(document, Freshness::Archived, Bindings::ANYTHING)?;
    let identity =
        log::BootIdentity::of(&document).map_err(|error| Refused::new("document", error.to_string()))?;
    let mut verifier = log::Verifier::new(identity, deployment.clone());
    for line in lines {
        verifier.push(line).map_err(|fault| Refused::new("log", fault.to_string()))?;
    }
    Ok(verifier)
}
