//! Ciphertext blobs: `format ‖ key id ‖ key version ‖ nonce ‖ AES-256-GCM`. Everything before the
//! ciphertext and the encryption context are authenticated. A region is not in it: related
//! multi-Region keys open each other's blobs.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::keys::{KeyId, MasterKey};

/// Pairs that are not secret, and that Decrypt must repeat.
pub(super) type EncryptionContext = BTreeMap<String, String>;

/// By whether the key is a multi-Region key.
const FORMATS: [(u8, bool); 2] = [(1, false), (2, true)];
const NONCE: usize = 12;

/// A blob's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob<'a> {
    pub(super) key_id: KeyId,
    pub(super) version: u32,
    nonce: [u8; NONCE],
    ciphertext: &'a [u8],
}

impl<'a> Blob<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let (key_id, rest) = rest.split_first_chunk::<16>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>()?;
        let (_, multi_region) = FORMATS.into_iter().find(|(known, _)| known == format)?;
        Some(Self {
            key_id: KeyId::from_bytes(*key_id, multi_region),
            version: u32::from_be_bytes(*version),
            nonce: *nonce,
            ciphertext,
        })
    }

    /// `None` for another key, another encryption context, or anything changed.
    pub(super) fn open(&self, key: &MasterKey, context: &EncryptionContext) -> Option<Zeroizing<Vec<u8>>> {
        let aead = RandomizedNonceKey::new(&AES_256_GCM, key.as_bytes()).ok()?;
        let mut plaintext = Zeroizing::new(self.ciphertext.to_vec());
        let aad = Aad::from(authenticated(self.key_id, self.version, context));
        let length = aead
            .open_in_place(Nonce::assume_unique_for_key(self.nonce), aad, plaintext.as_mut_slice())
            .ok()?
            .len();
        plaintext.truncate(length);
        Some(plaintext)
    }
}

/// Makes a blob.
pub(super) fn seal(
    key_id: KeyId,
    version: u32,
    key: &MasterKey,
    context: &EncryptionContext,
    plaintext: &[u8],
) -> Option<Vec<u8>> {
    let aead = RandomizedNonceKey::new(&AES_256_GCM, key.as_bytes()).ok()?;
    let mut ciphertext = plaintext.to_vec();
    let aad = Aad::from(authenticated(key_id, version, context));
    let nonce = aead.seal_in_place_append_tag(aad, &mut ciphertext).ok()?;
    Some([&header(key_id, version)[..], nonce.as_ref(), &ciphertext].concat())
}

fn header(key_id: KeyId, version: u32) -> Vec<u8> {
    let format = FORMATS.into_iter().find(|(_, kind)| *kind == key_id.is_multi_region()).unwrap_or_default();
    [&[format.0][..], key_id.as_bytes(), &version.to_be_bytes()].concat()
}

/// Lengths before the texts: no two contexts have the same bytes. The map is sorted.
fn authenticated(key_id: KeyId, version: u32, context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = header(key_id, version);
    for text in context.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn a_blob_opens_under_its_key_and_context_only_and_unchanged() {
        let key = MasterKey::generate().unwrap();
        let id = KeyId::generate(false).unwrap();
        let right = context(&[("a", "b"), ("c", "d")]);
        let sealed = seal(id, 1, &key, &right, b"secret").unwrap();
        let blob = Blob::parse(&sealed).unwrap();
        assert_eq!(blob.open(&key, &right).unwrap().as_slice(), b"secret");
        for wrong in [context(&[]), context(&[("a", "b")]), context(&[("a", "bc"), ("", "d")])] {
            assert_eq!(blob.open(&key, &wrong), None);
        }
        assert_eq!(blob.open(&MasterKey::generate().unwrap(), &right), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(Blob::parse(&changed).and_then(|blob| blob.open(&key, &right)), None, "byte {at}");
            assert_eq!(Blob::parse(&sealed[..at]).and_then(|blob| blob.open(&key, &right)), None);
        }
    }
}
