//! The files of images: read in pieces, written whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use ::eif::Image;

use crate::{
    error::Error,
    input::{self, STDIN},
};

/// The largest kernel or ramdisk that is read: an image of this size fits no enclave.
const MAX_PART: u64 = 1 << 30;

/// Reads and measures an image, of any size.
pub(crate) fn image(path: &Path) -> Result<Image, Error> {
    let read = if path.as_os_str() == STDIN {
        Image::read(io::stdin().lock())
    } else {
        let file = File::open(path).map_err(|error| {
            Error::input(path.display(), format_args!("a readable file was expected: {error}"))
        })?;
        Image::read(file)
    };
    read.map_err(|error| Error::input(path.display(), error))
}

/// Reads a part of an image.
pub(super) fn part(path: &Path) -> Result<Vec<u8>, Error> {
    input::read(path, MAX_PART)
}

/// Writes a file in place of the one that may be there: whoever reads it finds the old one or the
/// new one, never half of it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        // As any program makes files: the process's umask decides.
        let permissions = fs::Permissions::from_mode(0o666);
        let mut file = tempfile::Builder::new().permissions(permissions).tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error: io::Error| {
        Error::input(path.display(), format_args!("a writable folder was expected: {error}"))
    })
}
