//! Names that mean nothing: condition keys, actions, principals.

use super::{Written, known};
use crate::{
    audit::{
        Finding, Severity,
        catalog::{DELETED_PRINCIPAL, NOT_PRINCIPAL, UNKNOWN_ACTION, UNKNOWN_CONDITION_KEY},
    },
    effect::{Effect, Kind, Listed},
    pattern::ActionPattern,
    principal::{Principal, is_unique_id},
};

pub(super) fn lint(here: &Written<'_>) -> Vec<Finding> {
    let mut findings = keys(here);
    findings.extend(actions(here));
    findings.extend(principals(here));
    findings
}

fn keys(here: &Written<'_>) -> Vec<Finding> {
    let unknown = here.statement.conditions.iter().filter(|condition| {
        // Other policies speak of other services, too.
        let ours = ["kms:", "aws:"].iter().any(|prefix| condition.key.starts_with(prefix));
        !known::is_key(&condition.key) && (ours || here.policy.kind() == Kind::Resource)
    });
    unknown
        .map(|condition| {
            let meant = known::nearest_key(&condition.key);
            here.of_condition(
                &UNKNOWN_CONDITION_KEY,
                condition,
                &meant.map_or_else(
                    || "no request to KMS has this key".to_owned(),
                    |known| format!("no request to KMS has this key. Is {known} meant?"),
                ),
            )
        })
        .collect()
}

fn actions(here: &Written<'_>) -> Vec<Finding> {
    let unknown = here.statement.action_texts.iter().filter(|(text, _)| {
        let ours = text.to_ascii_lowercase().starts_with("kms:");
        let matches =
            |pattern: ActionPattern| crate::actions::ALL.iter().any(|known| pattern.matches(known.name));
        (ours || here.policy.kind() == Kind::Resource) && !ActionPattern::parse(text).is_ok_and(matches)
    });
    unknown
        .map(|(text, at)| {
            let meant = known::nearest_action(text).map(|known| format!(". Is {known} meant?"));
            let message = format!("{text} is no action of KMS{}", meant.unwrap_or_default());
            // What is not denied stays open.
            let deny = here.statement.effect == Effect::Deny;
            let severity = if deny { Severity::Medium } else { UNKNOWN_ACTION.severity };
            here.graded(&UNKNOWN_ACTION, severity, *at, message)
        })
        .collect()
}

fn principals(here: &Written<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (statement, at) = (here.statement, here.statement.at);
    if let Listed::AllBut(_) = statement.principals {
        let (severity, what) = match statement.effect {
            Effect::Allow => (Severity::High, "everyone else is allowed, of every account"),
            Effect::Deny => (
                NOT_PRINCIPAL.severity,
                "a role is excepted only if its account and its session are named as well",
            ),
        };
        findings.push(here.graded(&NOT_PRINCIPAL, severity, at, what.to_owned()));
    }
    let deleted = statement.principals.items().iter().filter_map(|principal| match principal {
        Principal::Nobody(id) if is_unique_id(id) => Some(id),
        _ => None,
    });
    findings.extend(deleted.map(|id| {
        let message = format!("{id} is the id of a user or role that was deleted");
        // What is allowed to nobody harms nobody; whom a Deny no longer means is let in.
        let severity = match statement.effect {
            Effect::Allow => Severity::Low,
            Effect::Deny => DELETED_PRINCIPAL.severity,
        };
        here.graded(&DELETED_PRINCIPAL, severity, at, message)
    }));
    findings
}
