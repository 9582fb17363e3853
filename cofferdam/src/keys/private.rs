//! The private half of a key file, for what this program signs: requests and orders. It lives as
//! long as what it signs, and is wiped then.

use std::path::Path;

use ed25519_dalek::SigningKey;
use zeroize::Zeroizing;

use super::{Role, pem};
use crate::{error::Error, input};

/// Reads a private key. A file that says that it is of another role is refused: an operator's key
/// has no business in a backend, nor a backend's in a quorum.
pub(crate) fn signing_key(file: &Path, role: Role) -> Result<SigningKey, Error> {
    let expected = |what: &str| Error::input(file.display(), format_args!("{what} was expected"));
    let bytes = Zeroizing::new(input::read(file, pem::MAX_PEM)?);
    let text = str::from_utf8(&bytes).map_err(|_| expected("an Ed25519 private key in PEM (RFC 8410)"))?;
    match pem::read_private(text) {
        None => Err(expected("an Ed25519 private key in PEM (RFC 8410)")),
        Some((Some(found), _)) if found != role => {
            Err(expected(&format!("the key of {} {}", role.article(), role.as_str())))
        }
        Some((_, key)) => Ok(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_for_its_role_alone_and_its_public_half_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("operator");
        let public = super::super::create(Role::Operator, &file).unwrap();
        assert_eq!(signing_key(&file, Role::Operator).unwrap().verifying_key(), public);
        let refused = signing_key(&file, Role::Client).unwrap_err().to_string();
        assert!(refused.contains("the key of a client was expected"), "{refused}");
        assert!(signing_key(&file.with_extension("pub"), Role::Operator).is_err());
        // A key of openssl's says nothing of its role.
        let text = std::fs::read_to_string(&file).unwrap();
        let bare = text.split_once('\n').unwrap().1;
        std::fs::write(&file, bare).unwrap();
        assert!(signing_key(&file, Role::Client).is_ok());
    }
}
