//! What the end-to-end tests share: a measured configuration, an enclave on a Unix socket, and a
//! parent's side of the wire that can behave or misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod config;
pub mod deployment;
pub mod enclave;
pub mod programs;
pub mod raw;
pub mod wire;
