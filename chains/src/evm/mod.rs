//! Ethereum and every network with its addresses: what an address is, and what a transaction
//! must be for a deposit key to sign it.
//!
//! ```text
//! bytes ── Transaction::parse ── Transaction ── sweep(keys) ── Sweep ── EvmRules::check
//!                                                                └── signing_inputs, assemble
//! ```
//!
//! Two templates match, each on the whole transaction: a native payment (no data) and an ERC-20
//! transfer (value 0, `transfer`'s 68 bytes), each of more than nothing. Both are of type 0 with a
//! chain id (EIP-155) or of type 2 (EIP-1559) with an empty access list. A third one, of type 2, moves
//! nothing: value 0, no data, to the key's own account. It uses up a nonce, which an order must allow.
//! Everything else is refused:
//!
//! | tag | refused |
//! |---|---|
//! | `transaction.evm.rlp` | not the one encoding of one transaction |
//! | `transaction.evm.size` | longer than 4096 bytes |
//! | `transaction.evm.signed` | a signed transaction |
//! | `transaction.evm.unprotected` | type 0 without a chain id |
//! | `transaction.evm.type_1` | type 1 (EIP-2930) |
//! | `transaction.evm.type_3` | type 3, blobs (EIP-4844) |
//! | `transaction.evm.type_4` | type 4, sets an account's code (EIP-7702) |
//! | `transaction.evm.type` | a type that is not known |
//! | `transaction.evm.message` | a message (EIP-191, EIP-712) |
//! | `transaction.evm.creation` | the creation of a contract |
//! | `transaction.evm.access_list` | an access list with entries |
//! | `transaction.evm.chain` | a chain id of 0, or beyond EIP-2294 |
//! | `transaction.evm.nonce` | a nonce beyond EIP-2681 |
//! | `transaction.evm.gas` | a gas limit of 2^64 or more |
//! | `transaction.evm.fee` | a price or a fee of 2^128 or more; a priority fee above the greatest fee |
//! | `transaction.evm.amount` | a value or a token amount of 2^128 or more; one of 0 |
//! | `transaction.evm.call` | a call of anything but `transfer` |
//! | `transaction.evm.transfer` | `transfer` with other than 68 bytes or zero bytes before the recipient |
//! | `transaction.evm.value` | `transfer` with a value |
//! | `transaction.evm.key` | other than one key on secp256k1 |
//! | `transaction.evm.signature` | when assembled: not one signature by the key, with low s |

mod address;
mod rlp;
mod rules;
mod sweep;
mod transaction;
#[cfg(test)]
mod vectors;

pub use crate::public_key::account;
pub use address::{EvmAddress, address, parse_address};
pub use rules::{DEFAULT_MAX_NONCE, EvmRules, Network};
pub use sweep::Sweep;
pub use transaction::Transaction;
