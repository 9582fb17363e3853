//! The parent's side of the line to the enclave. It forwards and counts; it believes nothing
//! that it does not need to answer consistently.

mod connection;
mod keeping;
mod pool;
mod state;

pub use pool::{Enclave, EnclaveError, EnclaveLimits};
pub use state::EnclaveState;
