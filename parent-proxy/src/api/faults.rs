//! What becomes of a fault behind the API: the problem that the client gets, and the line that the
//! operator gets. Faults that pass say when to try again.

use axum::http::StatusCode;
use protocol::{Refusal, RefusalCode};

use super::problem::{Problem, SOON};
use crate::{creation::CreationError, enclave::EnclaveError, store::StoreError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, source, "the store failed");
        match error {
            StoreError::TooLarge { .. } => Self::new(
                StatusCode::BAD_GATEWAY,
                "record.malformed",
                "The stored record is not usable",
                error.to_string(),
            ),
            StoreError::Deadline { .. } | StoreError::Failed { .. } | StoreError::Conflict => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store.unavailable",
                "The store does not answer as it must",
                "repeating the request later is safe",
            )
            .retry_after(SOON),
            StoreError::Open(_) => Self::internal(),
        }
    }
}

impl From<EnclaveError> for Problem {
    fn from(error: EnclaveError) -> Self {
        let unavailable = |detail: String| {
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "enclave.unavailable",
                "The enclave cannot be reached",
                detail,
            )
            .retry_after(SOON)
        };
        match error {
            EnclaveError::Overloaded(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "enclave.overloaded",
                "The enclave has too much to do",
                error.to_string(),
            )
            .retry_after(SOON),
            EnclaveError::Unavailable => unavailable(error.to_string()),
            EnclaveError::Deadline(_) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "enclave.timeout",
                "The enclave took too long",
                error.to_string(),
            ),
            EnclaveError::Refused(refusal) => refusal.into(),
            EnclaveError::Answer(expected) => {
                tracing::error!(expected, "the enclave answered something else");
                Self::new(
                    StatusCode::BAD_GATEWAY,
                    "enclave.answer",
                    "The enclave answered something else",
                    error.to_string(),
                )
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(Refusal { code, message }: Refusal) -> Self {
        use RefusalCode as C;
        let (status, title) = match code {
            C::NotReady | C::Draining => (StatusCode::SERVICE_UNAVAILABLE, "The enclave is not ready"),
            C::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "The enclave has too much to do"),
            C::KmsUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "KMS does not answer"),
            C::KmsDenied => (StatusCode::BAD_GATEWAY, "KMS refused"),
            C::KmsAnswer => (StatusCode::BAD_GATEWAY, "KMS answered something that must not be used"),
            C::RecordMalformed
            | C::RecordVersion
            | C::RecordIdentity
            | C::RecordKmsKey
            | C::RecordTampered => (StatusCode::UNPROCESSABLE_ENTITY, "The stored record does not open"),
            C::RequestMalformed | C::Nsm | C::Internal => (StatusCode::BAD_GATEWAY, "The enclave failed"),
        };
        tracing::warn!(code = code.as_str(), "the enclave refused");
        let problem = Self::new(status, code.as_str(), title, message);
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.retry_after(SOON) } else { problem }
    }
}

impl From<CreationError> for Problem {
    fn from(error: CreationError) -> Self {
        match error {
            CreationError::Deployment => EnclaveError::Unavailable.into(),
            CreationError::Enclave(error) => error.into(),
            CreationError::Store(error) => error.into(),
            CreationError::Stored { key_id, error } => {
                tracing::error!(%key_id, %error, "a stored record is not usable");
                Self::stored(StatusCode::BAD_GATEWAY, &error)
            }
        }
    }
}
