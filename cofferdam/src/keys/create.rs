//! `cofferdam keys create`: a new key pair in two new files.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use clap::Args;
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand::{TryRng, rngs::SysRng};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{PublicHalf, Role, pem};
use crate::{
    error::Error,
    output::{Screen, Sheet, Show},
};

/// Arguments of `keys create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose key
    #[arg(long)]
    role: Role,
    /// The private key's file; the public key is written to NAME.pub. Neither may exist
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
}

impl CreateArgs {
    /// As given elsewhere than to `keys create`.
    pub(crate) const fn new(role: Role, out: PathBuf) -> Self {
        Self { role, out }
    }
}

#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    key: PublicHalf,
    private_key_file: PathBuf,
    public_key_file: PathBuf,
}

pub(crate) fn run(args: &CreateArgs, screen: &Screen) -> Result<(), Error> {
    let key = create(args.role, &args.out)?;
    screen.show(&Answer {
        key: PublicHalf::of(&key, Some(args.role)),
        private_key_file: args.out.clone(),
        public_key_file: beside(&args.out),
    })
}

/// Makes a key pair in two new files; answers the public half.
pub(crate) fn create(role: Role, out: &Path) -> Result<VerifyingKey, Error> {
    let mut seed = Zeroizing::new([0; 32]);
    SysRng
        .try_fill_bytes(seed.as_mut())
        .map_err(|error| Error::Failed(format!("the system's random numbers were expected: {error}")))?;
    let key = SigningKey::from_bytes(&seed);
    write_new(out, pem::private(role, &key).as_bytes(), 0o600)?;
    let public = pem::public(role, &key.verifying_key());
    if let Err(error) = write_new(&beside(out), public.as_bytes(), 0o644) {
        // A private key that nobody was told of is of no use.
        let _ = fs::remove_file(out);
        return Err(error);
    }
    Ok(key.verifying_key())
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Writes a file that did not exist, and has it on the disk before anyone relies on the key.
fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        let written = file.write_all(contents).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::input(
            path.display(),
            "a file that does not exist yet was expected: keys are never overwritten",
        ),
        _ => Error::input(path.display(), format_args!("a writable folder was expected: {error}")),
    })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("a new key");
        self.key.show(sheet);
        sheet.row("private key", self.private_key_file.display().to_string());
        sheet.row("public half", self.public_key_file.display().to_string());
    }
}
