//! The log as the parent keeps it: the enclave's lines, in order and without gaps, on disk before
//! any client is answered; read by auditors and alerts, and shipped to the store.
//!
//! ```text
//! <folder>/<boot>/attestation.cose       the boot's attestation document
//! <folder>/<boot>/000000000001.jsonl     a segment, named by its first entry
//! <folder>/.boots                        the boots in the order in which they began
//! <folder>/.shipped.json                 how far each boot was shipped
//! <folder>/.lock                         kept by the one process that writes
//! ```
//!
//! Specified in `docs/log.md`; what is hidden is the parent's own and no part of the log.
//!
//! Nothing here can make a log that verifies out of one that does not. What it refuses, it refuses
//! so that a fault shows at once and not in an audit.

mod book;
mod disk;
#[cfg(test)]
mod double;
mod error;
mod keeping;
mod line;
mod queue;
mod read;
mod recover;
mod shelf;
mod ship;
#[cfg(test)]
mod tests;
mod writer;

pub use book::{Book, BookLimits, Progress};
pub use error::LogError;
pub use keeping::Source;
pub use line::MAX_LINE;
pub(crate) use line::is_checkpoint;
pub use ship::Shipping;
