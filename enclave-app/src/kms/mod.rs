//! KMS as the enclave uses it: two operations, both attested.
//!
//! GenerateDataKey and Decrypt always carry a Recipient. What KMS answers is taken only as
//! `CiphertextForRecipient`; a plaintext, another key's answer, or none is an error. `Encrypt`
//! takes no attestation, so nothing is ever wrapped with it.

mod client;
mod connector;
mod credentials;

use std::{future::Future, pin::Pin};

use protocol::Purpose;

pub use client::{AwsKms, ClientError};
pub use credentials::SharedCredentials;

use crate::Secret;

/// A data key as it is stored: under a KMS key, in KMS's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedDataKey {
    /// ARN of the KMS key.
    pub kms_key: String,
    /// KMS's CiphertextBlob.
    pub blob: Vec<u8>,
}

/// Why there is no data key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KmsError {
    /// No credentials, or expired ones.
    #[error("credentials for KMS were expected from the parent")]
    NoCredentials,
    /// The key policy, the key's state or the credentials forbid it.
    #[error("KMS was expected to allow the call, found {0}")]
    Denied(String),
    /// The blob is under another KMS key than the record names.
    #[error("a data key under the record's KMS key was expected")]
    WrongKey,
    /// KMS does not know the blob: it was changed, or belongs to another encryption context.
    #[error("a data key that KMS wrapped for this deployment and purpose was expected")]
    InvalidBlob,
    /// An answer that must not be used.
    #[error("an answer of KMS with {0} was expected")]
    Answer(&'static str),
    /// A fresh data key's blob that KMS opens to something else.
    #[error("a fresh data key that KMS opens again was expected, found one that it opens to another key")]
    DataKey,
    /// No answer: the network, throttling, or a fault of KMS.
    #[error("an answer of KMS was expected, found {0}")]
    Unavailable(String),
    /// The NSM gave no attestation document for the call.
    #[error("an attestation document for KMS: {0}")]
    Nsm(#[from] attestation::NsmError),
}

/// What a call to KMS gives.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, KmsError>> + Send + 'a>>;

/// The two operations. A trait because a test has to count calls.
pub trait Kms: Send + Sync {
    /// A fresh data key of 32 bytes, in clear and wrapped under the configured key.
    fn generate_data_key(&self, purpose: Purpose) -> BoxFuture<'_, (Secret, WrappedDataKey)>;

    /// The data key that was wrapped for this purpose.
    fn decrypt<'a>(&'a self, purpose: Purpose, wrapped: &'a WrappedDataKey) -> BoxFuture<'a, Secret>;
}
