//! Tron: addresses, and the two transactions that a deposit key signs: a TRX transfer and a
//! `transfer` of a TRC-20 token.
//!
//! [`Transaction::parse`] takes the serialized `raw_data` (TronWeb's `raw_data_hex`) and nothing
//! that a Tron library would not have written for a sweep. [`Transaction::sweep`] matches it with
//! the whole template for one key. [`TronRules`] are the policy's part.
//!
//! The signature commits to SHA-256 of `raw_data`, and so to every byte that is read here. What a
//! node charges for bandwidth and for a new account is a chain parameter instead, which nothing
//! commits to: see [`Sweep::fee`].

mod address;
mod contract_type;
mod protobuf;
mod rules;
mod sweep;
mod transaction;
mod trc20;

pub use address::{TronAddress, address};
pub use rules::TronRules;
pub use sweep::Sweep;
pub use transaction::Transaction;
