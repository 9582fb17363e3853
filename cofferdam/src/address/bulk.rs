//! Many certificates at once: a JSON Lines file of the API's objects, and a folder of documents.

use std::{fs, io, path::Path};

use attestation::DocumentHash;

use super::{Checker, rows::Rows, verify::Expect};
use crate::{error::Error, input, lines::Lines, output::Screen};
use client::Address;

/// The longest line: an object with its certificate.
pub(crate) const MAX_LINE: usize = 16 << 10;

/// Reads every file of a folder as an attestation document.
pub(crate) fn learn_folder(checker: &mut Checker, folder: &Path) -> Result<(), Error> {
    let unreadable = |error: io::Error| {
        Error::input(
            folder.display(),
            format_args!("a folder of attestation documents was expected: {error}"),
        )
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            let document = input::read_document(&path)?;
            checker.learn(DocumentHash::of(&document), &document);
        }
    }
    Ok(())
}

/// Verifies every line. Goes on after one that does not verify, and says so in the end.
pub(super) fn run(checker: &Checker, file: &Path, expect: &Expect, screen: &Screen) -> Result<(), Error> {
    let mut rows = Rows::new(screen, true);
    for line in Lines::open(file, MAX_LINE)? {
        let address: Address = line?.json("an address object of the API")?;
        let result = checker.address(&address).and_then(|claims| expect.check(&claims));
        rows.row(&address, Some(&result))?;
    }
    if rows.count() == 0 {
        return Err(Error::input(file.display(), "at least one address object was expected"));
    }
    rows.finish()
}
