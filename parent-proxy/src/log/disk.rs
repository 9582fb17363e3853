//! The disk under the log: a seam, because a disk can be full or fail, and because what was not
//! flushed is not there after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use crate::durable::sync_folder;

/// Where segments are made.
pub(super) trait Disk: Send + Sync + 'static {
    /// Makes a file that is not there yet; its entry is on disk.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sheet>>;
}

/// A file that grows at its end.
pub(super) trait Sheet: Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until all that was written is on disk.
    fn flush(&mut self) -> io::Result<()>;
    /// Takes away what is beyond `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(super) struct Files;

impl Disk for Files {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Sheet>> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        if let Err(error) = path.parent().map_or(Ok(()), sync_folder) {
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Box::new(file))
    }
}

impl Sheet for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
