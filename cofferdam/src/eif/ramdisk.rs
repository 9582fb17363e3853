//! `cofferdam eif ramdisk`: packs files into a compressed archive, of which the kernel makes its
//! first file system. Owners, times and the order of the files are not those of this machine.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ::eif::Ramdisk;
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::file;
use crate::{
    error::Error,
    output::{Screen, Sheet, Show},
};

const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;
const PROGRAM_MODE: u32 = 0o755;
/// The NAME of the file system's root, for a folder whose contents go there.
const ROOT: &str = ".";

/// Arguments of `eif ramdisk`.
#[derive(Debug, Args)]
pub(crate) struct RamdiskArgs {
    /// The ramdisk to write
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// The time of every file, in seconds since 1970
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH", default_value_t = 0)]
    time: u32,
    /// A file, or a folder with all that is in it, by its name in the ramdisk; NAME/ is an empty
    /// folder, and the name . stands for the ramdisk's root. MODE is octal. Without it, folders and
    /// files that are executable are 0755, other files 0644
    #[arg(value_name = "NAME=SOURCE[:MODE]", required = true, value_parser = parse)]
    entries: Vec<Entry>,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: String,
    /// Nothing for an empty folder.
    source: Option<PathBuf>,
    mode: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Answer {
    ramdisk: PathBuf,
    size: usize,
    sha256: String,
}

fn parse(text: &str) -> Result<Entry, String> {
    let expected = || "NAME=SOURCE, NAME=SOURCE:MODE, NAME/ or NAME/:MODE was expected".to_owned();
    let octal = |digits: &str| {
        let fits =
            (3..=4).contains(&digits.len()) && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        fits.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
    };
    let (rest, mode) = match text.rsplit_once(':').and_then(|(rest, digits)| Some((rest, octal(digits)?))) {
        Some((rest, mode)) => (rest, Some(mode)),
        None => (text, None),
    };
    let (name, source) = match (rest.split_once('='), rest.strip_suffix('/')) {
        (Some((name, source)), _) if !source.is_empty() => (name, Some(PathBuf::from(source))),
        (None, Some(name)) => (name, None),
        _ => return Err(expected()),
    };
    if name.is_empty() { Err(expected()) } else { Ok(Entry { name: name.to_owned(), source, mode }) }
}

pub(super) fn run(args: &RamdiskArgs, screen: &Screen) -> Result<(), Error> {
    let mut ramdisk = Ramdisk::new();
    for entry in &args.entries {
        add(&mut ramdisk, entry)?;
    }
    let bytes = ramdisk.compressed(args.time).map_err(|error| Error::Input(error.to_string()))?;
    file::write(&args.output, &bytes)?;
    let sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes));
    screen.show(&Answer { ramdisk: args.output.clone(), size: bytes.len(), sha256 })
}

fn add(ramdisk: &mut Ramdisk, entry: &Entry) -> Result<(), Error> {
    let Some(source) = &entry.source else {
        let added = ramdisk.folder(&entry.name, entry.mode.unwrap_or(FOLDER_MODE));
        return added.map_err(|error| Error::Input(error.to_string()));
    };
    if !fs::metadata(source).map_err(|error| unreadable(source, error))?.is_dir() {
        return add_file(ramdisk, &entry.name, source, entry.mode);
    }
    if entry.mode.is_some() {
        return Err(Error::input(
            source.display(),
            "a file was expected: a folder's files have modes of their own",
        ));
    }
    let mut folders = vec![(entry.name.clone(), source.clone())];
    while let Some((name, folder)) = folders.pop() {
        if name != ROOT {
            ramdisk.folder(&name, FOLDER_MODE).map_err(|error| Error::Input(error.to_string()))?;
        }
        for found in fs::read_dir(&folder).map_err(|error| unreadable(&folder, error))? {
            let path = found.map_err(|error| unreadable(&folder, error))?.path();
            let part = path.file_name().and_then(|part| part.to_str());
            let part = part.ok_or_else(|| Error::input(path.display(), "a name in UTF-8 was expected"))?;
            let below = if name == ROOT { part.to_owned() } else { format!("{name}/{part}") };
            let kind = fs::symlink_metadata(&path).map_err(|error| unreadable(&path, error))?.file_type();
            if kind.is_dir() {
                folders.push((below, path));
            } else if kind.is_file() {
                add_file(ramdisk, &below, &path, None)?;
            } else {
                return Err(Error::input(path.display(), "a regular file or a folder was expected"));
            }
        }
    }
    Ok(())
}

fn add_file(ramdisk: &mut Ramdisk, name: &str, source: &Path, mode: Option<u32>) -> Result<(), Error> {
    let contents = file::part(source)?;
    let mode = match mode {
        Some(mode) => mode,
        None => {
            let source = fs::metadata(source).map_err(|error| unreadable(source, error))?;
            if source.permissions().mode() & 0o100 == 0 { FILE_MODE } else { PROGRAM_MODE }
        }
    };
    ramdisk.file(name, mode, contents).map_err(|error| Error::Input(error.to_string()))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::input(path.display(), format_args!("a readable file or folder was expected: {error}"))
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("a ramdisk");
        sheet.row("file", self.ramdisk.display().to_string());
        sheet.row("size", format!("{} bytes", self.size));
        sheet.row("SHA-256", &self.sha256);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_name_a_source_and_perhaps_a_mode() {
        let entry = |name: &str, source: Option<&str>, mode| {
            Ok(Entry { name: name.into(), source: source.map(PathBuf::from), mode })
        };
        assert_eq!(parse("init=target/enclave-app"), entry("init", Some("target/enclave-app"), None));
        assert_eq!(parse("init=a:0755"), entry("init", Some("a"), Some(0o755)));
        assert_eq!(parse("etc/x=a:600"), entry("etc/x", Some("a"), Some(0o600)));
        assert_eq!(parse("x=a=b:c"), entry("x", Some("a=b:c"), None));
        assert_eq!(parse("x=a:99"), entry("x", Some("a:99"), None));
        assert_eq!(parse("proc/"), entry("proc", None, None));
        assert_eq!(parse("tmp/:1777"), entry("tmp", None, Some(0o1777)));
        assert_eq!(parse(".=root"), entry(".", Some("root"), None));
        for bad in ["", "init", "init=", "=a", "/", "init=:755"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
