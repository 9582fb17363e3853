//! Problems: what went wrong, as RFC 9457 says it, with stable codes for programs. Nothing of a
//! request's content is repeated but the name of the field that was wrong.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{KeyId, NameError, OrderId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{address::AddressError, store::CursorError};

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// When to try again, where nothing says better.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// What a request without a client's signature lacks (RFC 9110 §11.6.1 wants it said).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Signature realm=\"cofferdam\"");
/// The longest name of a field that is repeated.
const MAX_FIELD: usize = 100;

/// What went wrong (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// `urn:cofferdam:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:cofferdam:problem:request.invalid")]
    kind: String,
    /// The code in words.
    #[schema(example = "The request is not valid")]
    title: &'static str,
    /// The HTTP status.
    #[schema(example = 400, minimum = 400, maximum = 599)]
    status: u16,
    /// What was expected, for people.
    #[schema(example = "index: a whole number from 0 to 2147483647 was expected")]
    detail: String,
    /// Stable, for programs.
    #[schema(example = "request.invalid")]
    code: String,
    /// The order that forbids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")]
    order_id: Option<String>,
    /// The field of the request that was wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "index")]
    field: Option<String>,
    /// The answer's X-Request-Id.
    #[schema(example = "4f1c8a52e0b94e0e8f6f3c1d2a7b9e05")]
    request_id: String,
}

/// What went wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PartProblem)]
pub(crate) struct PartBody {
    /// `urn:cofferdam:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:cofferdam:problem:order.frozen")]
    kind: String,
    /// The code in words.
    #[schema(example = "It is frozen")]
    title: &'static str,
    /// The HTTP status that it would have by itself.
    #[schema(example = 423, minimum = 400, maximum = 599)]
    status: u16,
    /// What was expected, for people.
    #[schema(example = "a key that is not frozen was expected")]
    detail: String,
    /// Stable, for programs.
    #[schema(example = "order.frozen")]
    code: String,
    /// The order that forbids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")]
    order_id: Option<String>,
}

/// A problem on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    title: &'static str,
    detail: Cow<'static, str>,
    field: Option<String>,
    /// Boxed, so that a problem is not too large to be passed about.
    order: Option<Box<OrderId>>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, title, detail, field: None, order: None, retry_after: None }
    }

    /// Names the order that forbids it.
    pub(super) fn by_order(self, order: Option<OrderId>) -> Self {
        Self { order: order.map(Box::new), ..self }
    }

    pub(super) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    /// A field is wrong. `expected` must not repeat its content.
    pub(super) fn field(field: impl Into<String>, expected: impl Into<Cow<'static, str>>) -> Self {
        let field: String = field.into();
        let field = field.chars().take(MAX_FIELD).collect();
        let problem =
            Self::new(StatusCode::BAD_REQUEST, "request.invalid", "The request is not valid", expected);
        Self { field: Some(field), ..problem }
    }

    pub(super) fn name(field: impl Into<String>, error: &NameError) -> Self {
        Self::field(field, error.to_string())
    }

    pub(super) fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "request.malformed", "The request cannot be read", detail)
    }

    pub(super) fn too_large(limit: usize) -> Self {
        let detail = format!("a body of at most {limit} bytes was expected");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "request.too_large", "The request is too large", detail)
    }

    /// The body did not come in time.
    pub(super) fn slow(within: Duration) -> Self {
        let detail = format!("a whole body was expected within {} s", within.as_secs_f64());
        Self::new(StatusCode::REQUEST_TIMEOUT, "request.slow", "The request came too slowly", detail)
    }

    pub(super) fn media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "request.media_type",
            "The request has another media type",
            "Content-Type: application/json was expected",
        )
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "route.not_found",
            "There is no such resource",
            "a path that /openapi.json names was expected",
        )
    }

    pub(super) fn wrong_method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "route.method",
            "The resource has no such method",
            "a method that the Allow header names was expected",
        )
    }

    pub(super) fn no_key() -> Self {
        Self::new(StatusCode::NOT_FOUND, "key.not_found", "There is no such key", "no key has this id")
    }

    /// One of the keys that a request names.
    pub(super) fn no_such_key(key_id: &KeyId) -> Self {
        let detail = format!("no key has the id {key_id}");
        Self::new(StatusCode::NOT_FOUND, "key.not_found", "There is no such key", detail)
    }

    pub(super) fn no_policy() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "policy.not_found",
            "There is no such policy",
            "the policy that is in the enclave was expected to be stored",
        )
    }

    pub(super) fn no_log() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "log.not_found",
            "There is no such log",
            "the SHA-256 of the attestation document of a boot whose log is kept here was expected",
        )
    }

    /// A header of the signature that cannot be passed on as it is.
    pub(super) fn unsigned(detail: &'static str) -> Self {
        let title = "The request is no client's";
        Self::new(StatusCode::UNAUTHORIZED, "auth.malformed", title, detail)
    }

    /// Too many that look like no client's.
    pub(super) fn too_many_failures(after: Duration) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "auth.rate_limited",
            "Too many requests were no client's",
            "fewer requests without a client's signature were expected",
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
            "fewer requests for fresh documents were expected; stored ones are not limited",
        )
        .retry_after(after)
    }

    pub(super) fn overloaded() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "parent.overloaded",
            "Too many requests are under way",
            "fewer requests at once were expected",
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

    /// As the problem of one part of a request.
    pub(super) fn part(self) -> PartBody {
        PartBody {
            kind: format!("urn:cofferdam:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.into_owned(),
            code: self.code.into_owned(),
            order_id: self.order.as_ref().map(|order| order.to_string()),
        }
    }

    /// The body, for a request of this id.
    pub(super) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:cofferdam:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.code.clone().into_owned(),
            order_id: self.order.as_ref().map(|order| order.to_string()),
            field: self.field.clone(),
            request_id: request_id.to_owned(),
        }
    }
}

/// Only the status and the headers that belong to it: the body is written where the request id is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(after) = self.retry_after {
            let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CursorError> for Problem {
    fn from(error: CursorError) -> Self {
        Self::field("cursor", error.to_string())
    }
}
