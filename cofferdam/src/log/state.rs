//! The witness's memory: one checkpoint in one file, replaced as a whole or not at all.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use protocol::log::Checkpoint;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

/// The last checkpoint that was seen; nothing where there is no file yet.
pub(super) fn read(file: &Path) -> Result<Option<Checkpoint>, Error> {
    // Anything but a clear absence is an error: an unreadable memory must not look like none.
    match file.try_exists() {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(error) => {
            return Err(Error::input(file.display(), format_args!("a readable file was expected: {error}")));
        }
    }
    let bytes = input::read(file, MAX_TEXT)?;
    let json = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Checkpoint::parse(json).map(Some).map_err(|error| Error::input(file.display(), error))
}

/// The same where there must be a file.
pub(crate) fn existing(file: &Path) -> Result<Checkpoint, Error> {
    read(file)?.ok_or_else(|| Error::input(file.display(), "the state file of a witness was expected"))
}

/// Remembers a checkpoint. When this returns, it is on the disk.
pub(super) fn write(file: &Path, checkpoint: &Checkpoint) -> Result<(), Error> {
    replace(file, format!("{}\n", checkpoint.to_json()).as_bytes()).map_err(|error| {
        Error::Failed(format!("{}: the state was expected to be written: {error}", file.display()))
    })
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut written = tempfile::NamedTempFile::new_in(folder)?;
    written.write_all(bytes)?;
    written.as_file().sync_all()?;
    written.persist(file)?;
    File::open(folder)?.sync_all()
}
