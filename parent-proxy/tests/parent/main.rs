//! The parent as a process of its own, from outside: over HTTP on one side, and with a double of
//! the enclave on the other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![allow(unreachable_pub, missing_docs, reason = "a program of tests")]

mod addresses;
mod alerts;
mod alerts_https;
mod bad_input;
mod codes;
mod credentials;
mod egress;
mod enclave_line;
mod flood;
mod index;
mod log;
mod logged;
mod metrics;
mod openapi;
mod operation;
mod orders;
mod rewrap;
mod signatures;
mod signed;
mod store;
mod support;
mod tls;
