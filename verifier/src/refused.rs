//! Why something was not believed: which check, and what was found.

use attestation::VerifyError;
use serde_json::{Value, json};

use crate::StatementError;

/// What did not verify, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// Stable, for programs: which check.
    pub check: &'static str,
    /// For people: what was expected and what was found.
    pub message: String,
}

impl Refused {
    /// Refuses with a reason.
    pub fn new(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, message: message.into() }
    }

    /// For JSON output.
    pub fn to_json(&self) -> Value {
        json!({"kind": "verification", "check": self.check, "message": self.message})
    }
}

impl From<VerifyError> for Refused {
    fn from(error: VerifyError) -> Self {
        let check = match &error {
            VerifyError::Document(_) => "document",
            VerifyError::Path { .. } => "path",
            VerifyError::Signature => "signature",
            VerifyError::Future { .. } | VerifyError::Stale { .. } => "time",
            VerifyError::Debug { .. } => "debug",
            VerifyError::Pcr { .. } => "pcr",
            VerifyError::Binding { field, .. } => field,
        };
        Self::new(check, error.to_string())
    }
}

impl From<StatementError> for Refused {
    fn from(error: StatementError) -> Self {
        Self::new("certificate", error.to_string())
    }
}
