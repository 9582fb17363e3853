//! What is wrong with a policy as it is written, whatever it decides.

use crate::{
    authorize::Identity,
    condition::Condition,
    error::Position,
    policy::{Policy, Statement},
};

use super::{Finding, Place, Severity, Subject, catalog::Rule};

mod known;
mod names;
mod registers;
mod shape;

pub(super) use known::is_key as exists;

/// Looks at every statement of every policy.
pub(super) fn lint(subject: &Subject) -> Vec<Finding> {
    let policies = policies(subject);
    let written: Vec<Written<'_>> = policies
        .iter()
        .flat_map(|policy| policy.statements().iter().map(|statement| Written { policy, statement }))
        .collect();
    let mut findings = Vec::new();
    for here in &written {
        findings.extend(registers::lint(here));
        findings.extend(names::lint(here));
        findings.extend(shape::lint(here, subject.key.as_ref()));
    }
    findings.extend(shape::mixed_types(&written));
    findings
}

/// Every policy that takes part.
fn policies(subject: &Subject) -> Vec<&Policy> {
    let authority = &subject.authority;
    let mut policies = vec![&authority.key_policy];
    policies.extend(authority.service_control.iter().flatten());
    policies.extend(&authority.resource_control);
    policies.extend(&authority.endpoint);
    for identity in subject.identities.values() {
        if let Identity::Known { policies: own, boundaries, sessions } = identity {
            policies.extend(own.iter().chain(boundaries).chain(sessions));
        }
    }
    // One policy may count for many principals.
    let mut known: Vec<&Policy> = Vec::new();
    for policy in policies {
        if !known.contains(&policy) {
            known.push(policy);
        }
    }
    known
}

/// A statement where it is written.
struct Written<'a> {
    policy: &'a Policy,
    statement: &'a Statement,
}

impl Written<'_> {
    /// A finding of this statement, as bad as its kind is.
    fn finding(&self, rule: &'static Rule, at: Position, message: String) -> Finding {
        self.graded(rule, rule.severity, at, message)
    }

    /// A finding of this statement, as bad as it is here.
    fn graded(&self, rule: &'static Rule, severity: Severity, at: Position, message: String) -> Finding {
        let place = Place { at: Some(at), ..Place::of(self.policy, self.statement) };
        Finding {
            rule,
            severity,
            message,
            who: Vec::new(),
            actions: Vec::new(),
            places: vec![place],
            witness: None,
        }
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
