//! Bitcoin sweeps, against other people's vectors and programs: the BIPs' vectors, PSBTs and
//! transactions of embit and bitcoinjs-lib, the crate `bitcoin`, and Bitcoin Core's own script
//! verification.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

// As the converter of PSBTs, which is the command line's, calls this crate.
extern crate cofferdam_chains as chains;

mod consensus;
mod lies;
mod malformed;
mod oracle;
mod pooled;
mod previous;
mod properties;
#[path = "../../../cofferdam/src/transaction/psbt_v2.rs"]
mod psbt_v2;
mod refused;
mod rules;
mod support;
mod vectors;
mod void;
