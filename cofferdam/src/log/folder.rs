//! The folder of a log, on the parent's disk and in object storage alike:
//! `<boot, 64 hex digits>/attestation.cose` and `<boot>/<first entry, 12 digits>.jsonl`.
//! Names that begin with a dot are of no interest; any other name is an error, so that nothing
//! that looks like a part of the log is passed over.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use attestation::DocumentHash;
use protocol::log::{BootFacts, Entry, Head};

use super::lines::{Lines, Next};
use crate::{
    error::Error,
    input::{self, MAX_DOCUMENT},
};
use verifier::Refused;

const DOCUMENT: &str = "attestation.cose";
const SEGMENT: &str = ".jsonl";
const SEGMENT_DIGITS: usize = 12;

/// The files of one boot.
#[derive(Debug)]
pub(super) struct BootFolder {
    pub(super) boot: DocumentHash,
    path: PathBuf,
    /// By the number of their first entry.
    pub(super) segments: Vec<Segment>,
}

/// A file of entries.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) first: u64,
    path: PathBuf,
}

/// What the first entry says, before anything was verified.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Peek {
    pub(super) time: u64,
    pub(super) previous: Option<Head>,
}

/// The boots of a folder, by name.
pub(super) fn boots(folder: &Path) -> Result<Vec<BootFolder>, Error> {
    let mut boots = Vec::new();
    for (name, path) in list(folder)? {
        let boot: DocumentHash = name.parse().map_err(|_| stray(&path, "folders named by 64 digits"))?;
        boots.push(BootFolder { boot, segments: segments(&path)?, path });
    }
    Ok(boots)
}

fn segments(folder: &Path) -> Result<Vec<Segment>, Error> {
    let mut segments = Vec::new();
    for (name, path) in list(folder)? {
        if name == DOCUMENT {
            continue;
        }
        let first = name
            .strip_suffix(SEGMENT)
            .filter(|digits| digits.len() == SEGMENT_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| stray(&path, "attestation.cose and segments of 12 digits and .jsonl"))?;
        segments.push(Segment { first, path });
    }
    segments.sort();
    Ok(segments)
}

fn list(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let unreadable =
        |error| Error::input(folder.display(), format_args!("a readable folder was expected: {error}"));
    let mut names = Vec::new();
    for item in fs::read_dir(folder).map_err(unreadable)? {
        let item = item.map_err(unreadable)?;
        let name = item.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push((name, item.path()));
        }
    }
    names.sort();
    Ok(names)
}

fn stray(path: &Path, expected: &str) -> Refused {
    Refused::new("layout", format!("{}: only {expected} were expected", path.display()))
}

impl BootFolder {
    /// The boot's attestation document.
    pub(super) fn document(&self) -> Result<Vec<u8>, Error> {
        let path = self.path.join(DOCUMENT);
        if !path.exists() {
            let missing = format!("{}: the boot's attestation document was expected", path.display());
            return Err(Refused::new("document", missing).into());
        }
        input::read(&path, MAX_DOCUMENT)
    }

    /// What the first entry says; nothing where there is none that can be read.
    pub(super) fn peek(&self) -> Option<Peek> {
        let mut lines = self.segments.first()?.open().ok()?;
        let Ok(Next::Line(line)) = lines.next() else { return None };
        let entry = Entry::parse(line).ok()?;
        let previous = BootFacts::of(&entry).and_then(|facts| facts.previous);
        Some(Peek { time: entry.time, previous })
    }
}

impl Segment {
    /// Its lines.
    pub(super) fn open(&self) -> Result<Lines<File>, Error> {
        File::open(&self.path).map(Lines::new).map_err(|error| self.unreadable(&error))
    }

    /// It could not be read.
    pub(super) fn unreadable(&self, error: &std::io::Error) -> Error {
        Error::input(self.path.display(), format_args!("a readable file was expected: {error}"))
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        format!("{:0SEGMENT_DIGITS$}{SEGMENT}", self.first)
    }
}
