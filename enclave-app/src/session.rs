//! One boot: its session key, and the attestation documents that bind it.

use std::sync::{Arc, PoisonError, RwLock};

use attestation::{AttestationDoc, AttestationRequest, DocumentHash, Nsm, NsmError, Pcr, PcrIndex};
use ed25519_dalek::SigningKey;
use protocol::{PolicyRef, SessionBinding, SessionKey};
use serde_bytes::ByteArray;

use crate::{
    clock::Clock,
    entropy::{Entropy, EntropyError},
};
use protocol::MeasuredConfig;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The NSM did not answer.
    #[error(transparent)]
    Nsm(#[from] NsmError),
    /// No randomness for the session key.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// PCR0 is zero or absent.
    #[error("an enclave with a measured image was expected, found PCR0 of zeroes: debug mode")]
    Debug,
    /// The binding does not encode.
    #[error("a session binding: {0}")]
    Binding(#[from] attestation::cbor::CborError),
}

/// The key of this boot, and what vouches for it.
pub struct Session {
    nsm: Arc<dyn Nsm>,
    clock: Clock,
    /// On the heap: moving the session leaves no copy behind.
    key: Box<SigningKey>,
    /// SHA-384 of the measured configuration.
    config: [u8; 48],
    /// The policy in force, once there is one.
    policy: RwLock<Option<PolicyRef>>,
    document: Vec<u8>,
    hash: DocumentHash,
    pcr0: Pcr,
}

impl Session {
    /// Makes the session key and has the NSM sign it.
    ///
    /// # Errors
    /// [`SessionError`]
    pub fn begin(
        config: &MeasuredConfig,
        nsm: Arc<dyn Nsm>,
        entropy: &dyn Entropy,
    ) -> Result<Self, SessionError> {
        let key = Box::new(SigningKey::from_bytes(entropy.secret()?.expose()));
        let binding = binding(config.sha384(), None).encode()?;
        // Unpredictable, so that no document of another boot can pass for this one.
        let mut nonce = vec![0; 32];
        entropy.public(&mut nonce)?;
        let public_key = SessionKey::from(key.verifying_key()).to_spki();
        let document = nsm.attest(&AttestationRequest::new(Some(binding), Some(nonce), Some(public_key))?)?;
        // The NSM is this enclave's own: its document is read, not verified.
        let doc = AttestationDoc::parse(&document).map_err(NsmError::from)?;
        let pcr0 = doc.pcr(PcrIndex::IMAGE).filter(|pcr| !pcr.is_zero()).ok_or(SessionError::Debug)?;
        Ok(Self {
            nsm,
            clock: Clock::new(doc.timestamp()),
            key,
            config: config.sha384(),
            policy: RwLock::default(),
            hash: doc.hash(),
            document,
            pcr0,
        })
    }

    /// A fresh document that binds the session key, with the asker's nonce.
    ///
    /// # Errors
    /// [`NsmError`]
    pub fn attest(&self, nonce: Option<Vec<u8>>) -> Result<Vec<u8>, NsmError> {
        let public_key = SessionKey::from(self.key.verifying_key()).to_spki();
        self.document_for(nonce, public_key)
    }

    /// A fresh document that binds `public_key`. Every one that can be read refreshes the clock.
    ///
    /// # Errors
    /// [`NsmError`]
    pub fn document_for(&self, nonce: Option<Vec<u8>>, public_key: Vec<u8>) -> Result<Vec<u8>, NsmError> {
        let policy = self.policy.read().unwrap_or_else(PoisonError::into_inner).clone();
        let binding = binding(self.config, policy).encode().map_err(|_| NsmError::Internal)?;
        let request = AttestationRequest::new(Some(binding), nonce, Some(public_key))?;
        let document = self.nsm.attest(&request)?;
        // Of this document only the time is needed here, and the machine's clock tells it as well.
        // Should the NSM begin to write in another form while this enclave runs, whoever the document
        // is for decides what it is worth; the enclave goes on.
        match AttestationDoc::parse(&document) {
            Ok(doc) => self.clock.refresh(doc.timestamp()),
            Err(error) => tracing::warn!(%error, "the clock goes on without the NSM's time"),
        }
        Ok(document)
    }

    /// From now on documents name this policy.
    pub(crate) fn bind(&self, policy: PolicyRef) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Some(policy);
    }

    /// The session key.
    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The enclave's time.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The document made at boot.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Its SHA-256.
    pub const fn document_hash(&self) -> DocumentHash {
        self.hash
    }

    /// PCR0 of the image.
    pub const fn pcr0(&self) -> Pcr {
        self.pcr0
    }
}

fn binding(config: [u8; 48], policy: Option<PolicyRef>) -> SessionBinding {
    SessionBinding { v: SessionBinding::VERSION, config: ByteArray::new(config), policy }
}
