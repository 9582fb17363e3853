//! Which keys a user has: an empty marker `users/v1/<SHA-256 of the user>/<key id>` for each. A
//! marker proves nothing; whoever lists reads the records.

use bytes::Bytes;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use object_store::path::Path;
use protocol::{KeyId, UserRef};
use sha2::{Digest, Sha256};

use super::{Store, StoreError};

/// The first byte of a cursor.
const CURSOR_VERSION: u8 = 1;
/// How many bytes of the user's hash a cursor carries.
const CURSOR_USER: usize = 8;

/// The markers of a store.
#[derive(Debug, Clone)]
pub struct Users {
    store: Store,
}

/// A part of a user's keys, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkerPage {
    /// The keys.
    pub keys: Vec<KeyId>,
    /// Where the next part begins, when there is one.
    pub next: Option<Cursor>,
}

/// A place in the list of one user's keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    user: [u8; 32],
    after: KeyId,
}

/// Text that is no cursor of this user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not the next_cursor of an earlier answer for the same user")]
pub struct CursorError;

impl Cursor {
    /// Reads a cursor that was made for `user`.
    ///
    /// # Errors
    /// [`CursorError`]
    pub fn parse(text: &str, user: &UserRef) -> Result<Self, CursorError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| CursorError)?;
        let user = hash(user);
        let after = bytes
            .strip_prefix(&[CURSOR_VERSION])
            .and_then(|rest| rest.strip_prefix(user.get(..CURSOR_USER)?))
            .filter(|rest| rest.len() == 32)
            .ok_or(CursorError)?;
        let text = data_encoding::BASE32_NOPAD.encode(after).to_ascii_lowercase();
        let after = format!("key_{text}").parse().map_err(|_| CursorError)?;
        Ok(Self { user, after })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.user.get(..CURSOR_USER).unwrap_or_default();
        f.write_str(&BASE64URL_NOPAD.encode(&[&[CURSOR_VERSION], user, self.after.as_bytes()].concat()))
    }
}

impl Users {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Whether a key is marked as the user's.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn is_marked(&self, user: &UserRef, key: &KeyId) -> Result<bool, StoreError> {
        self.store.exists(&marker(user, key)).await
    }

    /// Marks a key as the user's.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn mark(&self, user: &UserRef, key: &KeyId) -> Result<(), StoreError> {
        let marker = marker(user, key);
        self.store.put_new(&marker, &Bytes::new()).await?;
        // The user's folder may be new, or another's creation under way.
        self.store.settle(&marker).await
    }

    /// A page of at most `limit` of the user's keys.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn page(
        &self,
        user: &UserRef,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<MarkerPage, StoreError> {
        let after = cursor.map(|cursor| cursor.after.to_string());
        let one_more = limit.saturating_add(1);
        let names = self.store.names(&folder(user), after.as_deref(), one_more).await?;
        let more = names.len() > limit;
        let mut keys: Vec<KeyId> = names.iter().take(limit).filter_map(|name| name.parse().ok()).collect();
        keys.dedup();
        let next = keys.last().filter(|_| more).map(|after| Cursor { user: hash(user), after: *after });
        Ok(MarkerPage { keys, next })
    }
}

fn hash(user: &UserRef) -> [u8; 32] {
    Sha256::digest(user.as_str().as_bytes()).into()
}

fn folder(user: &UserRef) -> Path {
    Path::from(format!("users/v1/{}", HEXLOWER.encode(&hash(user))))
}

fn marker(user: &UserRef, key: &KeyId) -> Path {
    folder(user).join(key.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chains::Chain;
    use protocol::{Index, KeyPath, Purpose};

    fn key(index: u64) -> KeyId {
        let path = KeyPath {
            user: "alice".parse().unwrap(),
            chain: Chain::Evm,
            purpose: Purpose::Sweep,
            index: Index::try_from(index).unwrap(),
        };
        KeyId::derive(&"laptop".parse().unwrap(), &path)
    }

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_only_for_its_user() {
        let (alice, bob) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let cursor = Cursor { user: hash(&alice), after: key(0) };
        let text = cursor.to_string();
        assert_eq!(Cursor::parse(&text, &alice), Ok(cursor));
        assert_eq!(Cursor::parse(&text, &bob), Err(CursorError));
        for bad in ["", "AA", &text[1..], &format!("{text}AA"), "!", "../../etc"] {
            assert_eq!(Cursor::parse(bad, &alice), Err(CursorError), "{bad}");
        }
    }
}
