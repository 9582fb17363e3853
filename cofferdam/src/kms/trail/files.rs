//! The files that are named, and those in the folders that are named, one at a time in memory.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use super::gzip;
use crate::{
    error::Error,
    input::{self, STDIN},
};

/// The most bytes of one file, compressed or not. CloudTrail's own are below 50 MB.
const MAX_FILE: u64 = 256 << 20;
/// How CloudTrail's files end, those of `lookup-events` and those of a local KMS.
const ENDINGS: [&str; 4] = [".json", ".json.gz", ".jsonl", ".jsonl.gz"];
/// Beside the events, CloudTrail keeps hashes of its files here; they hold no event.
const DIGESTS: &str = "CloudTrail-Digest";
/// The most folders below each other.
const MAX_DEPTH: usize = 32;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// To be read, each once, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// How many in folders are none of CloudTrail's by their names, and are not read.
    pub(super) others: u64,
}

/// Looks into folders.
pub(super) fn find(paths: &[PathBuf]) -> Result<Found, Error> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            folder(path, &mut found)?;
        } else {
            found.files.push(path.clone());
        }
    }
    found.files.sort();
    found.files.dedup();
    Ok(found)
}

fn folder(path: &Path, found: &mut Found) -> Result<(), Error> {
    let mut open = vec![(path.to_owned(), 0)];
    while let Some((path, depth)) = open.pop() {
        let unreadable =
            |error| Error::input(path.display(), format_args!("a readable folder was expected: {error}"));
        if depth > MAX_DEPTH {
            let text = format!("at most {MAX_DEPTH} folders below each other were expected");
            return Err(Error::input(path.display(), text));
        }
        for item in fs::read_dir(&path).map_err(unreadable)? {
            let item = item.map_err(unreadable)?;
            let name = item.file_name().to_string_lossy().into_owned();
            // Links to folders are not followed: they could lead in a circle.
            if item.file_type().map_err(unreadable)?.is_dir() {
                if name != DIGESTS {
                    open.push((item.path(), depth + 1));
                }
            } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                found.files.push(item.path());
            } else {
                found.others += 1;
            }
        }
    }
    Ok(())
}

/// Reads a file, decompressed if it is.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = input::read(path, MAX_FILE)?;
    if !gzip::is_gzip(&bytes) {
        return Ok(bytes);
    }
    let limit = usize::try_from(MAX_FILE).unwrap_or(usize::MAX);
    gzip::decompress(&bytes, limit)
        .map_err(|expected| Error::input(name(path), format_args!("{expected} was expected")))
}

/// For messages.
pub(super) fn name(path: &Path) -> String {
    if path.as_os_str() == OsStr::new(STDIN) {
        "standard input".to_owned()
    } else {
        path.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_without_digests_and_what_is_passed_over_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["CloudTrail/eu/b.json.gz", "CloudTrail/a.jsonl", "CloudTrail-Digest/c.json.gz", "README"]
        {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("CloudTrail/circle")).unwrap();
        let twice = [folder.path().to_owned(), folder.path().join("CloudTrail/a.jsonl")];
        let found = find(&twice).unwrap();
        let names: Vec<_> = found.files.iter().map(|path| path.file_name().unwrap()).collect();
        assert_eq!(names, ["a.jsonl", "b.json.gz"]);
        assert_eq!(found.others, 2);
    }
}
