//! The Enclave Image Format, version 4: what AWS Nitro starts, and what its PCRs are made from.
//!
//! [`Image::read`] reads a stranger's image strictly and measures it; [`build()`] writes one, the
//! same bytes for the same inputs; [`Signer`] signs PCR0, and [`Signature::verify`] checks that;
//! [`Ramdisk`] makes the archives that an image holds. `docs/image.md` is the specification.
//!
//! No part of the enclave: operators build with it, auditors measure with it. It must never
//! measure something else than what would boot, so it refuses whatever it does not understand.
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

mod build;
mod error;
mod image;
mod kernel;
pub mod layout;
mod measurements;
mod metadata;
mod pem;
pub mod ramdisk;
pub mod signature;

pub use build::{MAX_BUILT_COMMAND_LINE, Parts, build};
pub use error::EifError;
pub use image::{Image, MAX_COMMAND_LINE, MAX_METADATA, MAX_SIGNATURE, Section};
pub use kernel::kernel_version;
pub use layout::{Architecture, Entry, Header, SectionKind};
pub use measurements::{Measurements, Reference, ReferenceError};
pub use metadata::{BuildInfo, Metadata};
pub use ramdisk::{Ramdisk, RamdiskError};
pub use signature::{Signature, SignatureError, Signer};
