//! How the enclave's errors look to the parent: a stable code, and what was expected.

use attestation::NsmError;
use protocol::{
    api::{BodyError, Route},
    dsse::DsseError,
};
use wire::{Refusal, RefusalCode};

use crate::{entropy::EntropyError, kms::KmsError, sealing::SealError};

/// A fault of ours: the parent learns that there is one, the enclave's console which.
pub(crate) fn internal(error: impl std::fmt::Display) -> Refusal {
    tracing::error!(%error, "internal fault");
    Refusal::new(RefusalCode::Internal, "internal error; the enclave's console names it")
}

/// Does on a thread of its own what takes long.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}

/// For what is not of the documented form.
pub(crate) fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::RequestMalformed, message)
}

/// For a client's body that is not of the documented form.
pub(crate) fn malformed_body(error: BodyError) -> Refusal {
    malformed(error.to_string()).tagged("request.body")
}

/// For a client's request that came with the operation of another route.
pub(crate) fn misplaced(route: Route, sent_as: &str) -> Refusal {
    let right = match route {
        Route::CreateAddress | Route::CreateAddresses => "create` or `confirm",
        Route::CheckKey(_) => "confirm",
        Route::ReplaceKey(_) => "submit_order`, `create` or `confirm",
        Route::Sign | Route::SignBatch | Route::Explain => "sign",
        Route::SubmitOrder => "submit_order",
        Route::RewrapKeys => "rewrap",
        _ => "authorize",
    };
    malformed(format!("this request must be sent as `{right}`, not as `{sent_as}`"))
}

/// For an order that is not taken.
pub(crate) fn refused_order(tag: &str, text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::OrderRefused, text).tagged(tag)
}

/// An envelope that is not taken, of a policy or an activation.
pub(crate) fn of_policy(error: DsseError) -> Refusal {
    of_envelope(RefusalCode::PolicyRefused, &error)
}

/// An envelope that is not taken, of an order.
pub(crate) fn of_order(error: DsseError) -> Refusal {
    of_envelope(RefusalCode::OrderRefused, &error)
}

fn of_envelope(code: RefusalCode, error: &DsseError) -> Refusal {
    let refusal = Refusal::new(code, error.to_string()).tagged(error.tag());
    match error {
        DsseError::TooFew { expected, found } => {
            refusal.wrong(format!("{expected} signatures"), found.to_string())
        }
        _ => refusal,
    }
}

/// For everything new while the enclave shuts down.
pub(crate) fn draining() -> Refusal {
    Refusal::new(RefusalCode::Draining, "the enclave is shutting down; retry elsewhere")
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
