//! Ramdisks: archives of files and folders from which the kernel makes its first file system. The
//! same entries give the same bytes, in whatever order they were added and on whatever machine.

mod cpio;
mod gzip;

use std::collections::{BTreeMap, btree_map};

/// Why an entry cannot be in a ramdisk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RamdiskError {
    /// A name that is no plain relative path.
    #[error(
        "{0:?}: a relative path without empty parts, \".\" and \"..\", of at most 4095 bytes, was expected"
    )]
    Name(String),
    /// Permissions beyond the twelve bits.
    #[error("{name:?}: permissions of at most 7777 (octal) were expected, found {mode:o}")]
    Mode {
        /// Which entry.
        name: String,
        /// What was given.
        mode: u32,
    },
    /// The same name twice.
    #[error("{0:?}: one entry of this name was expected")]
    Repeated(String),
    /// An entry below one that is no folder.
    #[error("{0:?}: a folder was expected, because other entries lie in it")]
    NotAFolder(String),
    /// A file that the format has no number for.
    #[error("{0:?}: less than 4 GiB were expected")]
    TooLarge(String),
}

/// The longest name, as of paths in Linux.
const MAX_NAME: usize = 4095;
/// The longest part of one.
const MAX_PART: usize = 255;
/// Permissions of folders that nobody named.
const FOLDER_MODE: u32 = 0o755;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Folder,
    File(Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    kind: Kind,
    mode: u32,
}

/// Files and folders by their names, all of user 0 and group 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ramdisk {
    entries: BTreeMap<String, Entry>,
}

impl Ramdisk {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. `name` is a path without a leading slash, `mode` its permissions.
    ///
    /// # Errors
    /// [`RamdiskError`]
    pub fn file(&mut self, name: &str, mode: u32, contents: Vec<u8>) -> Result<(), RamdiskError> {
        if u32::try_from(contents.len()).is_err() {
            return Err(RamdiskError::TooLarge(name.to_owned()));
        }
        self.add(name, Entry { kind: Kind::File(contents), mode })
    }

    /// Adds a folder. Folders that hold an entry need not be added: they get permissions 0755.
    ///
    /// # Errors
    /// [`RamdiskError`]
    pub fn folder(&mut self, name: &str, mode: u32) -> Result<(), RamdiskError> {
        self.add(name, Entry { kind: Kind::Folder, mode })
    }

    /// The archive (cpio, "newc"), every entry with this time in seconds since 1970.
    ///
    /// # Errors
    /// [`RamdiskError::NotAFolder`]
    pub fn archive(&self, time: u32) -> Result<Vec<u8>, RamdiskError> {
        Ok(cpio::write(&self.complete()?, time))
    }

    /// The archive, compressed (gzip).
    ///
    /// # Errors
    /// [`RamdiskError::NotAFolder`]
    pub fn compressed(&self, time: u32) -> Result<Vec<u8>, RamdiskError> {
        Ok(gzip::compress(&self.archive(time)?))
    }

    fn add(&mut self, name: &str, entry: Entry) -> Result<(), RamdiskError> {
        let part_fits = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= MAX_PART;
        // The trailer's name would end the archive.
        let reserved = name == cpio::TRAILER || name.contains('\0');
        if reserved || name.len() > MAX_NAME || !name.split('/').all(part_fits) {
            return Err(RamdiskError::Name(name.to_owned()));
        }
        if entry.mode > 0o7777 {
            return Err(RamdiskError::Mode { name: name.to_owned(), mode: entry.mode });
        }
        match self.entries.entry(name.to_owned()) {
            btree_map::Entry::Vacant(place) => {
                place.insert(entry);
                Ok(())
            }
            btree_map::Entry::Occupied(_) => Err(RamdiskError::Repeated(name.to_owned())),
        }
    }

    /// The entries with all folders above them: the kernel makes none by itself.
    fn complete(&self) -> Result<BTreeMap<String, Entry>, RamdiskError> {
        let mut entries = self.entries.clone();
        for name in self.entries.keys() {
            for (end, _) in name.match_indices('/') {
                let above = name.get(..end).unwrap_or_default();
                let folder = || Entry { kind: Kind::Folder, mode: FOLDER_MODE };
                if entries.entry(above.to_owned()).or_insert_with(folder).kind != Kind::Folder {
                    return Err(RamdiskError::NotAFolder(above.to_owned()));
                }
            }
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_archive_or_end_it_are_refused() {
        let long = ["x".repeat(256), "x/".repeat(2048) + "x"];
        for bad in ["", "/init", "init/", "a//b", ".", "./a", "a/../b", "..", "TRAILER!!!", "a\0b"]
            .into_iter()
            .chain(long.iter().map(String::as_str))
        {
            let mut ramdisk = Ramdisk::new();
            assert_eq!(ramdisk.file(bad, 0o644, vec![]), Err(RamdiskError::Name(bad.into())), "{bad}");
            assert_eq!(ramdisk.folder(bad, 0o755), Err(RamdiskError::Name(bad.into())), "{bad}");
        }
        let mut ramdisk = Ramdisk::new();
        for good in ["init", ".hidden", "etc/cofferdam/enclave.toml", "a/TRAILER!!!", "é"] {
            assert_eq!(ramdisk.file(good, 0o644, vec![]), Ok(()), "{good}");
        }
    }

    #[test]
    fn an_entry_has_one_kind_and_one_set_of_permissions() {
        let mut ramdisk = Ramdisk::new();
        ramdisk.file("a", 0o644, vec![]).unwrap();
        assert_eq!(ramdisk.folder("a", 0o755), Err(RamdiskError::Repeated("a".into())));
        assert!(matches!(ramdisk.file("b", 0o10000, vec![]), Err(RamdiskError::Mode { .. })));
        ramdisk.file("a/b", 0o644, vec![]).unwrap();
        // The first name stays what it was.
        assert_eq!(ramdisk.archive(0), Err(RamdiskError::NotAFolder("a".into())));
    }

    #[test]
    fn the_order_in_which_entries_are_added_is_forgotten() {
        let entries = [("init", "1"), ("etc/b", "2"), ("etc/a", "3"), ("etc-x", "4")];
        let make = |order: &[usize]| {
            let mut ramdisk = Ramdisk::new();
            for at in order {
                ramdisk.file(entries[*at].0, 0o600, entries[*at].1.into()).unwrap();
            }
            ramdisk.compressed(7).unwrap()
        };
        assert_eq!(make(&[0, 1, 2, 3]), make(&[3, 2, 1, 0]));
    }
}
