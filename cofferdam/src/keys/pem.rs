//! Ed25519 keys in PEM: PKCS#8 for private ones, SubjectPublicKeyInfo for public ones (RFC 8410).
//! A line before the block names the key's role; RFC 7468 §2 lets readers skip it.

use data_encoding::BASE64;
use ed25519_dalek::{SigningKey, VerifyingKey};
use protocol::SessionKey;
use zeroize::{Zeroize, Zeroizing};

use super::Role;

/// DER of a PrivateKeyInfo of version 1 up to the 32 bytes of the key.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PRIVATE: &str = "PRIVATE KEY";
const PUBLIC: &str = "PUBLIC KEY";
/// Longer than any key file that this program writes, or that openssl writes for Ed25519.
pub(super) const MAX_PEM: u64 = 4096;

/// The role's line and the private key.
pub(super) fn private(role: Role, key: &SigningKey) -> Zeroizing<String> {
    let mut der = Zeroizing::new([0; PKCS8_PREFIX.len() + 32]);
    let (prefix, secret) = der.split_at_mut(PKCS8_PREFIX.len());
    prefix.copy_from_slice(&PKCS8_PREFIX);
    secret.copy_from_slice(key.as_bytes());
    block(role, PRIVATE, der.as_slice())
}

/// The role's line and the public key.
pub(super) fn public(role: Role, key: &VerifyingKey) -> String {
    block(role, PUBLIC, &SessionKey::from(*key).to_spki()).to_string()
}

/// 64 bytes of base64 at most: one line.
fn block(role: Role, label: &str, der: &[u8]) -> Zeroizing<String> {
    // Large enough from the start: a string that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(512));
    text.push_str(&heading(role));
    text.push_str(&format!("\n-----BEGIN {label}-----\n"));
    BASE64.encode_append(der, &mut text);
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

fn heading(role: Role) -> String {
    format!("Cofferdam {} key", role.as_str())
}

/// A key file's contents, of which only the public half leaves.
pub(crate) struct KeyFile {
    /// From the line before the block, if there is one.
    pub(crate) role: Option<Role>,
    /// Whether the file holds the private half.
    pub(crate) private: bool,
    /// The public half.
    pub(crate) key: VerifyingKey,
}

/// Reads a private or a public key.
pub(super) fn read(text: &str) -> Option<KeyFile> {
    if let Some(der) = body(text, PRIVATE) {
        let key = private_key(&der)?.verifying_key();
        return Some(KeyFile { role: role(text), private: true, key });
    }
    let session = SessionKey::from_spki(&body(text, PUBLIC)?).ok()?;
    Some(KeyFile { role: role(text), private: false, key: *session.verifying_key() })
}

/// Reads a private key, and whose it says that it is.
pub(super) fn read_private(text: &str) -> Option<(Option<Role>, SigningKey)> {
    Some((role(text), private_key(&body(text, PRIVATE)?)?))
}

fn role(text: &str) -> Option<Role> {
    Role::ALL.into_iter().find(|role| text.lines().next() == Some(heading(*role).as_str()))
}

fn private_key(der: &[u8]) -> Option<SigningKey> {
    // Version 2 (RFC 5958) may have the public key behind; it follows from the private one.
    let secret = der.strip_prefix(&PKCS8_PREFIX).and_then(|secret| secret.try_into().ok())?;
    Some(SigningKey::from_bytes(secret))
}

/// The DER between the lines of the first block with this label.
fn body(text: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let (_, rest) = text.split_once(&begin)?;
    let (base64, _) = rest.split_once(&end)?;
    let mut digits = Zeroizing::new(Vec::with_capacity(base64.len()));
    digits.extend(base64.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Zeroizing::new(vec![0; BASE64.decode_len(digits.len()).ok()?]);
    let length = BASE64.decode_mut(&digits, &mut der).ok()?;
    let unused = der.len() - length;
    der.iter_mut().rev().take(unused).for_each(Zeroize::zeroize);
    der.truncate(length);
    Some(der)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_8410s_examples_are_one_pair() {
        // RFC 8410, §10.1 and §10.3.
        let public = "-----BEGIN PUBLIC KEY-----\n\
            MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let private = "-----BEGIN PRIVATE KEY-----\n\
            MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let (public, private) = (read(public).unwrap(), read(private).unwrap());
        assert_eq!(public.key, private.key);
        assert_eq!((public.private, private.private), (false, true));
        assert_eq!(private.role, None);
    }

    #[test]
    fn keys_are_read_as_they_were_written() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let text = private(Role::Operator, &key);
        assert!(text.capacity() >= text.len() && text.lines().all(|line| line.len() <= 64));
        let file = read(&text).unwrap();
        assert!(file.private && file.key == key.verifying_key() && file.role == Some(Role::Operator));
        let file = read(&public(Role::Client, &key.verifying_key())).unwrap();
        assert!(!file.private && file.key == key.verifying_key() && file.role == Some(Role::Client));
    }

    #[test]
    fn anything_else_is_no_key() {
        let key = private(Role::Client, &SigningKey::from_bytes(&[7; 32]));
        let without_end = key.replace("-----END", "");
        for bad in
            ["", "key", &key.replace("PRIVATE", "RSA PRIVATE"), &key.replace("MC4", "MC5"), &without_end]
        {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
