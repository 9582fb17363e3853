//! The trusted program. It makes deposit keys, seals them under KMS data keys that only attested
//! enclaves get, certifies their addresses, and opens what it sealed.
//!
//! Every byte that comes in is the host's, and the host is hostile. A program is made of this by
//! naming an [`attestation::Nsm`] and an [`Entropy`]: the production binary names the real ones
//! and knows no others.
// One module of `init` makes two calls of the kernel that nobody wraps.
#![deny(unsafe_code)]
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
        clippy::unwrap_used
    )
)]

mod authority;
mod boot;
pub mod clock;
mod confirmation;
pub mod console;
mod creation;
pub mod data_keys;
pub mod entropy;
mod gate;
pub mod hygiene;
pub mod init;
mod journal;
pub mod keys;
pub mod kms;
mod refusal;
mod requests;
mod rewrap;
pub mod sealing;
mod secret;
mod server;
mod service;
pub mod session;
mod signing;
mod strangers;
mod vault;
mod velocity;

pub use boot::{BootError, Enclave};
pub use entropy::{Entropy, SystemEntropy};
pub use secret::Secret;
