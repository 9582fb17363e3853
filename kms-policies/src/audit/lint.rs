//! What is wrong with a policy as it is written, whatever it decides.

use crate::{
    arn::Arn,
    condition::Condition,
    effect::Kind,
    error::Position,
    policy::{Policy, Statement},
};

use super::{
    Finding, Place, Severity, Subject,
    catalog::{DELETED_PRINCIPAL, Rule},
    vocabulary::is_relevant,
};

mod known;
mod names;
mod registers;
mod shape;

pub(super) use known::is_key as exists;

/// Looks at every statement of every policy.
pub(super) fn lint(subject: &Subject, key: Option<&Arn>) -> Vec<Finding> {
    let policies = subject.policies();
    let written: Vec<Written<'_>> = policies
        .iter()
        .flat_map(|policy| policy.statements().iter().map(|statement| Written { policy, statement }))
        .filter(Written::is_ours)
        .collect();
    let mut findings = Vec::new();
    for here in &written {
        findings.extend(registers::lint(here));
        findings.extend(names::lint(here));
        findings.extend(shape::lint(here, key));
    }
    findings.extend(shape::equal_sids(&policies));
    findings.extend(deleted_grantees(subject));
    findings.extend(shape::mixed_types(&written));
    findings
}

/// Grants to users and roles that are gone.
fn deleted_grantees(subject: &Subject) -> Option<Finding> {
    let gone: Vec<Place> = subject
        .authority
        .grants
        .iter()
        .filter(|grant| grant.grantee().is_none())
        .map(|grant| Place { document: "grant".to_owned(), statement: grant.id.clone(), at: None })
        .collect();
    (!gone.is_empty()).then(|| Finding {
        severity: Severity::Info,
        places: gone,
        ..Finding::new(&DELETED_PRINCIPAL, "the grantee was deleted: nobody can use the grant")
    })
}

/// A statement where it is written.
struct Written<'a> {
    policy: &'a Policy,
    statement: &'a Statement,
}

impl Written<'_> {
    /// Whether it is a statement of the key policy, or one that speaks of KMS.
    fn is_ours(&self) -> bool {
        let mut texts = self.statement.action_texts.iter().map(|(text, _)| text.to_ascii_lowercase());
        self.policy.kind() == Kind::Resource
            || is_relevant(self.statement)
            || texts.any(|text| text.starts_with("kms:"))
    }

    /// A finding of this statement, as bad as its kind is.
    fn finding(&self, rule: &'static Rule, at: Position, message: String) -> Finding {
        self.graded(rule, rule.severity, at, message)
    }

    /// A finding of this statement, as bad as it is here.
    fn graded(&self, rule: &'static Rule, severity: Severity, at: Position, message: String) -> Finding {
        let place = Place { at: Some(at), ..Place::of(self.policy, self.statement) };
        Finding { severity, places: vec![place], ..Finding::new(rule, message) }
    }

    /// A finding of one condition.
    fn of_condition(&self, rule: &'static Rule, condition: &Condition, what: &str) -> Finding {
        let at = condition.texts.first().map_or(self.statement.at, |(_, at)| *at);
        let Condition { operator_name, key_name, .. } = condition;
        self.finding(rule, at, format!("{operator_name} on {key_name}: {what}"))
    }
}

#[cfg(test)]
mod tests;
