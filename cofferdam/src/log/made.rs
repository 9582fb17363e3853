//! The keys that a stored log says were made.

use std::path::Path;

use protocol::{
    KeyId,
    log::{Decision, Entry, OperationName},
};
use verifier::log::LogLine;

use super::{folder, lines::Next};
use crate::error::Error;

/// The keys of every creation that was allowed, in the order of boots and entries, as often as they are
/// named. Nothing is verified: `log verify` does that.
pub(crate) fn made_keys(folder: &Path) -> Result<Vec<KeyId>, Error> {
    let mut keys = Vec::new();
    for boot in folder::boots(folder)? {
        for segment in &boot.segments {
            let mut lines = segment.open()?;
            // What a crash left unfinished is no entry.
            while let Next::Line(line) = lines.next().map_err(|error| segment.unreadable(&error))? {
                let line = LogLine::parse(line)
                    .map_err(|error| Error::input(format_args!("{}/{}", boot.boot, segment.name()), error))?;
                if let LogLine::Entry(entry) = line
                    && makes_keys(&entry)
                {
                    keys.extend(entry.event.keys.as_slice());
                }
            }
        }
    }
    Ok(keys)
}

fn makes_keys(entry: &Entry) -> bool {
    entry.event.operation == OperationName::ADDRESS_CREATE
        && entry.event.outcome.decision() == Decision::Allow
}
