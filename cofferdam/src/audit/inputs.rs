//! What goes into an audit: every file and folder is named in the report by its SHA-256.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::report::Input;
use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};
use verifier::json::Unambiguous;

/// How much of a file is in memory at once.
const CHUNK: usize = 1 << 16;
/// How deep folders are read: a log has boots and their files.
const MAX_DEPTH: usize = 2;

/// The list of what was read.
#[derive(Debug, Default)]
pub(super) struct Inputs(RefCell<Vec<Input>>);

impl Inputs {
    /// The list, by option and path.
    pub(super) fn into_list(self) -> Vec<Input> {
        let mut list = self.0.into_inner();
        list.sort_by(|a, b| (a.option, &a.path).cmp(&(b.option, &b.path)));
        list.dedup();
        list
    }

    /// Reads a file.
    pub(super) fn read(&self, option: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
        let bytes = input::read(path, MAX_TEXT)?;
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.push(Input { option, path: path.to_owned(), bytes: length, sha256, files: None });
        Ok(bytes)
    }

    /// Reads text.
    pub(super) fn text(&self, option: &'static str, path: &Path) -> Result<String, Error> {
        String::from_utf8(self.read(option, path)?)
            .map_err(|_| Error::input(path.display(), "text in UTF-8 was expected"))
    }

    /// Reads JSON.
    pub(super) fn json(&self, option: &'static str, path: &Path) -> Result<Value, Error> {
        let bytes = self.read(option, path)?;
        let json = serde_json::from_slice::<Unambiguous>(&bytes).map_err(|error| {
            Error::input(path.display(), format_args!("JSON without repeated members was expected: {error}"))
        });
        json.map(|Unambiguous(value)| value)
    }

    /// Names a file that someone else reads, of any size.
    pub(super) fn file(&self, option: &'static str, path: &Path) -> Result<(), Error> {
        let (bytes, sha256) = hash(path).map_err(|error| unreadable(path, &error))?;
        self.push(Input { option, path: path.to_owned(), bytes, sha256, files: None });
        Ok(())
    }

    /// Names a folder that someone else reads: the SHA-256 of what
    /// `find . -type f -not -path '*/.*' | LC_ALL=C sort | xargs -d '\n' sha256sum` prints in it.
    pub(super) fn folder(&self, option: &'static str, path: &Path) -> Result<(), Error> {
        let failed = |error: io::Error| unreadable(path, &error);
        let mut files = list(path).map_err(failed)?;
        files.sort_by(|a, b| a.as_os_str().as_encoded_bytes().cmp(b.as_os_str().as_encoded_bytes()));
        let (mut whole, mut total) = (Sha256::new(), 0u64);
        for file in &files {
            let (bytes, sha256) = hash(&path.join(file)).map_err(failed)?;
            total = total.saturating_add(bytes);
            whole.update(format!("{sha256}  ./{}\n", file.display()));
        }
        let sha256 = HEXLOWER.encode(&whole.finalize());
        let files = Some(files.len());
        self.push(Input { option, path: path.to_owned(), bytes: total, sha256, files });
        Ok(())
    }

    fn push(&self, input: Input) {
        self.0.borrow_mut().push(input);
    }
}

/// The files below a folder, relative to it. Links and names that begin with a dot are passed over.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut files, mut open) = (Vec::new(), vec![(PathBuf::new(), 0)]);
    while let Some((at, depth)) = open.pop() {
        for item in fs::read_dir(folder.join(&at))? {
            let item = item?;
            let (name, kind) = (item.file_name(), item.file_type()?);
            if name.as_encoded_bytes().first() == Some(&b'.') {
                continue;
            }
            if kind.is_file() {
                files.push(at.join(&name));
            } else if kind.is_dir() && depth < MAX_DEPTH {
                open.push((at.join(&name), depth + 1));
            }
        }
    }
    Ok(files)
}

fn hash(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut hash, mut total) = (File::open(path)?, Sha256::new(), 0u64);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = file.read(&mut chunk)?;
        let Some(bytes) = chunk.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hash.update(bytes);
        total = total.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
    Ok((total, HEXLOWER.encode(&hash.finalize())))
}

fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::input(path.display(), format_args!("a readable file or folder was expected: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_as_find_and_sha256sum_name_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("b", "2"), ("a/x.jsonl", "1\n"), ("a/y", ""), (".hidden", "3"), ("a-b", "4")] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let inputs = Inputs::default();
        inputs.folder("--log", folder.path()).unwrap();
        let list = inputs.into_list();
        let recipe =
            "find . -type f -not -path '*/.*' | LC_ALL=C sort | xargs -d '\\n' sha256sum | sha256sum";
        let shell = std::process::Command::new("sh").args(["-c", recipe]).current_dir(folder.path()).output();
        let expected = String::from_utf8(shell.unwrap().stdout).unwrap();
        assert_eq!(format!("{}  -\n", list[0].sha256), expected);
        assert_eq!((list[0].files, list[0].bytes), (Some(4), 4));
    }
}
