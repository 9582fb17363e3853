//! What becomes of a fault behind the API: the problem that the client gets, and the line that the
//! operator gets. Faults that pass say when to try again.

use axum::http::StatusCode;
use wire::{Refusal, RefusalCode};

use super::problem::{Problem, SOON};
use crate::{creation::CreationError, enclave::EnclaveError, log::LogError, store::StoreError};

/// The tag of a client whose nonces fill its share.
const BUSY: &str = "auth.busy";
/// The tag of a policy whose version is not above that of the one in the enclave.
const OLD_POLICY: &str = "policy.version";

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
            StoreError::Occupied => Self::new(
                StatusCode::BAD_GATEWAY,
                "store.occupied",
                "The store has something else under the name",
                "what was asked for is in effect, and is not stored; somebody must look at the store",
            ),
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
            EnclaveError::Log(error) => error.into(),
            EnclaveError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "request.too_large",
                "The request is too large",
                "the request and the stored records of its keys are over 1 MiB together: name fewer keys",
            ),
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

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        tracing::warn!(%error, "the log is not written");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "log.unavailable",
            "The log cannot be written",
            "the request may have been carried out; repeating it later is safe",
        )
        .retry_after(SOON)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let problem = Self::refused(refusal);
        // Clients' own faults are on the enclave's log.
        if problem.status().is_server_error() {
            tracing::warn!(code = problem.code(), "the enclave refused");
        } else {
            tracing::debug!(code = problem.code(), "the enclave refused");
        }
        problem
    }
}

impl Problem {
    /// What the enclave's refusal is to a client.
    pub(super) fn refused(refusal: Refusal) -> Self {
        use RefusalCode as C;
        let tag = refusal.tag().to_owned();
        let Refusal { code, message, order, wrong, .. } = refusal;
        let (status, title) = match code {
            C::NotReady | C::Draining => (StatusCode::SERVICE_UNAVAILABLE, "The enclave is not ready"),
            C::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "The enclave has too much to do"),
            C::LogUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "The log cannot be written"),
            C::PolicyInactive => (StatusCode::SERVICE_UNAVAILABLE, "No policy is in force"),
            C::KmsUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "KMS does not answer"),
            C::KmsDenied => (StatusCode::BAD_GATEWAY, "KMS refused"),
            C::KmsAnswer => (StatusCode::BAD_GATEWAY, "KMS answered something that must not be used"),
            C::RecordMalformed
            | C::RecordVersion
            | C::RecordIdentity
            | C::RecordKmsKey
            | C::RecordTampered => (StatusCode::UNPROCESSABLE_ENTITY, "The stored record does not open"),
            C::RecordExpected => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The stored record is of another key than was expected")
            }
            C::Unauthenticated if tag == BUSY => {
                (StatusCode::TOO_MANY_REQUESTS, "The client asks too much at once")
            }
            C::Unauthenticated => (StatusCode::UNAUTHORIZED, "The request is no client's"),
            C::Forbidden => (StatusCode::FORBIDDEN, "The client may not do this"),
            C::PolicyRefused if tag == OLD_POLICY => (StatusCode::CONFLICT, "There is a newer policy"),
            C::PolicyRefused => (StatusCode::UNPROCESSABLE_ENTITY, "The policy is not taken"),
            C::Denied => (StatusCode::FORBIDDEN, "The policy does not allow it"),
            C::Frozen => (StatusCode::LOCKED, "It is frozen"),
            C::OrderRefused => (StatusCode::UNPROCESSABLE_ENTITY, "The order is not taken"),
            C::TransactionRefused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "The transaction is not one that is signed")
            }
            C::RequestMalformed if tag != code.as_str() => {
                (StatusCode::BAD_REQUEST, "The request cannot be read")
            }
            C::RequestMalformed | C::Nsm | C::Internal => (StatusCode::BAD_GATEWAY, "The enclave failed"),
        };
        let problem = Self::new(status, tag, title, message).by_order(order);
        let problem = match wrong {
            Some(wrong) => problem.wrong(wrong.expected, wrong.found),
            None => problem,
        };
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => problem.retry_after(SOON),
            _ => problem,
        }
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
