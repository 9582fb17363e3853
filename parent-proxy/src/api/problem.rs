//! Problems: what went wrong, as RFC 9457 says it, with stable codes for programs. Nothing of a
//! request's content is repeated but the name of the field that was wrong, and what a transaction says.
//! Which problems there are is in `problems.rs`; which of them may be tried again, in `codes.rs`.

use std::{borrow::Cow, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::OrderId;
use serde::Serialize;
use utoipa::ToSchema;

use super::codes;

/// The media type of a problem.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";
/// When to try again, where nothing says better.
pub(super) const SOON: Duration = Duration::from_secs(1);
/// What a request without a client's signature lacks (RFC 9110 §11.6.1 wants it said).
const CHALLENGE: HeaderValue = HeaderValue::from_static("Signature realm=\"cofferdam\"");
/// What went wrong (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    #[serde(flatten)]
    what: PartBody,
    /// The answer's X-Request-Id.
    request_id: String,
}

impl ProblemBody {
    /// The code in words.
    pub(super) const fn title(&self) -> &'static str {
        self.what.title
    }
}

/// What went wrong with one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = PartProblem)]
pub(crate) struct PartBody {
    /// `urn:cofferdam:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: &'static str,
    /// The HTTP status; of a part of a request, the one that it would have by itself.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// For people: what was expected, and what was found.
    detail: String,
    /// Stable, for programs: docs/api.md has all of them.
    code: String,
    /// Whether the same request, signed anew, can be granted later: after `Retry-After`, or after waits
    /// that grow.
    retryable: bool,
    /// Where a value is wrong: what was expected, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    expected: Option<String>,
    /// What was found in its place, for people. Never what a field holds, but of a transaction what it
    /// says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    found: Option<String>,
    /// The field of the request that was wrong, from the outermost: `addresses[3].user`. A parameter of
    /// the path or the query by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<String>,
    /// Which item of a batch it is about; the first is 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 0)]
    item: Option<u32>,
    /// The order that forbids it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order_id: Option<String>,
}

/// A problem on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: Cow<'static, str>,
    title: &'static str,
    detail: Cow<'static, str>,
    /// Boxed, so that a problem is not too large to be passed about.
    about: Box<About>,
    retry_after: Option<Duration>,
}

/// What a problem is about, as far as it is about anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct About {
    field: Option<String>,
    item: Option<u32>,
    expected: Option<Cow<'static, str>>,
    found: Option<Cow<'static, str>>,
    order: Option<OrderId>,
}

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        title: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        Self { status, code, title, detail, about: Box::default(), retry_after: None }
    }

    /// Names the order that forbids it.
    pub(super) fn by_order(mut self, order: Option<OrderId>) -> Self {
        self.about.order = order;
        self
    }

    /// Says what was expected of a value, and what was found.
    pub(super) fn wrong(
        mut self,
        expected: impl Into<Cow<'static, str>>,
        found: impl Into<Cow<'static, str>>,
    ) -> Self {
        (self.about.expected, self.about.found) = (Some(expected.into()), Some(found.into()));
        self
    }

    /// Names the field that it is about.
    pub(super) fn of_field(mut self, field: impl Into<String>) -> Self {
        self.about.field = Some(field.into());
        self
    }

    /// Says which item of a batch it is about.
    pub(super) fn of_item(mut self, item: usize) -> Self {
        self.about.item = u32::try_from(item).ok();
        self
    }

    pub(super) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// As the problem of one part of a request.
    pub(super) fn part(self) -> PartBody {
        let Self { status, code, title, detail, about, retry_after: _ } = self;
        let About { field, item, expected, found, order } = *about;
        PartBody {
            kind: format!("urn:cofferdam:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: detail.into_owned(),
            retryable: codes::retryable(&code, status.as_u16()),
            code: code.into_owned(),
            expected: expected.map(Cow::into_owned),
            found: found.map(Cow::into_owned),
            field,
            item,
            order_id: order.map(|order| order.to_string()),
        }
    }

    /// The body, for a request of this id.
    pub(super) fn body(&self, request_id: &str) -> ProblemBody {
        ProblemBody { what: self.clone().part(), request_id: request_id.to_owned() }
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
