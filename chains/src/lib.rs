//! What a blockchain says: the families of key and address form that Cofferdam serves, and the
//! address of a public key on each, and what a transaction says. Pure functions; no I/O, no secrets.
//!
//! A [`Chain`] is a family: one EVM address serves every EVM network. Which networks a
//! deployment serves is the policy's matter; only Bitcoin's addresses name their network.
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
        clippy::unwrap_used
    )
)]

mod amount;
mod assets;
mod base58check;
pub mod bitcoin;
mod chain;
pub mod evm;
mod limits;
mod meter;
mod public_key;
mod reader;
mod recoverable;
mod rules;
pub mod solana;
mod spends;
mod sweep;
mod text;
mod transaction;
pub mod tron;

pub use amount::{Amount, NotAnAmount};
pub use assets::{Asset, Token};
pub use bitcoin::BitcoinNetwork;
pub use chain::{Addresses, Chain, UnknownChain, addresses};
pub use limits::{DEFAULT_MIN_AMOUNT, FeeCap, Native, Permille, Velocity};
pub use meter::{Anchor, Count, Meter};
pub use public_key::{Curve, PublicKey, PublicKeyError};
pub use rules::{Confirmations, Distinct, Entry, RulesError, Symbol, distinct};
pub use spends::{NotSpends, Outpoint, Spends};
pub use sweep::{Check, Refused, Signed, SigningInput, Source, Summary, ToSign, Transfer};
pub use text::NotAnAddress;
pub use transaction::{Rules, Sweep, Transaction};
