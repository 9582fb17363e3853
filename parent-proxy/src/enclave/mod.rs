//! The parent's side of the line to the enclave. It forwards and counts; it believes nothing
//! that it does not need to answer consistently.

mod ask;
mod boot;
mod checkpoints;
mod connection;
mod keep_connections;
mod lines;
mod live;
mod operations;
mod pool;
mod replay;
mod state;
mod told;

pub use pool::{Enclave, EnclaveError, EnclaveLimits, EnclaveParts};
pub use state::EnclaveState;
