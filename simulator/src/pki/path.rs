//! The certificates between the root and a document's signature: issued at start, and again
//! before they expire.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair},
};
use rcgen::{CertificateParams, Issuer, KeyPair};

use super::{NsmRoot, PkiError, issue};
use issue::{Level, Subject, Validity};

/// How long before its end a certificate is replaced: a document that was signed just before must
/// outlive the age that verifiers allow.
const RENEW_BEFORE: u64 = 600;

struct Link {
    params: CertificateParams,
    der: Vec<u8>,
    key: KeyPair,
    validity: Validity,
}

/// A path for one enclave, with the leaf's key.
pub(crate) struct SigningPath {
    root: NsmRoot,
    subject: Subject,
    links: Vec<Link>,
    signer: Option<EcdsaKeyPair>,
}

impl SigningPath {
    /// A path for a new enclave of a new instance in `region`.
    pub(crate) fn new(root: NsmRoot, region: &str) -> Result<Self, PkiError> {
        let instance: String =
            data_encoding::HEXLOWER.encode(&issue::random::<9>()?).chars().skip(1).collect();
        let mut enclave = issue::random::<8>()?;
        enclave.iter_mut().take(1).for_each(|first| *first = 1);
        let subject = Subject { region: region.to_owned(), instance: format!("i-{instance}"), enclave };
        Ok(Self { root, subject, links: Vec::new(), signer: None })
    }

    pub(crate) fn module_id(&self) -> String {
        self.subject.module_id()
    }

    pub(crate) fn instance_id(&self) -> &str {
        &self.subject.instance
    }

    /// Issues what is missing, not yet valid or about to expire at `now` (seconds), and
    /// everything below it.
    pub(crate) fn refresh(&mut self, now: u64) -> Result<(), PkiError> {
        let fresh =
            |link: &Link| link.validity.from <= now && now.saturating_add(RENEW_BEFORE) <= link.validity.to;
        self.links.truncate(self.links.iter().take_while(|link| fresh(link)).count());
        for level in Level::ALL.into_iter().skip(self.links.len()) {
            let link = self.issue(level, now)?;
            if level == Level::Leaf {
                let signer =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, link.key.serialized_der());
                self.signer = Some(signer.map_err(|_| PkiError::Crypto)?);
            }
            self.links.push(link);
        }
        Ok(())
    }

    fn issue(&self, level: Level, now: u64) -> Result<Link, PkiError> {
        let params = issue::params(level, &self.subject, now)?;
        let key = issue::new_key()?;
        let certificate = match self.links.last() {
            Some(above) => params.signed_by(&key, &Issuer::from_params(&above.params, &above.key))?,
            None => params.signed_by(&key, &self.root.authority().issuer()?)?,
        };
        let der = certificate.der().to_vec();
        Ok(Link { params, der, key, validity: level.validity(now) })
    }

    /// The leaf certificate.
    pub(crate) fn leaf(&self) -> &[u8] {
        self.links.last().map(|link| link.der.as_slice()).unwrap_or_default()
    }

    /// The issuers, root first.
    pub(crate) fn bundle(&self) -> Vec<&[u8]> {
        let below = self.links.iter().map(|link| link.der.as_slice());
        std::iter::once(self.root.authority().der.as_ref())
            .chain(below.take(Level::ALL.len().saturating_sub(1)))
            .collect()
    }

    /// The leaf's key in PEM (PKCS #8).
    pub(super) fn key_pem(&self) -> Option<String> {
        self.links.last().map(|link| link.key.serialize_pem())
    }

    /// ES384 of the leaf's key: r ‖ s.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, PkiError> {
        let signer = self.signer.as_ref().ok_or(PkiError::Crypto)?;
        let signature = signer.sign(&SystemRandom::new(), message).map_err(|_| PkiError::Crypto)?;
        Ok(signature.as_ref().to_vec())
    }
}
