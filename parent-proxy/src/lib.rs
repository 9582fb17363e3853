//! The untrusted program on the parent instance: the HTTP API, the blob store, the way out to
//! KMS, and credentials for the enclave.
//!
//! It holds no policy and no key. What it checks, it checks to shed load and to answer
//! consistently; what must hold against a hostile host is checked in the enclave, or by whoever
//! verifies a certificate. It never writes users' data or credentials into a log or a metric.
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

pub mod address;
pub mod alerts;
pub mod api;
mod backoff;
pub mod clients;
pub mod config;
pub mod creation;
pub mod credentials;
mod durable;
pub mod egress;
pub mod enclave;
pub mod index;
pub mod log;
pub mod logging;
pub mod metrics;
pub mod records;
mod run;
mod server;
mod stop;
pub mod store;
pub mod tls;

pub use config::Config;
pub use run::{Listening, RunError, run};
