//! The KMS keys and where they are kept: one JSON file, readable by its owner only, replaced whole
//! and durably at every change. Several processes may share it.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    str::FromStr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::files::{self, Readable};

/// The file's format.
const FORMAT: u32 = 1;

/// A key's UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyId([u8; 16]);

impl KeyId {
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        // RFC 9562 §5.4: version 4, variant 10.
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        Some(Self(bytes))
    }

    pub(super) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02x}", if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for KeyId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits: String = text.split('-').collect();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).map_err(drop)?;
        let id = Self(bytes.try_into().map_err(drop)?);
        if id.to_string() == text { Ok(id) } else { Err(()) }
    }
}

impl Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("a UUID was expected"))
    }
}

/// 32 bytes that never leave the KMS, but for the state file.
pub(super) struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    pub(super) fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).ok()?;
        Some(Self(bytes))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl Serialize for MasterKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::BASE64.encode(self.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for MasterKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).map(Zeroizing::new);
        let bytes = bytes.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        bytes
            .map(|bytes| Self(Zeroizing::new(bytes)))
            .ok_or_else(|| serde::de::Error::custom("32 bytes in base64 were expected"))
    }
}

/// A KMS key: symmetric, for encryption.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Key {
    pub(super) id: KeyId,
    /// Milliseconds since 1970.
    pub(super) created: u64,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) policy: String,
    /// Version to material; the highest encrypts.
    pub(super) material: BTreeMap<u32, MasterKey>,
}

/// All keys.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Keys {
    format: u32,
    keys: Vec<Key>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { format: FORMAT, keys: Vec::new() }
    }
}

impl Keys {
    pub(super) fn get(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn get_mut(&mut self, id: KeyId) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter()
    }

    pub(super) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }
}

/// Where the keys are kept.
pub(super) struct Store {
    path: Option<PathBuf>,
    cached: Mutex<(Option<Stamp>, Keys)>,
}

/// Which file was read: every replacement is another inode.
type Stamp = (u64, i64, i64, u64);

impl Store {
    /// Keys in a file, or in memory only.
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let store = Self { path, cached: Mutex::new((None, Keys::default())) };
        drop(store.fresh()?);
        Ok(store)
    }

    /// Reads.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Keys) -> T) -> io::Result<T> {
        Ok(read(&self.fresh()?.1))
    }

    /// Changes; on an error of `change` nothing is kept.
    pub(super) fn change<T, E: From<io::Error>>(
        &self,
        change: impl FnOnce(&mut Keys) -> Result<T, E>,
    ) -> Result<T, E> {
        let folder = self.path.as_deref().and_then(std::path::Path::parent);
        let _lock = folder.map(files::lock).transpose()?;
        let mut cached = self.fresh()?;
        let result = change(&mut cached.1);
        // What is in memory is only what a file has: read again, whatever happened.
        let Some(path) = &self.path else { return result };
        let written = match &result {
            Ok(_) => serde_json::to_vec_pretty(&cached.1)
                .map_err(io::Error::from)
                .and_then(|text| files::replace(path, &text, Readable::ByOwner)),
            Err(_) => Ok(()),
        };
        cached.0 = None;
        cached.1 = Keys::default();
        written?;
        result
    }

    /// The keys as the file has them now.
    fn fresh(&self) -> io::Result<MutexGuard<'_, (Option<Stamp>, Keys)>> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else { return Ok(cached) };
        let stamp = match std::fs::metadata(path) {
            Ok(file) => Some((file.ino(), file.mtime(), file.mtime_nsec(), file.size())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if stamp.is_none() || cached.0 != stamp {
            let text = files::read(path)?.map(Zeroizing::new);
            let keys = text.map(|text| serde_json::from_str::<Keys>(&text)).transpose()?.unwrap_or_default();
            if keys.format != FORMAT {
                return Err(io::Error::other("a state file of format 1 was expected"));
            }
            *cached = (stamp, keys);
        }
        Ok(cached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn key() -> Key {
        Key {
            id: KeyId::generate().unwrap(),
            created: 1,
            description: String::new(),
            enabled: true,
            policy: String::new(),
            material: BTreeMap::from([(1, MasterKey::generate().unwrap())]),
        }
    }

    fn add(store: &Store) -> KeyId {
        let key = key();
        let id = key.id;
        store
            .change(|keys| {
                keys.push(key);
                Ok::<_, io::Error>(())
            })
            .unwrap();
        id
    }

    #[test]
    fn keys_survive_a_restart_and_are_shared_between_processes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kms.json");
        let one = Store::open(Some(path.clone())).unwrap();
        let two = Store::open(Some(path.clone())).unwrap();
        let ids = [add(&one), add(&two), add(&one)];
        let three = Store::open(Some(path.clone())).unwrap();
        for store in [&one, &two, &three] {
            assert!(ids.iter().all(|id| store.read(|keys| keys.get(*id).is_some()).unwrap()));
        }
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path().join("kms.json"))).unwrap();
        let id = add(&store);
        let failed = store.change(|keys| {
            keys.get_mut(id).unwrap().enabled = false;
            Err::<(), _>(io::Error::other("x"))
        });
        assert!(failed.is_err());
        assert!(store.read(|keys| keys.get(id).unwrap().enabled).unwrap());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kms.json");
        for bad in ["", "{}", r#"{"format":2,"keys":[]}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(Store::open(Some(path.clone())).is_err(), "{bad}");
        }
    }

    #[test]
    fn key_ids_are_uuids_of_one_spelling() {
        let id = KeyId::generate().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), 36);
        assert!(
            id.to_string().to_uppercase().parse::<KeyId>().is_err()
                || !id.to_string().contains(char::is_alphabetic)
        );
        assert!("x".parse::<KeyId>().is_err());
    }
}
