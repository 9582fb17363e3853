//! All keys that are known, in bounded memory: facts from each source are spooled to files by the
//! first byte of the key id, and joined one file at a time.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
};

use protocol::{KeyId, log::ContentHash};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::Error;

/// Files of the spool. Key ids are hashes: each holds as many keys as any other.
const BUCKETS: usize = 256;
/// Room for what is written to each file before it is.
const BUFFER: usize = 4 << 10;

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) key_id: KeyId,
    /// What the exchange has of it; nothing where only the log names it.
    pub(crate) listed: Option<Listed>,
    /// SHA-256 of the records of it that the log says were made. One is stored.
    pub(crate) records: Vec<ContentHash>,
    /// When it was made first, in milliseconds since 1970.
    pub(crate) created: Option<u64>,
}

/// A key as the exchange knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    /// Hexadecimal, lower case.
    pub(crate) public_key: String,
    /// On Bitcoin the P2WPKH one.
    pub(crate) address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) taproot_address: Option<String>,
}

/// What one source says of a key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Fact {
    pub(super) key_id: KeyId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) listed: Option<Listed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<ContentHash>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) created: Option<u64>,
}

/// Takes facts.
pub(super) struct Spool {
    folder: TempDir,
    files: Vec<Option<BufWriter<File>>>,
}

/// All keys, once all facts are there. Its files go with it.
#[derive(Debug)]
pub(crate) struct Inventory {
    folder: TempDir,
}

fn failed(error: &io::Error) -> Error {
    Error::Failed(format!("a temporary folder with room for the inventory was expected: {error}"))
}

fn name(bucket: usize) -> String {
    format!("{bucket:02x}.jsonl")
}

impl Spool {
    /// An empty one, in the system's temporary folder.
    pub(super) fn new() -> Result<Self, Error> {
        let folder = TempDir::with_prefix("cofferdam-keys-").map_err(|error| failed(&error))?;
        Ok(Self { folder, files: (0..BUCKETS).map(|_| None).collect() })
    }

    /// Remembers a fact.
    pub(super) fn push(&mut self, fact: &Fact) -> Result<(), Error> {
        let bucket = usize::from(fact.key_id.as_bytes().first().copied().unwrap_or_default());
        let path = self.folder.path().join(name(bucket));
        let Some(slot) = self.files.get_mut(bucket) else { return Ok(()) };
        let write = |slot: &mut Option<BufWriter<File>>| -> io::Result<()> {
            let file = match slot {
                Some(file) => file,
                None => slot.insert(BufWriter::with_capacity(BUFFER, File::create(path)?)),
            };
            serde_json::to_writer(&mut *file, fact)?;
            file.write_all(b"\n")
        };
        write(slot).map_err(|error| failed(&error))
    }

    /// No more facts come.
    pub(super) fn finish(self) -> Result<Inventory, Error> {
        for file in self.files.into_iter().flatten() {
            file.into_inner().map_err(|error| failed(error.error()))?;
        }
        Ok(Inventory { folder: self.folder })
    }
}

impl Inventory {
    /// Every key once, in the order of their ids. Sources that contradict each other are an error.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Result<Expected, Error>> + '_ {
        let bucket = |bucket| {
            let (keys, error) = match self.bucket(self.folder.path().join(name(bucket))) {
                Ok(keys) => (keys, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            keys.into_iter().map(Ok).chain(error)
        };
        (0..BUCKETS).flat_map(bucket)
    }

    fn bucket(&self, path: PathBuf) -> Result<Vec<Expected>, Error> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&error)),
        };
        let mut keys: BTreeMap<[u8; 32], Expected> = BTreeMap::new();
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| failed(&error))?;
            let fact: Fact = serde_json::from_str(&line).map_err(|error| failed(&error.into()))?;
            let key_id = fact.key_id;
            keys.entry(*key_id.as_bytes())
                .or_insert_with(|| Expected { key_id, listed: None, records: Vec::new(), created: None })
                .join(fact)?;
        }
        Ok(keys.into_values().collect())
    }
}

impl Expected {
    fn join(&mut self, fact: Fact) -> Result<(), Error> {
        match (&self.listed, fact.listed) {
            (Some(known), Some(other)) if *known != other => {
                let expected = format!("one public key of {} was expected, found two", self.key_id);
                return Err(Error::input("--addresses", expected));
            }
            (None, Some(listed)) => self.listed = Some(listed),
            _ => {}
        }
        if let Some(record) = fact.record.filter(|record| !self.records.contains(record)) {
            self.records.push(record);
        }
        self.created = match (self.created, fact.created) {
            (Some(known), Some(other)) => Some(known.min(other)),
            (known, other) => known.or(other),
        };
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Some key.
    pub(in crate::records) fn key(number: u32) -> KeyId {
        let path = protocol::KeyPath {
            user: format!("user-{number}").parse().unwrap(),
            chain: chains::Chain::Evm,
            purpose: protocol::Purpose::Sweep,
            index: protocol::Index::default(),
        };
        KeyId::derive(&"laptop".parse().unwrap(), &path)
    }

    fn listed(public_key: &str) -> Option<Listed> {
        Some(Listed { public_key: public_key.into(), address: "0x".into(), taproot_address: None })
    }

    /// An inventory of the log alone: one key a second.
    pub(in crate::records) fn of_log(keys: u32) -> Inventory {
        let mut spool = Spool::new().unwrap();
        for number in 0..keys {
            let created = Some(u64::from(number) * 1000);
            spool.push(&Fact { key_id: key(number), listed: None, record: None, created }).unwrap();
        }
        spool.finish().unwrap()
    }

    #[test]
    fn each_key_is_there_once_with_all_that_is_known_of_it() {
        let mut spool = Spool::new().unwrap();
        let record = |bytes: &[u8]| Some(ContentHash::of(bytes));
        for number in 0..1000 {
            let key_id = key(number);
            spool.push(&Fact { key_id, listed: None, record: record(b"1"), created: Some(7) }).unwrap();
            spool.push(&Fact { key_id, listed: None, record: record(b"2"), created: Some(5) }).unwrap();
            spool.push(&Fact { key_id, listed: None, record: record(b"1"), created: Some(9) }).unwrap();
            spool.push(&Fact { key_id, listed: listed("02"), record: None, created: None }).unwrap();
            spool.push(&Fact { key_id, listed: listed("02"), record: None, created: None }).unwrap();
        }
        let inventory = spool.finish().unwrap();
        let keys: Vec<Expected> = inventory.keys().collect::<Result<_, _>>().unwrap();
        assert_eq!(keys.len(), 1000);
        assert!(keys.is_sorted_by_key(|key| *key.key_id.as_bytes()));
        for key in keys {
            assert_eq!((key.created, &key.listed), (Some(5), &listed("02")));
            assert_eq!(key.records, [ContentHash::of(b"1"), ContentHash::of(b"2")]);
        }
    }

    #[test]
    fn two_public_keys_of_one_key_are_an_error() {
        let mut spool = Spool::new().unwrap();
        for public_key in ["02", "03"] {
            let fact = Fact { key_id: key(0), listed: listed(public_key), record: None, created: None };
            spool.push(&fact).unwrap();
        }
        let inventory = spool.finish().unwrap();
        assert!(matches!(inventory.keys().next(), Some(Err(Error::Input(_)))));
    }
}
