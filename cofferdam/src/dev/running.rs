//! The stack that runs in a folder, as another terminal finds it.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use super::folder::URL;
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

/// A folder that a `dev` uses which is ready.
#[derive(Debug)]
pub(super) struct Running {
    path: PathBuf,
    url: String,
}

impl Running {
    /// Finds the stack that runs in a folder.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        let none = || {
            let text = "no stack is ready in this folder: start `cofferdam dev`, with the same --dir";
            Error::input(path.display(), text)
        };
        let path = path.canonicalize().map_err(|_| none())?;
        // Whoever runs it holds the lock; the address alone may be left of one that was killed.
        let lock = File::open(path.join(".lock")).map_err(|_| none())?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {}
            _ => return Err(none()),
        }
        let url = input::read_text(&path.join(URL), MAX_TEXT).map_err(|_| none())?;
        Ok(Self { path, url })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where its parent listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
