//! Bitcoin: one key, P2WPKH and P2TR; sweeps by PSBT (BIP-174).
//!
//! [`Transaction`] is what a PSBT says, [`Sweep`] what matched the template for the keys of a
//! request, [`BitcoinRules`] what a policy allows of it.

mod address;
mod codec;
mod destination;
mod previous;
mod psbt;
mod raw;
mod rules;
mod script;
mod sighash;
mod sweep;
mod template;

pub use address::{BitcoinNetwork, output_key, p2tr, p2wpkh, tap_tweak};
pub use codec::MAX_PSBT;
pub use psbt::Transaction;
pub use rules::BitcoinRules;
pub use sweep::{Spent, Sweep};
