//! How the enclave's errors look to the parent: a stable code, and what was expected.

use attestation::NsmError;
use wire::{Refusal, RefusalCode};

use crate::{entropy::EntropyError, kms::KmsError, sealing::SealError};

/// A fault of ours: the parent learns that there is one, the enclave's console which.
pub(crate) fn internal(error: impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "internal fault");
    Refusal::new(RefusalCode::Internal, "an enclave without a fault was expected")
}

/// For everything new while the enclave shuts down.
pub(crate) fn draining() -> Refusal {
    Refusal::new(RefusalCode::Draining, "an enclave that is not shutting down was expected")
}

pub(crate) fn nsm(error: NsmError) -> Refusal {
    tracing::error!(%error, "the NSM failed");
    Refusal::new(RefusalCode::Nsm, error.to_string())
}

impl From<KmsError> for Refusal {
    fn from(error: KmsError) -> Self {
        let code = match &error {
            KmsError::NoCredentials => RefusalCode::NotReady,
            KmsError::Denied(_) => RefusalCode::KmsDenied,
            KmsError::WrongKey => RefusalCode::RecordKmsKey,
            KmsError::InvalidBlob => RefusalCode::RecordTampered,
            KmsError::Answer(_) | KmsError::DataKey => RefusalCode::KmsAnswer,
            KmsError::Unavailable(_) => RefusalCode::KmsUnavailable,
            KmsError::Nsm(_) => RefusalCode::Nsm,
        };
        tracing::warn!(%error, code = code.as_str(), "KMS");
        let refusal = Self::new(code, error.to_string());
        if error == KmsError::DataKey { refusal.tagged("kms.data_key") } else { refusal }
    }
}

impl From<EntropyError> for Refusal {
    fn from(error: EntropyError) -> Self {
        match error {
            EntropyError::Nsm(error) => nsm(error),
            EntropyError::Kernel => internal(error),
        }
    }
}

impl From<SealError> for Refusal {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Record(error) => error.into(),
            SealError::Opening => Self::new(RefusalCode::RecordTampered, error.to_string()),
        }
    }
}
