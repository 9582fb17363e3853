//! What an audit finds.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    error::Position,
    policy::{Policy, Statement},
};

use super::{catalog::Rule, severity::Severity};

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
