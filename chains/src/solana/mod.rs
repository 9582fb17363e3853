//! Solana: addresses, and sweeps of SOL and of SPL tokens.
//!
//! The way of a transaction: [`Transaction::parse`] reads the bytes strictly, [`Transaction::sweep`]
//! matches the whole template, [`SolanaRules::check`] applies the policy, [`Sweep::signing_inputs`] says
//! what is signed, [`Sweep::assemble`] puts the signatures in.

mod address;
mod derived;
mod fee;
mod instruction;
mod message;
mod names;
mod programs;
mod reader;
mod rules;
mod sweep;
mod template;
mod transaction;

pub use address::{SolanaAddress, address};
pub use derived::associated_token_account;
pub use rules::{FeePayer, SolanaRules, SplToken};
pub use sweep::{Closing, NewAccount, Nonce, Sweep};
pub use transaction::{MAX_TRANSACTION, Transaction};
