//! `cofferdam keys show`: the public half of a key file, in every spelling.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use zeroize::Zeroizing;

use super::{PublicHalf, pem};
use crate::{
    error::Error,
    input::{self, STDIN},
    output::{Screen, Sheet, Show},
};

/// Arguments of `keys show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A private or public key in PEM; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    key: PublicHalf,
    private: bool,
    /// Others than the owner may read a private key.
    exposed: bool,
}

/// Reads the public half of a key file.
pub(crate) fn read(file: &Path) -> Result<pem::KeyFile, Error> {
    let expected = || Error::input(file.display(), "an Ed25519 key in PEM (RFC 8410) was expected");
    let bytes = Zeroizing::new(input::read(file, pem::MAX_PEM)?);
    let text = str::from_utf8(&bytes).map_err(|_| expected())?;
    pem::read(text).ok_or_else(expected)
}

/// Whether others than its owner may read a file.
pub(crate) fn is_exposed(file: &Path) -> bool {
    let mode = (file.as_os_str() != STDIN).then(|| fs::metadata(file));
    matches!(mode, Some(Ok(metadata)) if metadata.permissions().mode() & 0o077 != 0)
}

pub(crate) fn run(args: &ShowArgs, screen: &Screen) -> Result<(), Error> {
    let file = read(&args.file)?;
    screen.show(&Answer {
        key: PublicHalf::of(&file.key, file.role),
        private: file.private,
        exposed: file.private && is_exposed(&args.file),
    })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        if self.exposed {
            sheet.warn("this private key is readable by others than its owner: chmod 600");
        }
        sheet.row("kind", if self.private { "private key" } else { "public key" });
        self.key.show(sheet);
    }
}
