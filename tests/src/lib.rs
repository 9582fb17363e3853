//! What the end-to-end tests share: a measured configuration, an enclave on a Unix socket, a
//! parent's side of the wire that can behave or misbehave, and the whole system in processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "helpers of tests: what fails here fails the test"
)]

pub mod alike;
pub mod audited;
pub mod authority;
pub mod browser;
pub mod certificates;
pub mod config;
pub mod deployment;
pub mod enclave;
pub mod floods;
pub mod guide;
pub mod machines;
pub mod ministack;
pub mod process;
pub mod programs;
pub mod raw;
pub mod scene;
pub mod stack;
pub mod tools;
pub mod transactions;
pub mod vm;
pub mod wire;
