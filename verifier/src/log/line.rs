//! A line of a log file: an entry, or a checkpoint between entries.

use protocol::log::{Checkpoint, Entry, MAX_LINE, Malformed};

/// How a checkpoint's line begins and ends; no entry begins so.
const CHECKPOINT: (&[u8], &[u8]) = (b"{\"checkpoint\":", b"}");

/// A line that was read, and nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogLine {
    /// An entry.
    Entry(Box<Entry>),
    /// A checkpoint over an entry before it.
    Checkpoint(Checkpoint),
}

impl LogLine {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        if line.len() > MAX_LINE {
            return Err(Malformed("a line of at most 32768 bytes"));
        }
        match line.strip_prefix(CHECKPOINT.0) {
            Some(rest) => {
                let json = rest.strip_suffix(CHECKPOINT.1).ok_or(Malformed("a checkpoint of version 1"))?;
                Checkpoint::parse(json).map(Self::Checkpoint)
            }
            None => Entry::parse(line).map(Box::new).map(Self::Entry),
        }
    }
}
