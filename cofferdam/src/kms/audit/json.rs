//! The answer for programs. `docs/kms-audit.md` says what its members mean.

use std::collections::BTreeMap;

use kms_policies::audit::{Finding, Severity};
use serde::Serialize;
use serde_json::Value;

use super::Answer;
use crate::error::Error;

#[derive(Serialize)]
struct Whole<'a> {
    passed: bool,
    fail_on: Severity,
    counts: BTreeMap<&'static str, usize>,
    files: BTreeMap<&'a str, String>,
    findings: &'a [Finding],
}

pub(super) fn value(answer: &Answer) -> Result<Value, Error> {
    let whole = Whole {
        passed: answer.passed(),
        fail_on: answer.fail_on,
        counts: answer.counts().into_iter().map(|(severity, count)| (severity.as_str(), count)).collect(),
        files: answer
            .files
            .iter()
            .map(|(name, file)| (name.as_str(), file.path.display().to_string()))
            .collect(),
        findings: &answer.report.findings,
    };
    serde_json::to_value(whole).map_err(|error| Error::Failed(error.to_string()))
}
