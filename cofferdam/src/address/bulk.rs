//! Many certificates at once: a JSON Lines file of the API's objects, and a folder of documents.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use attestation::DocumentHash;

use super::{Address, Checker, rows::Rows, verify::Expect};
use crate::{
    error::Error,
    input::{self, MAX_DOCUMENT, STDIN},
    output::Screen,
};

/// The longest line: an object with its certificate.
const MAX_LINE: u64 = 16 << 10;

/// Reads every file of a folder as an attestation document.
pub(super) fn learn_folder(checker: &mut Checker, folder: &Path) -> Result<(), Error> {
    let unreadable = |error: io::Error| {
        Error::input(
            folder.display(),
            format_args!("a folder of attestation documents was expected: {error}"),
        )
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            let document = input::read(&path, MAX_DOCUMENT)?;
            checker.learn(DocumentHash::of(&document), &document);
        }
    }
    Ok(())
}

/// Verifies every line. Goes on after one that does not verify, and says so in the end.
pub(super) fn run(checker: &Checker, file: &Path, expect: &Expect, screen: &Screen) -> Result<(), Error> {
    let reader: Box<dyn Read> = if file.as_os_str() == STDIN {
        Box::new(io::stdin())
    } else {
        let unreadable =
            |error| Error::input(file.display(), format_args!("a readable file was expected: {error}"));
        Box::new(File::open(file).map_err(unreadable)?)
    };
    let mut lines = BufReader::new(reader);
    let mut rows = Rows::new(screen, true);
    for number in 1_u64.. {
        let Some(line) = next_line(&mut lines).map_err(|expected| at(file, number, expected))? else { break };
        if line.trim_ascii().is_empty() {
            continue;
        }
        let address: Address = serde_json::from_slice(&line).map_err(|error| {
            at(file, number, format!("an address object of the API was expected: {error}"))
        })?;
        let result = checker.address(&address).and_then(|claims| expect.check(&claims));
        rows.row(&address, Some(&result))?;
    }
    if rows.count() == 0 {
        return Err(Error::input(file.display(), "at least one address object was expected"));
    }
    rows.finish()
}

fn at(file: &Path, line: u64, expected: String) -> Error {
    Error::input(format_args!("{}, line {line}", file.display()), expected)
}

/// The next line, `None` at the end.
pub(super) fn next_line(reader: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    let read = reader.take(MAX_LINE).read_until(b'\n', &mut line);
    match read.map_err(|error| format!("a readable file was expected: {error}"))? {
        0 => Ok(None),
        _ if line.last() != Some(&b'\n')
            && u64::try_from(line.len()).is_ok_and(|length| length >= MAX_LINE) =>
        {
            Err(format!("a line of less than {MAX_LINE} bytes was expected"))
        }
        _ => Ok(Some(line)),
    }
}
