//! HTTPS: the operator's certificate, and optionally the issuers of client certificates, without
//! one of which nobody is then heard.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Why HTTPS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not PEM of the right kind.
    #[error("{path}: holds no PEM of {expected}, or cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// The parts do not fit together.
    #[error("the certificate, its key or the client issuers: {0}")]
    Rejected(String),
}

/// Files, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Certificate chain.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Issuers of client certificates: then every client must show one.
    pub client_ca: Option<PathBuf>,
}

impl TlsFiles {
    /// A server for HTTP/2 and HTTP/1.1 over TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// [`TlsError`]
    pub fn server(&self) -> Result<ServerConfig, TlsError> {
        let rejected = |error: &dyn std::fmt::Display| TlsError::Rejected(error.to_string());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| rejected(&error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for issuer in certificates(path)? {
                    roots.add(issuer).map_err(|error| rejected(&error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(|error| rejected(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|_| TlsError::File { path: self.key.clone(), expected: "a private key" })?;
        let mut config = builder
            .with_single_cert(certificates(&self.certificate)?, key)
            .map_err(|error| rejected(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let missing = || TlsError::File { path: path.to_owned(), expected: "certificates" };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|_| missing())?;
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}
