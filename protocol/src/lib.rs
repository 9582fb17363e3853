//! The formats that parties agree on: names of keys, signed requests, policies, orders, the log, sealed
//! records, certificates, and what a session's attestation binds.
//!
//! Formats only, each in one file and specified in `docs/formats.md`: no I/O, no secret.
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
        clippy::unwrap_used
    )
)]

pub mod api;
mod base64;
pub mod certificate;
pub mod dsse;
pub mod endpoint;
pub mod jws;
pub mod key;
pub mod log;
pub mod measured;
mod name;
pub mod operators;
pub mod order;
pub mod policy;
pub mod possession;
pub mod record;
pub mod region;
pub mod request;
pub mod session;
pub mod timestamp;

pub use certificate::AddressClaims;
pub use endpoint::Endpoint;
pub use key::{Deployment, Index, KeyId, KeyPath, Label, NewKey, Purpose, UserRef};
pub use measured::MeasuredConfig;
pub use name::{HIDDEN, NameError};
pub use order::OrderId;
pub use possession::PossessionClaims;
pub use record::{Record, RecordError, RecordHeader};
pub use region::Region;
pub use session::{PolicyRef, SessionBinding, SessionKey};
