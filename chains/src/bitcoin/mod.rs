//! Bitcoin: one key, P2WPKH and P2TR; sweeps by PSBT (BIP-174, BIP-370).
//!
//! [`Transaction`] is what a PSBT says, [`Sweep`] what matched the template for the keys of a
//! request, [`Rules`] what a policy allows of it.

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
pub use destination::NotAnAddress;
pub use psbt::{MAX_PSBT, Transaction};
pub use rules::Rules;
pub use sweep::{Spent, Sweep};
