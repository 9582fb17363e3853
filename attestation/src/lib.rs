//! What an enclave is, for both sides: the [`Nsm`] that speaks for it, the [`AttestationDoc`]
//! that it signs, the verifier that makes a [`Verified`] document of one, and the
//! [`RecipientKey`] under which KMS answers an enclave.
//!
//! Features only add: `device` is the real `/dev/nsm`, `verify` is the verifier (X.509), which
//! everyone outside the enclave needs and the enclave does not.
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

pub mod cbor;
#[cfg(feature = "device")]
mod device;
pub mod document;
pub mod envelope;
pub mod nsm;
mod pcr;
#[cfg(feature = "verify")]
pub mod verify;

#[cfg(feature = "device")]
pub use device::NsmDevice;
pub use document::{AttestationDoc, DocumentError, DocumentHash};
pub use envelope::RecipientKey;
pub use nsm::{AttestationRequest, Nsm, NsmDescription, NsmError, PcrState};
pub use pcr::{Pcr, PcrError, PcrIndex};
#[cfg(feature = "verify")]
pub use verify::{Expectations, ExpectedPcrs, TrustAnchor, Verified, VerifyError};
