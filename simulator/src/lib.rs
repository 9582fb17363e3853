//! Stand-ins for a laptop: a [`pki`] shaped like that of AWS's Nitro Enclaves, a
//! [`SimulatedNsm`] that signs attestation documents under it, and a [`kms`] that speaks AWS KMS's
//! protocol and makes AWS KMS's checks.
//!
//! A stand-in fakes the key, never the check: documents of the simulated NSM verify with the same
//! code as AWS's, under another root. Nothing of this crate may be reachable from the trusted
//! program or from the parent proxy.
#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

pub mod account;
pub mod cli;
mod clock;
pub mod enclave;
mod files;
pub mod kms;
pub mod nsm;
pub mod pki;

pub use account::Account;
pub use clock::{Clock, system_clock};
pub use kms::LocalKms;
pub use nsm::{NsmConfig, PcrConfig, SimulatedNsm};
