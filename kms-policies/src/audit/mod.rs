//! The auditor: who can reach plaintext, or change who can? Not by looking for patterns, but by
//! deciding with the evaluator, over everyone and every condition, whether there is a request that
//! is allowed. Each finding shows the request.

use std::collections::{BTreeMap, BTreeSet};

use attestation::{Pcr, PcrIndex};

use crate::{
    arn::Arn,
    authorize::{Authority, Identity},
};

mod actions;
mod automaton;
pub mod catalog;
mod decide;
mod describe;
mod domain;
mod finding;
mod lint;
mod people;
mod search;
mod world;

pub use finding::{Finding, Place, Report, Severity, Witness};

/// What is audited, and what the auditor knows beside it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Policies and grants.
    pub authority: Authority,
    /// The key; where it is not known, one of the first account that the policy names.
    pub key: Option<Arn>,
    /// The policies of these users and roles are known.
    pub identities: BTreeMap<Arn, Identity>,
    /// Those of everyone else; [`Identity::Anything`] unless all are known.
    pub others: Identity,
    /// Images that may use the key: for each register the values that are allowed. Empty: the
    /// images are those that the policy itself names.
    pub images: BTreeMap<PcrIndex, BTreeSet<Pcr>>,
    /// Who is expected to hold control of the key.
    pub admins: Vec<Arn>,
}

/// Audits a key.
pub fn audit(subject: &Subject) -> Report {
    let mut findings = decide::decide(subject);
    findings.extend(lint::lint(subject));
    findings.sort_by(|one, other| other.severity.cmp(&one.severity).then(one.rule.id.cmp(other.rule.id)));
    Report { findings }
}
