//! What crosses between parent and enclave: messages and their answers, frames, and the transport
//! below them, vsock or a socket file.
//!
//! Specified in `docs/formats.md`. The other side of this boundary is hostile: every length is
//! bounded before memory is taken, and every read and write has a deadline. Nothing here holds a
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
pub mod credentials;
pub mod frame;
pub mod head;
pub mod log;
pub mod message;
pub mod refusal;
pub mod transport;

pub use answer::{
    Answer, Description, OrderAccepted, Phase, Rewrapped, Rewrapping, SignedTransaction, State,
};
pub use credentials::Credentials;
pub use head::RequestHead;
pub use log::{LogHead, LogLine};
pub use message::{Operation, Request, Response};
pub use refusal::{Refusal, RefusalCode, Wrong};
