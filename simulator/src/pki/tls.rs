//! The local KMS's TLS: its own root, and a server certificate for the names that clients dial.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{Authority, PkiError, issue};
use crate::account;

const DAY: u64 = 24 * 3600;

/// The root of the local KMS's TLS certificate.
#[derive(Debug, Clone)]
pub struct TlsRoot(Arc<Authority>);

/// A server certificate and its key, for rustls.
#[derive(Debug)]
pub struct ServerCertificate {
    /// Leaf first.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's key.
    pub key: PrivateKeyDer<'static>,
}

pub(super) fn root(now: u64) -> Result<Authority, PkiError> {
    let mut params = CertificateParams::default();
    params.not_before = issue::time(now.saturating_sub(DAY))?;
    params.not_after = issue::time(now.saturating_add(3650 * DAY))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = common_name("SIMULATED TLS root for the local KMS");
    Authority::new(&params, issue::new_key()?)
}

impl TlsRoot {
    pub(super) fn new(authority: Authority) -> Self {
        Self(Arc::new(authority))
    }

    /// The root certificate in PEM, for `AWS_CA_BUNDLE` and the like.
    pub fn pem(&self) -> &str {
        &self.0.pem
    }

    /// A fresh certificate for the host of the region's KMS, `localhost` and `127.0.0.1`, valid for
    /// a year from `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`PkiError::Issue`] when `region` is no part of a host name.
    pub fn server_certificate(&self, region: &str, now: u64) -> Result<ServerCertificate, PkiError> {
        let host = format!("kms.{region}.{}", account::domain(region));
        let mut params = CertificateParams::new([host.clone(), "localhost".into(), "127.0.0.1".into()])?;
        params.not_before = issue::time(now.saturating_sub(DAY))?;
        params.not_after = issue::time(now.saturating_add(365 * DAY))?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name = common_name(&host);
        let key = issue::new_key()?;
        let certificate = params.signed_by(&key, &self.0.issuer()?)?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn common_name(text: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Cofferdam");
    name.push(DnType::CommonName, text);
    name
}
