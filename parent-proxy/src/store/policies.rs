//! Policies in their envelopes, each under its version and hash: every one that an enclave took.

use bytes::Bytes;
use data_encoding::HEXLOWER;
use object_store::path::Path;
use protocol::{
    PolicyRef,
    dsse::{Envelope, MAX_ENVELOPE, POLICY_TYPE},
};
use serde_bytes::ByteArray;
use sha2::{Digest, Sha256};

use super::{Created, Store, StoreError};

/// The most policies that are listed.
const MOST: usize = 65_536;
const FOLDER: &str = "policies/v1";

/// The policies of a store.
#[derive(Debug, Clone)]
pub struct Policies {
    store: Store,
}

impl Policies {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// The names of all policies. What is no such name is passed over.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn names(&self) -> Result<Vec<PolicyRef>, StoreError> {
        let names = self.store.names(&Path::from(FOLDER), None, MOST).await?;
        Ok(names.iter().filter_map(|name| reference(name)).collect())
    }

    /// A policy's envelope. One whose payload has another hash is as good as none.
    ///
    /// # Errors
    /// [`StoreError`]; one that is longer than an envelope is refused unread.
    pub async fn read(&self, policy: &PolicyRef) -> Result<Option<Bytes>, StoreError> {
        let envelope = self.store.read(&path(policy), MAX_ENVELOPE).await?;
        Ok(envelope.filter(|envelope| is_of(policy, envelope)))
    }

    /// Stores a policy's envelope unless it is there.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Occupied`] when something else has its name.
    pub async fn store(&self, policy: &PolicyRef, envelope: &[u8]) -> Result<(), StoreError> {
        if !is_of(policy, envelope) {
            return Err(StoreError::Occupied);
        }
        let path = path(policy);
        match self.store.create(&path, &Bytes::copy_from_slice(envelope), MAX_ENVELOPE).await? {
            Created::New => Ok(()),
            // Perhaps with other operators' signatures: the policy is the same.
            Created::Existing(existing) if is_of(policy, &existing) => self.store.settle(&path).await,
            Created::Existing(_) => Err(StoreError::Occupied),
        }
    }
}

fn is_of(policy: &PolicyRef, envelope: &[u8]) -> bool {
    let payload = Envelope::parse(envelope, POLICY_TYPE).and_then(|envelope| envelope.payload());
    payload.is_ok_and(|payload| *policy.sha256 == <[u8; 32]>::from(Sha256::digest(payload)))
}

fn name(policy: &PolicyRef) -> String {
    format!("{:012}-{}", policy.version, HEXLOWER.encode(policy.sha256.as_slice()))
}

fn reference(text: &str) -> Option<PolicyRef> {
    let (version, hash) = text.split_once('-')?;
    let hash: [u8; 32] = HEXLOWER.decode(hash.as_bytes()).ok()?.try_into().ok()?;
    let policy = PolicyRef { version: version.parse().ok()?, sha256: ByteArray::new(hash) };
    (name(&policy) == text).then_some(policy)
}

fn path(policy: &PolicyRef) -> Path {
    Path::from(format!("{FOLDER}/{}", name(policy)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policys_name_has_one_spelling() {
        for version in [1, 999_999_999_999, 1_000_000_000_000, u64::MAX] {
            let policy = PolicyRef { version, sha256: ByteArray::new([0xab; 32]) };
            assert_eq!(reference(&name(&policy)), Some(policy));
        }
        let good = format!("000000000007-{}", "ab".repeat(32));
        assert!(reference(&good).is_some());
        for bad in [
            good.replace("00000000000", ""),
            good.to_uppercase(),
            good.replace('-', "_"),
            format!("+{}", &good[1..]),
            good[..70].to_owned(),
            String::new(),
        ] {
            assert_eq!(reference(&bad), None, "{bad}");
        }
    }
}
