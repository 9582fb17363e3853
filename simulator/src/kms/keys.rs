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

/// A key's id: a UUID; or `mrk-` and 32 digits, which related keys of several regions share (KMS
/// Developer Guide, "Multi-Region keys in AWS KMS").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct KeyId {
    bytes: [u8; 16],
    multi_region: bool,
}

const MULTI_REGION: &str = "mrk-";

impl KeyId {
    /// A fresh one of either kind.
    pub(super) fn generate(multi_region: bool) -> Option<Self> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        // RFC 9562 §5.4: version 4, variant 10.
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut bytes;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        Some(Self { bytes, multi_region })
    }

    pub(super) const fn from_bytes(bytes: [u8; 16], multi_region: bool) -> Self {
        Self { bytes, multi_region }
    }

    pub(super) const fn as_bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// Whether keys of other regions can have the same id and material.
    pub(super) const fn is_multi_region(&self) -> bool {
        self.multi_region
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.multi_region {
            return write!(f, "{MULTI_REGION}{}", data_encoding::HEXLOWER.encode(&self.bytes));
        }
        for (at, byte) in self.bytes.iter().enumerate() {
            write!(f, "{}{byte:02x}", if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for KeyId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = text.strip_prefix(MULTI_REGION);
        let digits: String = plain.unwrap_or(text).split('-').collect();
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).map_err(drop)?;
        let id = Self { bytes: bytes.try_into().map_err(drop)?, multi_region: plain.is_some() };
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
        text.parse()
            .map_err(|()| serde::de::Error::custom("a UUID or the id of a multi-Region key was expected"))
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

/// A KMS key: symmetric, for encryption. Of related multi-Region keys each is one of its own, with the
/// same id and material.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Key {
    pub(super) id: KeyId,
    /// Where it is. Left out in files of earlier versions: the folder's own region.
    #[serde(default)]
    pub(super) region: String,
    /// Whether it is a replica of a multi-Region primary key.
    #[serde(default)]
    pub(super) replica: bool,
    /// Milliseconds since 1970.
    pub(super) created: u64,
    pub(super) description: String,
    pub(super) enabled: bool,
    pub(super) policy: String,
    /// Version to material; the highest encrypts.
    pub(super) material: BTreeMap<u32, MasterKey>,
}

impl Key {
    /// A related key in another region: only id and material are the same.
    pub(super) fn replicate(&self, region: &str, now: u64, policy: String, description: String) -> Self {
        let material = self.material.iter();
        Self {
            id: self.id,
            region: region.to_owned(),
            replica: true,
            created: now,
            description,
            enabled: true,
            policy,
            material: material.map(|(version, key)| (*version, MasterKey(key.0.clone()))).collect(),
        }
    }
}

/// All keys of all regions.
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
    pub(super) fn get(&self, region: &str, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id == id && key.region == region)
    }

    pub(super) fn get_mut(&mut self, region: &str, id: KeyId) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.id == id && key.region == region)
    }

    /// The keys of a region.
    pub(super) fn in_region<'k>(&'k self, region: &'k str) -> impl Iterator<Item = &'k Key> {
        self.keys.iter().filter(move |key| key.region == region)
    }

    /// All keys of an id: more than one only of a multi-Region key.
    pub(super) fn related(&self, id: KeyId) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.id == id)
    }

    pub(super) fn push(&mut self, key: Key) {
        self.keys.push(key);
    }
}

/// Where the keys are kept.
pub(super) struct Store {
    path: Option<PathBuf>,
    /// The region of keys that name none.
    home: String,
    cached: Mutex<(Option<Stamp>, Keys)>,
}

/// Which file was read: every replacement is another inode.
type Stamp = (u64, i64, i64, u64);

impl Store {
    /// Keys in a file, or in memory only.
    pub(super) fn open(path: Option<PathBuf>, home: &str) -> io::Result<Self> {
        let store = Self { path, home: home.to_owned(), cached: Mutex::new((None, Keys::default())) };
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
            let keys = text.map(|text| serde_json::from_str::<Keys>(&text)).transpose()?;
            let mut keys = keys.unwrap_or_default();
            if keys.format != FORMAT {
                return Err(io::Error::other("a state file of format 1 was expected"));
            }
            for key in keys.keys.iter_mut().filter(|key| key.region.is_empty()) {
                key.region.clone_from(&self.home);
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

    const HOME: &str = "eu-central-1";

    fn key() -> Key {
        Key {
            id: KeyId::generate(false).unwrap(),
            region: HOME.into(),
            replica: false,
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
        let one = Store::open(Some(path.clone()), HOME).unwrap();
        let two = Store::open(Some(path.clone()), HOME).unwrap();
        let ids = [add(&one), add(&two), add(&one)];
        let three = Store::open(Some(path.clone()), HOME).unwrap();
        for store in [&one, &two, &three] {
            assert!(ids.iter().all(|id| store.read(|keys| keys.get(HOME, *id).is_some()).unwrap()));
        }
        assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_change_that_fails_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(Some(folder.path().join("kms.json")), HOME).unwrap();
        let id = add(&store);
        let failed = store.change(|keys| {
            keys.get_mut(HOME, id).unwrap().enabled = false;
            Err::<(), _>(io::Error::other("x"))
        });
        assert!(failed.is_err());
        assert!(store.read(|keys| keys.get(HOME, id).unwrap().enabled).unwrap());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_never_an_empty_store() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kms.json");
        for bad in ["", "{}", r#"{"format":2,"keys":[]}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(Store::open(Some(path.clone()), HOME).is_err(), "{bad}");
        }
    }

    #[test]
    fn key_ids_are_uuids_or_multi_region_ids_of_one_spelling() {
        for (multi_region, length) in [(false, 36), (true, 36)] {
            let id = KeyId::generate(multi_region).unwrap();
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!((id.to_string().len(), id.is_multi_region()), (length, multi_region));
            assert_eq!(id.to_string().starts_with("mrk-"), multi_region);
            assert!(
                id.to_string().to_uppercase().parse::<KeyId>().is_err()
                    || !id.to_string().contains(char::is_alphabetic)
            );
        }
        for bad in
            ["x", "mrk-", "mrk-11111111-2222-4333-8444-555555555555", "11112222433384445555666677778888"]
        {
            assert!(bad.parse::<KeyId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_of_a_file_without_regions_are_those_of_the_folders_region() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kms.json");
        let id = add(&Store::open(Some(path.clone()), HOME).unwrap());
        let mut file: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let key = file["keys"][0].as_object_mut().unwrap();
        key.remove("region").unwrap();
        key.remove("replica").unwrap();
        std::fs::write(&path, file.to_string()).unwrap();
        let store = Store::open(Some(path), HOME).unwrap();
        store
            .read(|keys| assert!(keys.get(HOME, id).is_some() && keys.get("us-east-1", id).is_none()))
            .unwrap();
    }
}
