//! Files for another program that emulates an NSM, such as QEMU: a key and the certificates from it
//! to the root.

use std::path::{Path, PathBuf};

use super::{NsmRoot, PkiError, SigningPath};
use crate::{clock::system_clock, files};

/// What an emulator signs with. Good for as long as a leaf of AWS's is: three hours.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The leaf's key: P-384, PKCS #8, PEM.
    pub key: PathBuf,
    /// The leaf: DER.
    pub certificate: PathBuf,
    /// Its issuers, root first: DER.
    pub bundle: Vec<PathBuf>,
}

/// Issues certificates for one enclave of a new instance, and writes them into a folder.
///
/// # Errors
/// [`PkiError`]
pub fn write_signer(root: &NsmRoot, region: &str, folder: &Path) -> Result<Signer, PkiError> {
    let mut path = SigningPath::new(root.clone(), region)?;
    path.refresh(system_clock()() / 1000)?;
    let key = path.key_pem().ok_or(PkiError::Crypto)?;
    let failed = |error| PkiError::File { name: "of a signer", error };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let write = |name: String, bytes: &[u8]| {
        let file = folder.join(name);
        files::replace(&file, bytes, files::Readable::ByOwner).map_err(failed)?;
        Ok::<_, PkiError>(file)
    };
    Ok(Signer {
        key: write("leaf.key.pem".to_owned(), key.as_bytes())?,
        certificate: write("leaf.der".to_owned(), path.leaf())?,
        bundle: path
            .bundle()
            .into_iter()
            .enumerate()
            .map(|(number, der)| write(format!("issuer-{number}.der"), der))
            .collect::<Result<_, _>>()?,
    })
}
