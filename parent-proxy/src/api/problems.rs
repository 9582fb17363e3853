//! The problems that the parent finds by itself. What the enclave and the store refuse is in `faults.rs`.

use std::{borrow::Cow, time::Duration};

use axum::http::StatusCode;
use protocol::{KeyId, NameError};

use super::problem::{Problem, SOON};
use crate::{address::AddressError, store::CursorError};

/// The longest name of a field that is repeated.
const MAX_FIELD: usize = 100;

impl Problem {
    /// A field is wrong. Neither text may repeat its content.
    pub(super) fn field(
        field: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (field, expected, found): (String, Cow<'static, str>, Cow<'static, str>) =
            (field.into(), expected.into(), found.into());
        let field: String = field.chars().take(MAX_FIELD).collect();
        let detail = format!("{field}: expected {expected}, found {found}");
        let title = "The request is not valid";
        Self::new(StatusCode::BAD_REQUEST, "request.invalid", title, detail)
            .of_field(field)
            .wrong(expected, found)
    }

    pub(super) fn name(
        field: impl Into<String>,
        error: &NameError,
        found: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::field(field, error.expected(), found)
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.malformed", "The request cannot be read", detail)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let expected = format!("a body of at most {limit} bytes");
        let detail = format!("expected {expected}, found a longer one");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", "The request is too large", detail)
            .wrong(expected, "a longer one")
    }

    /// The body did not come in time.
    pub(super) fn slow(within: Duration) -> Self {
        let detail = format!("the body was not whole within {} s", within.as_secs_f64());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request.slow", "The request came too slowly", detail)
    }

    pub(super) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "request.media_type",
            "The request has another media type",
            "expected Content-Type: application/json, found another media type, or none",
        )
        .wrong("Content-Type: application/json", "another media type, or none")
    }

    /// A query where none is read, or a name in it that nobody asked for.
    pub(super) fn unknown_parameter() -> Self {
        Self::field("verbose", "only parameters that /openapi.json names", "another one")
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "route.not_found",
            "There is no such resource",
            "/openapi.json names the paths that there are",
        )
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "route.method",
            "The resource has no such method",
            "the Allow header names the methods that there are",
        )
    }

    pub(super) fn no_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "key.not_found", "There is no such key", "no key has this id")
    }

    /// One of the keys that a request names, in this field.
    pub(super) fn no_such_key(key_id: &KeyId, field: impl Into<String>) -> Self {
        let detail = format!("no key has the id {key_id}");
        Self::new(StatusCode::NOT_FOUND, "key.not_found", "There is no such key", detail).of_field(field)
    }

    pub(super) fn no_policy() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "policy.not_found",
            "There is no such policy",
            "the enclave has no policy, or the store does not have it: put the policy again",
        )
    }

    pub(super) fn no_log() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "log.not_found",
            "There is no such log",
            "this parent keeps no log of a boot with this attestation document",
        )
    }

    /// A header of the signature that cannot be passed on as it is.
    pub(super) fn unsigned(detail: impl Into<Cow<'static, str>>) -> Self {
        let title = "The request is no client's";
        Self::new(StatusCode::UNAUTHORIZED, "auth.malformed", title, detail)
    }

    /// Too many that look like no client's.
    pub(super) fn too_many_failures(after: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "auth.rate_limited",
            "Too many requests were no client's",
            "requests without a client's signature use up what is allowed of them: retry after Retry-After",
        )
        .retry_after(after)
    }

    pub(super) fn no_attestation() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "attestation.not_found",
            "There is no such attestation document",
            "no stored document has this hash",
        )
    }

    pub(super) fn rate_limited(after: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "attestation.rate_limited",
            "Too many attestation documents were asked for",
            "fresh documents are limited: retry after Retry-After, or ask for a stored one",
        )
        .retry_after(after)
    }

    pub(super) fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "parent.overloaded",
            "Too many requests are under way",
            "the parent has as many requests under way as it takes: retry after Retry-After",
        )
        .retry_after(SOON)
    }

    pub(super) fn timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "parent.timeout",
            "The request took too long",
            "the request may have been carried out; repeating it is safe",
        )
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "parent.internal",
            "A fault of the parent",
            "the operator's log has more under the request id; repeating the request is safe",
        )
    }

    /// What is stored is not what it must be.
    pub(super) fn stored(status: StatusCode, error: &AddressError) -> Self {
        Self::new(status, error.code(), "The stored record is not usable", error.to_string())
    }
}

impl From<CursorError> for Problem {
    fn from(_: CursorError) -> Self {
        Self::field("cursor", "the next_cursor of an earlier answer for the same user", "another text")
    }
}
