//! The index's file: a redb database of two tables. Everything here blocks.

use std::{fs, io, ops::Bound, path::Path};

use protocol::KeyId;
use redb::{Durability, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::{IndexEntry, canonical};

/// Key ids, and whether their addresses are in the other table.
const KEYS: TableDefinition<'_, &str, bool> = TableDefinition::new("keys");
/// An address, a space and a key id.
const ADDRESSES: TableDefinition<'_, &str, ()> = TableDefinition::new("addresses");
/// What the file is.
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// The form of the tables; a file of another one is made anew.
const FORM: &str = "1";
/// The most memory for pages of the file, however long that is.
const CACHE: usize = 32 << 20;

/// Why the file cannot be used. Boxed: the library's errors are large.
pub(super) type DatabaseError = Box<redb::Error>;

/// The open file.
pub(super) struct Database(redb::Database);

impl Database {
    /// Opens an index of this store. A file that is damaged, of another store or of another form is
    /// made anew; one that another process uses is left alone.
    pub(super) fn open(path: &Path, store: &str) -> Result<Self, DatabaseError> {
        match Self::open_as_it_is(path, store) {
            Ok(Some(database)) => return Ok(database),
            Ok(None) => tracing::info!("the index of keys is of another store, and made anew"),
            Err(error) if matches!(*error, redb::Error::DatabaseAlreadyOpen) => return Err(error),
            Err(error) => tracing::warn!(%error, "the index of keys is made anew from the store"),
        }
        Self::remove(path).map_err(boxed)?;
        let made = Self::open_as_it_is(path, store)?;
        made.ok_or_else(|| Box::new(redb::Error::Corrupted("a new file of another store".into())))
    }

    /// Removes the file.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// None where it is of something else.
    fn open_as_it_is(path: &Path, store: &str) -> Result<Option<Self>, DatabaseError> {
        let mut builder = redb::Builder::new();
        // Without the check a file that was changed by others is trusted, and may make the library panic.
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let database = builder.create(path).map_err(boxed)?;
        let write = database.begin_write().map_err(boxed)?;
        let is_ours = {
            let keys = write.open_table(KEYS).map_err(boxed)?;
            let mut about = write.open_table(ABOUT).map_err(boxed)?;
            write.open_table(ADDRESSES).map_err(boxed)?;
            let said = |name| about.get(name).map(|said| said.map(|said| said.value().to_owned()));
            let (form, of) = (said("form").map_err(boxed)?, said("store").map_err(boxed)?);
            if form.is_none() && of.is_none() && keys.is_empty().map_err(boxed)? {
                about.insert("form", FORM).map_err(boxed)?;
                about.insert("store", store).map_err(boxed)?;
                true
            } else {
                form.as_deref() == Some(FORM) && of.as_deref() == Some(store)
            }
        };
        write.commit().map_err(boxed)?;
        Ok(is_ours.then_some(Self(database)))
    }

    /// Those of these keys that are not in it, or were not readable when they came in.
    pub(super) fn missing(&self, keys: &[KeyId]) -> Result<Vec<KeyId>, DatabaseError> {
        let read = self.0.begin_read().map_err(boxed)?;
        let table = read.open_table(KEYS).map_err(boxed)?;
        let mut missing = Vec::new();
        for key in keys {
            let known = table.get(key.to_string().as_str()).map_err(boxed)?;
            if !known.is_some_and(|readable| readable.value()) {
                missing.push(*key);
            }
        }
        Ok(missing)
    }

    /// Adds keys, on disk for good or with what comes later. How many are in it then.
    pub(super) fn add(&self, entries: &[IndexEntry], durable: bool) -> Result<u64, DatabaseError> {
        let mut write = self.0.begin_write().map_err(boxed)?;
        if !durable {
            write.set_durability(Durability::None).map_err(boxed)?;
        }
        let keys = {
            let mut keys = write.open_table(KEYS).map_err(boxed)?;
            let mut addresses = write.open_table(ADDRESSES).map_err(boxed)?;
            for IndexEntry { key, addresses: of } in entries {
                let key = key.to_string();
                for address in of.iter().flatten() {
                    addresses.insert(place(address, &key).as_str(), ()).map_err(boxed)?;
                }
                keys.insert(key.as_str(), of.is_some()).map_err(boxed)?;
            }
            keys.len().map_err(boxed)?
        };
        write.commit().map_err(boxed)?;
        Ok(keys)
    }

    /// Keys after this one, at most so many.
    pub(super) fn page(&self, after: Option<KeyId>, most: usize) -> Result<Vec<KeyId>, DatabaseError> {
        let read = self.0.begin_read().map_err(boxed)?;
        let table = read.open_table(KEYS).map_err(boxed)?;
        let after = after.map(|after| after.to_string());
        let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = Vec::new();
        for found in table.range::<&str>((from, Bound::Unbounded)).map_err(boxed)?.take(most) {
            let (key, _) = found.map_err(boxed)?;
            keys.push(key.value().parse().map_err(|_| damaged())?);
        }
        Ok(keys)
    }

    /// The keys of an address, at most so many.
    pub(super) fn find(&self, address: &str, most: usize) -> Result<Vec<KeyId>, DatabaseError> {
        let read = self.0.begin_read().map_err(boxed)?;
        let table = read.open_table(ADDRESSES).map_err(boxed)?;
        let from = place(address, "");
        let mut keys = Vec::new();
        for found in table.range(from.as_str()..).map_err(boxed)?.take(most) {
            let (found, ()) = found.map(|(found, _)| (found, ())).map_err(boxed)?;
            let Some(key) = found.value().strip_prefix(&from) else { break };
            keys.push(key.parse().map_err(|_| damaged())?);
        }
        Ok(keys)
    }
}

/// Whether an error says that the file is no good, and not only that it cannot be used now.
pub(super) fn is_damage(error: &DatabaseError) -> bool {
    !matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::DatabaseAlreadyOpen)
}

fn place(address: &str, key: &str) -> String {
    format!("{} {key}", canonical(address))
}

fn damaged() -> DatabaseError {
    Box::new(redb::Error::Corrupted("a key id".into()))
}

fn boxed(error: impl Into<redb::Error>) -> DatabaseError {
    Box::new(error.into())
}

#[cfg(test)]
mod tests;
