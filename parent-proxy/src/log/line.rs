//! What the parent reads of a line: whose it is, and what it follows. The rest is the business of
//! whoever verifies. A line is kept byte for byte as the enclave wrote it.

use attestation::DocumentHash;
use data_encoding::HEXLOWER;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use wire::LogLine;

use super::LogError;

/// The longest line that is kept, without its end. The enclave's own are shorter.
pub const MAX_LINE: usize = 65_536;
/// How a checkpoint's line begins; no entry begins so.
const CHECKPOINT: &str = "{\"checkpoint\":";

/// SHA-256 of a line without its end.
pub(super) type LineHash = [u8; 32];

/// An entry that waits to be written.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) boot: DocumentHash,
    pub(super) seq: u64,
    pub(super) prev: LineHash,
    pub(super) text: String,
}

/// A checkpoint, and the entry that it covers.
#[derive(Debug, Clone)]
pub(super) struct Checkpoint {
    pub(super) boot: DocumentHash,
    pub(super) seq: u64,
    /// When it was signed.
    pub(super) time: u64,
    /// The JSON object.
    pub(super) json: String,
}

#[derive(Deserialize)]
struct EntryFields {
    boot: DocumentHash,
    seq: u64,
    prev: String,
}

#[derive(Deserialize)]
struct CheckpointFields {
    boot: DocumentHash,
    seq: u64,
    time: u64,
}

impl Entry {
    /// From what the enclave answered.
    pub(super) fn of(line: LogLine) -> Result<Self, LogError> {
        let entry = Self::read(line.line)?;
        if entry.seq == line.seq { Ok(entry) } else { Err(LogError::Line("the number that it is sent with")) }
    }

    /// From a line's text without its end.
    pub(super) fn read(text: String) -> Result<Self, LogError> {
        bounded(&text)?;
        let fields: EntryFields =
            serde_json::from_str(&text).map_err(|_| LogError::Line("JSON with boot, seq and prev"))?;
        let prev = HEXLOWER.decode(fields.prev.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        let prev = prev.ok_or(LogError::Line("a hash as prev"))?;
        if fields.seq == 0 {
            return Err(LogError::Line("a number from 1 on"));
        }
        Ok(Self { boot: fields.boot, seq: fields.seq, prev, text })
    }

    pub(super) fn hash(&self) -> LineHash {
        Sha256::digest(self.text.as_bytes()).into()
    }
}

impl Checkpoint {
    /// From the JSON object that the enclave answered.
    pub(super) fn of(json: String) -> Result<Self, LogError> {
        bounded(&json)?;
        let fields: CheckpointFields = serde_json::from_str(&json)
            .map_err(|_| LogError::Line("a checkpoint with boot, seq and time"))?;
        if fields.seq == 0 {
            return Err(LogError::Line("a number from 1 on"));
        }
        Ok(Self { boot: fields.boot, seq: fields.seq, time: fields.time, json })
    }

    /// Which of two says more: the one over the later entry, or the later one over the same.
    pub(super) const fn mark(&self) -> (u64, u64) {
        (self.seq, self.time)
    }

    /// From a line without its end; nothing when it is an entry's.
    pub(super) fn of_line(text: &str) -> Option<Result<Self, LogError>> {
        let rest = text.strip_prefix(CHECKPOINT)?;
        let json = rest.strip_suffix('}').ok_or(LogError::Line("a checkpoint in an object"));
        Some(json.and_then(|json| Self::of(json.to_owned())))
    }

    /// Appends the line with its end.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(CHECKPOINT.as_bytes());
        out.extend_from_slice(self.json.as_bytes());
        out.extend_from_slice(b"}\n");
    }
}

/// Where a boot's log ends.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    pub(super) seq: u64,
    pub(super) hash: LineHash,
    /// The last entry before that checkpoint's line.
    pub(super) signed_at: u64,
    /// The last checkpoint of the last segments.
    pub(super) checkpoint: Option<Checkpoint>,
}

/// The number of an entry's line, for finding a place in a segment.
pub(super) fn seq_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Seq {
        seq: u64,
    }
    serde_json::from_slice::<Seq>(line).ok().map(|fields| fields.seq)
}

/// Whether a line is a checkpoint's.
pub(crate) fn is_checkpoint(line: &[u8]) -> bool {
    line.starts_with(CHECKPOINT.as_bytes())
}

fn bounded(text: &str) -> Result<(), LogError> {
    if text.len() > MAX_LINE {
        return Err(LogError::Line("at most 65536 bytes"));
    }
    if text.bytes().any(|b| b < b' ') || !text.starts_with('{') || !text.ends_with('}') {
        return Err(LogError::Line("one line of JSON"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::double;

    #[test]
    fn a_line_is_one_line_of_the_number_that_it_is_sent_with() {
        let line = double::lines(1).remove(0);
        assert_eq!(Entry::of(line.clone()).unwrap().text, line.line);
        let text = &line.line;
        for bad in [
            text.replace(",\"seq", ",\n\"seq"),
            format!("{text}\n"),
            format!("{text}\n{text}"),
            format!(" {text}"),
            format!("{text}{text}"),
            text.replace("\"seq\":1", "\"seq\":2"),
            text.replace("\"seq\":1", "\"seq\":0"),
            text.replace("\"boot\":\"", "\"boot\":\"zz"),
            text.replace("\"prev\":\"", "\"prev\":\"00"),
            text.replace("\"operation\"", "\"operation\u{0}\""),
            format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_LINE)),
            "{}".into(),
            String::new(),
            "[".repeat(50_000),
            format!("{{\"a\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)),
        ] {
            let refused = Entry::of(LogLine { seq: 1, line: bad.clone() });
            assert!(matches!(refused, Err(LogError::Line(_))), "{bad:.100}");
        }
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written_and_is_no_entry() {
        let checkpoint = Checkpoint::of(double::checkpoint(7)).unwrap();
        let mut line = Vec::new();
        checkpoint.write(&mut line);
        assert!(is_checkpoint(&line));
        let line = String::from_utf8(line).unwrap();
        let read = Checkpoint::of_line(line.trim_end()).unwrap().unwrap();
        assert_eq!((read.seq, read.json), (7, checkpoint.json));
        assert!(Checkpoint::of_line(&double::lines(1).remove(0).line).is_none());
        for bad in ["", "{}", "{\"boot\":1}", "{\n}", &double::checkpoint(0), &"x".repeat(MAX_LINE + 1)] {
            assert!(matches!(Checkpoint::of(bad.into()), Err(LogError::Line(_))), "{bad:.100}");
        }
    }
}
