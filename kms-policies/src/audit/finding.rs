//! What an audit finds.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::Serialize;

use crate::{
    error::Position,
    policy::{Policy, Statement},
};

use super::catalog::Rule;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// To be known.
    Info,
    /// Should be better.
    Low,
    /// Weakens what protects the key, or makes the policy other than it reads.
    Medium,
    /// Somebody can destroy or plant keys, or is one step from plaintext.
    High,
    /// Somebody can reach plaintext without the image, or change who can.
    Critical,
}

impl Severity {
    /// All, the mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Its name: `info`, `low`, `medium`, `high` or `critical`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Not a severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("info, low, medium, high or critical was expected")]
pub struct SeverityError;

impl FromStr for Severity {
    type Err = SeverityError;

    fn from_str(text: &str) -> Result<Self, SeverityError> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text).ok_or(SeverityError)
    }
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is, with its stable id.
    #[serde(flatten)]
    pub rule: &'static Rule,
    /// How bad it is here.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub message: String,
    /// Who, where it is about somebody: ARNs, or a group in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub who: Vec<String>,
    /// The actions, e.g. `kms:Decrypt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// The statements at fault, the one that allows first.
    pub places: Vec<Place>,
    /// A request that is allowed and should not be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
}

impl Finding {
    /// As bad as its kind is, of nobody and nothing in particular.
    pub(crate) fn new(rule: &'static Rule, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: rule.severity,
            message: message.into(),
            who: Vec::new(),
            actions: Vec::new(),
            places: Vec::new(),
            witness: None,
        }
    }
}

/// A statement or a grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Which document: [`Policy::name`], or `grant`.
    pub document: String,
    /// The Sid, `Statement[n]`, or the grant's id.
    pub statement: String,
    /// Where in the document's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Position>,
}

impl Place {
    /// A statement.
    pub(crate) fn of(policy: &Policy, statement: &Statement) -> Self {
        Self { document: policy.name().to_owned(), statement: statement.sid.clone(), at: Some(statement.at) }
    }
}

/// A request, as one would make it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Whose: an ARN, or a service.
    pub caller: String,
    /// E.g. `kms:Decrypt`.
    pub action: String,
    /// The key's ARN.
    pub resource: String,
    /// With which attestation document, in words.
    pub attestation: &'static str,
    /// The condition keys that the request needs, with their values; those that are not named are
    /// missing or do not matter.
    pub context: BTreeMap<String, Vec<String>>,
    /// Whether an IAM policy of the caller's account has to allow it, too.
    pub needs_iam: bool,
}

/// What an audit found, the worst first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings.
    pub findings: Vec<Finding>,
}

impl Report {
    /// How many findings there are of each severity, the worst first.
    pub fn counts(&self) -> [usize; Severity::ALL.len()] {
        let mut severities = Severity::ALL;
        severities.reverse();
        severities.map(|severity| self.findings.iter().filter(|one| one.severity == severity).count())
    }

    /// Whether a finding is at least this bad.
    pub fn reaches(&self, severity: Severity) -> bool {
        self.findings.iter().any(|finding| finding.severity >= severity)
    }
}
