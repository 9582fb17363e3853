//! Files and folders that outlast a power cut: what is made here is on disk, and so is the entry
//! by which it is found.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

/// Makes a folder and those above it, and flushes each one's entry to disk.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    // Above a relative path there is nothing that has a name.
    let folder = std::path::absolute(folder)?;
    let missing: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(&folder)?;
    for made in missing {
        sync_folder(made)?;
        made.parent().map_or(Ok(()), sync_folder)?;
    }
    Ok(())
}

/// Flushes a folder's entries to disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Puts a file in the place of what is there under its name, or of nothing: whoever looks sees
/// the one or the other, also after a crash.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    // Hidden, so that what a crash leaves of it is no part of a log.
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(".new");
    let new = folder.join(name);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_a_folder_is_made_with_those_above_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        make_folder(&folder).unwrap();
        make_folder(&folder).unwrap();
        let path = folder.join("file");
        for text in ["longer than the second", "second"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
}
