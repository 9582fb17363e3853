//! The simulator's two authorities: the root that vouches for simulated enclaves, and the one
//! that the local KMS's TLS certificate comes from. Both live in one folder:
//!
//! | file | what |
//! |---|---|
//! | `nsm-root.pem`, `nsm-root.key.pem` | root of attestation, like AWS Nitro Enclaves root G1 |
//! | `tls-root.pem`, `tls-root.key.pem` | root of the local KMS's TLS certificate |
//!
//! Keys are readable by their owner only. Everything below a root is issued when it is needed and
//! never stored.

mod emulator;
mod issue;
mod path;
mod tls;

use std::{io, path::Path, sync::Arc};

use attestation::TrustAnchor;
use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::{
    clock::{Clock, system_clock},
    files::{self, Readable},
};

pub use emulator::{Signer, write_signer};
pub(crate) use path::SigningPath;
pub use tls::{ServerCertificate, TlsRoot};

/// Why there is no PKI.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file or folder cannot be read or written.
    #[error("the PKI's file {name} was expected to be readable and writable: {error}")]
    File {
        /// Which file.
        name: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("a certificate and its P-384 key in PEM were expected in {name}")]
    Malformed {
        /// Which file.
        name: &'static str,
    },
    /// A certificate could not be made.
    #[error("a certificate was expected to be issued: {0}")]
    Issue(#[from] rcgen::Error),
    /// The machine gives no random numbers or signs nothing.
    #[error("aws-lc was expected to make a key")]
    Crypto,
}

/// Both authorities of one folder.
#[derive(Debug, Clone)]
pub struct Pki {
    /// Vouches for simulated enclaves.
    pub nsm: NsmRoot,
    /// Vouches for the local KMS.
    pub tls: TlsRoot,
}

/// Loads the PKI of a folder, or makes it. Processes that start at once agree on one: whoever
/// holds the folder's lock first makes it, the others read it.
///
/// # Errors
/// [`PkiError`]
pub fn create_or_load(folder: &Path) -> Result<Pki, PkiError> {
    let _lock = files::lock(folder).map_err(|error| PkiError::File { name: ".lock", error })?;
    let now = system_clock()() / 1000;
    let nsm = Authority::create_or_load(folder, &NSM_FILES, || issue::nsm_root(now))?;
    let tls = Authority::create_or_load(folder, &TLS_FILES, || tls::root(now))?;
    Ok(Pki { nsm: NsmRoot(Arc::new(nsm)), tls: TlsRoot::new(tls) })
}

struct Names {
    certificate: &'static str,
    key: &'static str,
}

/// The root of attestation's file.
pub const NSM_ROOT: &str = "nsm-root.pem";
/// The root of TLS's file.
pub const TLS_ROOT: &str = "tls-root.pem";

const NSM_FILES: Names = Names { certificate: NSM_ROOT, key: "nsm-root.key.pem" };
const TLS_FILES: Names = Names { certificate: TLS_ROOT, key: "tls-root.key.pem" };

/// A certificate that issues others, and its key.
#[derive(Debug)]
pub(crate) struct Authority {
    der: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

impl Authority {
    /// Makes a self-signed one.
    fn new(params: &CertificateParams, key: KeyPair) -> Result<Self, PkiError> {
        let certificate = params.self_signed(&key)?;
        Ok(Self { der: certificate.der().clone(), pem: certificate.pem(), key })
    }

    fn create_or_load(
        folder: &Path,
        names: &Names,
        make: impl FnOnce() -> Result<Self, PkiError>,
    ) -> Result<Self, PkiError> {
        let at = |name| move |error| PkiError::File { name, error };
        let certificate_path = folder.join(names.certificate);
        let key_path = folder.join(names.key);
        // The certificate is written last: without it, nobody has seen the key yet.
        if let Some(pem) = files::read(&certificate_path).map_err(at(names.certificate))? {
            let key = files::read(&key_path).map_err(at(names.key))?.unwrap_or_default();
            return Self::parse(pem, &key).map_err(|name| PkiError::Malformed { name: name.pick(names) });
        }
        let made = make()?;
        let write = |path: &Path, text: &str, readable| files::replace(path, text.as_bytes(), readable);
        write(&key_path, &made.key.serialize_pem(), Readable::ByOwner).map_err(at(names.key))?;
        write(&certificate_path, &made.pem, Readable::ByAll).map_err(at(names.certificate))?;
        Ok(made)
    }

    fn parse(pem: String, key: &str) -> Result<Self, Part> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| Part::Certificate)?;
        let key = KeyPair::from_pem(key).map_err(|_| Part::Key)?;
        Ok(Self { der, pem, key })
    }

    /// For certificates below this one.
    fn issuer(&self) -> Result<Issuer<'_, &KeyPair>, PkiError> {
        Ok(Issuer::from_ca_cert_der(&self.der, &self.key)?)
    }
}

enum Part {
    Certificate,
    Key,
}

impl Part {
    const fn pick(&self, names: &Names) -> &'static str {
        match self {
            Self::Certificate => names.certificate,
            Self::Key => names.key,
        }
    }
}

/// The root of attestation.
#[derive(Debug, Clone)]
pub struct NsmRoot(Arc<Authority>);

impl NsmRoot {
    /// A root that is in no file, for a test.
    ///
    /// # Errors
    /// [`PkiError`]
    pub fn ephemeral(clock: &Clock) -> Result<Self, PkiError> {
        Ok(Self(Arc::new(issue::nsm_root(clock() / 1000)?)))
    }

    /// What a verifier names.
    ///
    /// # Errors
    /// [`PkiError::Malformed`] when the file does not hold what this crate writes.
    pub fn trust_anchor(&self) -> Result<TrustAnchor, PkiError> {
        TrustAnchor::from_der(&self.0.der).map_err(|_| PkiError::Malformed { name: NSM_FILES.certificate })
    }

    /// The root certificate in PEM.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.0
    }
}

#[cfg(test)]
mod tests;
