//! The log that cannot be edited: what an entry and a checkpoint are, byte by byte, and the enclave's
//! writer ([`Chain`]). Specified in `docs/log.md`; crate `verifier` reads it.
//!
//! Formats only: nothing here reads a file, and no clock but the one that is handed in. Whoever
//! writes holds the chain under a lock, so that entries leave in the order of their numbers.

mod boot;
mod chain;
mod checkpoint;
mod detail;
mod entry;
mod hash;
mod keys;
mod names;
mod write;

pub use boot::{BootFacts, Head};
pub use chain::{Chain, NewLine};
pub use checkpoint::{Checkpoint, NotSigned};
pub use detail::{Detail, DetailError};
pub use entry::{Decision, Entry, Malformed, NewEntry, Outcome};
pub use hash::{ContentHash, EntryHash, NotAHash};
pub use keys::{Keys, TooManyKeys};
pub use names::{ClientName, LogNameError, OperationName, ReasonTag};

/// The version of entries and checkpoints that this code writes and reads.
pub const VERSION: u8 = 1;
/// The longest line, without its newline. The largest entry that can be made is shorter.
pub const MAX_LINE: usize = 32_768;
/// The most key ids of one entry.
pub const MAX_ENTRY_KEYS: usize = 100;
/// The most bytes of an entry's `detail`, as JSON.
pub const MAX_DETAIL: usize = 4096;
/// The same of `transaction.sign`: what a transaction of 100 inputs and 100 keys spends is never left out.
pub const MAX_SIGN_DETAIL: usize = 20_480;
/// How deep `detail` may nest: itself is 1.
pub const MAX_DETAIL_DEPTH: usize = 4;
/// How many entries later than the one that it covers a checkpoint may come.
pub const CHECKPOINT_WINDOW: usize = 1024;
