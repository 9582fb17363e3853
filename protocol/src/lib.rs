//! What crosses a boundary: the names of keys, the frames and messages between parent and
//! enclave, the sealed record, the address certificate, and what a session's attestation binds.
//!
//! Formats only, each in one file and specified in `docs/formats.md`. Nothing here holds a
//! secret longer than it takes to pass on credentials.
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

pub mod answer;
pub mod api;
mod base64;
pub mod certificate;
pub mod check;
pub mod credentials;
pub mod dsse;
pub mod frame;
pub mod head;
pub mod jws;
pub mod key;
pub mod log;
pub mod message;
mod name;
pub mod operators;
pub mod order;
pub mod policy;
pub mod record;
pub mod refusal;
pub mod region;
pub mod request;
pub mod session;
pub mod timestamp;
pub mod transport;

pub use answer::{
    Answer, Authorized, Description, OrderAccepted, Phase, Replacement, Rewrapped, Rewrapping,
    SignedTransaction, State,
};
pub use certificate::AddressClaims;
pub use check::CheckClaims;
pub use credentials::Credentials;
pub use head::Head;
pub use jws::JwsError;
pub use key::{Deployment, Index, KeyId, KeyPath, Label, Purpose, UserRef};
pub use message::{LogHead, LogLine, NewKey, Operation, Request, Response};
pub use name::{HIDDEN, NameError};
pub use order::OrderId;
pub use record::{Record, RecordError, RecordHeader};
pub use refusal::{Refusal, RefusalCode, Wrong};
pub use region::Region;
pub use session::{PolicyRef, SessionBinding, SessionKey};
pub use transport::Endpoint;
