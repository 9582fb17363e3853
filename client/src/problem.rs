//! Errors of the API: `application/problem+json` (RFC 9457).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the parent answered in place of success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The HTTP status.
    #[serde(default)]
    pub status: u16,
    /// Stable, for programs: `policy.denied`, … (`docs/api.md`).
    #[serde(default)]
    pub code: Option<String>,
    /// For people, the same for every problem of this code.
    #[serde(default)]
    pub title: Option<String>,
    /// For people, about this one.
    #[serde(default)]
    pub detail: Option<String>,
    /// Whether the same request, signed anew, can be granted later.
    #[serde(default)]
    pub retryable: Option<bool>,
    /// Where a value is wrong, what would have been right.
    #[serde(default)]
    pub expected: Option<String>,
    /// Where a value is wrong, what it is.
    #[serde(default)]
    pub found: Option<String>,
    /// The field of the request that is wrong.
    #[serde(default)]
    pub field: Option<String>,
    /// Of a batch, which item it is about.
    #[serde(default)]
    pub item: Option<u32>,
    /// The order that forbids it.
    #[serde(default)]
    pub order_id: Option<String>,
    /// The parent's name of this request, in its log.
    #[serde(default)]
    pub request_id: Option<String>,
}

impl Problem {
    /// Reads a body. Something else than a problem document, from a proxy for example, leaves
    /// only the status, which is always the response's own.
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let problem: Self = serde_json::from_slice(body).unwrap_or_default();
        Self { status, ..problem }
    }

    /// Whether the code is this one.
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the parent says that it passes.
    pub fn passes(&self) -> bool {
        self.retryable == Some(true)
    }

    /// For JSON output.
    pub fn to_json(&self) -> Value {
        let mut fields = json!(self);
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
            fields.insert("kind".into(), "problem".into());
            fields.insert("message".into(), self.to_string().into());
        }
        fields
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "the parent refused: {code} (HTTP {})", self.status)?,
            None => write!(f, "the parent refused: HTTP {}", self.status)?,
        }
        if let Some(text) = self.detail.as_ref().or(self.title.as_ref()) {
            write!(f, ": {text}")?;
        }
        if let Some(order) = &self.order_id {
            write!(f, " [{order}]")?;
        }
        if let Some(field) = &self.field {
            write!(f, " [field {field}]")?;
        }
        if let Some(id) = &self.request_id {
            write!(f, " [request {id}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_names_code_detail_field_and_request() {
        let body = br#"{"type":"urn:cofferdam:problem:request.invalid","title":"Bad","status":400,
            "detail":"1 to 128 bytes were expected","code":"request.invalid","field":"user","request_id":"r1"}"#;
        let problem = Problem::read(400, body);
        assert_eq!(
            problem.to_string(),
            "the parent refused: request.invalid (HTTP 400): 1 to 128 bytes were expected [field user] [request r1]"
        );
        assert_eq!(problem.to_json()["field"], "user");
    }

    #[test]
    fn what_an_order_forbids_names_the_order() {
        let body = br#"{"code":"order.frozen","detail":"the key is frozen","order_id":"order_abc"}"#;
        let problem = Problem::read(423, body);
        assert_eq!(
            problem.to_string(),
            "the parent refused: order.frozen (HTTP 423): the key is frozen [order_abc]"
        );
        assert_eq!(problem.to_json()["order_id"], "order_abc");
        assert!(problem.is("order.frozen") && !problem.is("policy.denied"));
    }

    #[test]
    fn anything_else_leaves_the_status() {
        for body in [&b"<html>"[..], b"[]", b"{\"code\":7}", b""] {
            assert_eq!(Problem::read(502, body).to_string(), "the parent refused: HTTP 502");
        }
    }
}
