//! The log of one boot, verified line by line, for anyone who does not trust the parent that keeps it.
//! Specified in `docs/log.md`.

mod fault;
mod identity;
mod line;
mod verifier;

pub use fault::LogFault;
pub use identity::{BootIdentity, NotABoot};
pub use line::LogLine;
pub use verifier::Verifier;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
