//! Statements and conditions whose shape is not what it seems.

use std::collections::BTreeMap;

use super::{Written, known, registers};
use crate::{
    arn::Arn,
    audit::{
        Finding, Place, Severity,
        catalog::{
            EMPTY_DENY, EQUAL_SIDS, FOR_ALL_VALUES, MIXED_TYPES, NEVER_ALLOWED, NO_ACTION, RESOURCE,
            SET_OPERATOR,
        },
        condition_keys::{CONTEXT, canonical, is_register},
    },
    condition::{Comparison, Condition, Quantifier, Value},
    effect::{Effect, Kind, Listed},
    pattern::{Case, Pattern},
    policy::{Policy, Statement},
};

pub(super) fn lint(here: &Written<'_>, key: Option<&Arn>) -> Vec<Finding> {
    let mut findings = for_all_values(here);
    findings.extend(resource(here, key));
    findings.extend(no_action(here));
    findings.extend(set_operators(here));
    findings.extend(never_allowed(here));
    findings.extend(empty_deny(here));
    findings
}

/// `ForAllValues:` in an Allow, where nothing else demands that the key exists.
fn for_all_values(here: &Written<'_>) -> Vec<Finding> {
    let statement = here.statement;
    let vague = statement.conditions.iter().filter(|condition| {
        let operator = condition.operator;
        statement.effect == Effect::Allow
            && operator.quantifier == Quantifier::All
            // Every CreateGrant has operations.
            && condition.key != "kms:grantoperations"
            // Said of a key of one value as such.
            && !condition.key.starts_with(CONTEXT)
            && !statement.conditions.iter().any(|other| demands(other, &condition.key))
    });
    vague
        .map(|condition| {
            let what = "this holds for a request without the key";
            let mut finding = here.of_condition(&FOR_ALL_VALUES, condition, what);
            // Where the image is demanded beside it nobody gets in.
            let image = |one: &&Condition| is_register(canonical(&one.key)) && demands(one, &one.key);
            if !is_register(canonical(&condition.key)) && statement.conditions.iter().any(|one| image(&one)) {
                finding.severity = Severity::Low;
            }
            finding
        })
        .collect()
}

/// Whether a condition holds only when the key exists.
fn demands(condition: &Condition, key: &str) -> bool {
    // A name of an encryption context is among its names.
    let same = condition.key == key
        || (key == "kms:encryptioncontextkeys" && condition.key.starts_with("kms:encryptioncontext:"));
    let operator = condition.operator;
    let positive = match operator.comparison {
        Comparison::Null => !condition.values.contains(&Value::Bool(true)),
        _ => !operator.negated && !operator.if_exists && operator.quantifier != Quantifier::All,
    };
    same && (positive || operator.quantifier == Quantifier::Any)
}

/// A Resource of a key policy that leaves out the key that the policy is on.
fn resource(here: &Written<'_>, key: Option<&Arn>) -> Option<Finding> {
    let statement = here.statement;
    let texts = &statement.resource_texts;
    let may_match = |(text, pattern): (&str, &Pattern)| {
        let alias = text.split(':').nth(5).is_some_and(|resource| resource.starts_with("alias/"));
        let service = text.split(':').nth(2).unwrap_or("*");
        let variable = pattern.variables().next().is_some();
        match key {
            _ if variable => true,
            Some(key) => pattern.matches(key.as_str(), Case::Matters),
            None => text == "*" || (!alias && (service == "kms" || service.contains(['*', '?']))),
        }
    };
    let named = || texts.iter().map(|(text, _)| text.as_str()).zip(statement.resources.items());
    let (empty, first) = match &statement.resources {
        Listed::These(_) => (!named().any(may_match), texts.first()),
        Listed::AllBut(_) => {
            let whole = |(text, _): &&(String, _)| text == "*" || key.is_some_and(|key| text == key.as_str());
            let first = texts.iter().find(whole);
            (first.is_some(), first)
        }
    };
    if here.policy.kind() != Kind::Resource {
        return None;
    }
    if let (Listed::These(none), true) = (&statement.resources, texts.is_empty())
        && none.is_empty()
    {
        let message = "no Resource: the statement has no effect".to_owned();
        return Some(here.finding(&RESOURCE, statement.at, message));
    }
    let (text, at) = first.filter(|_| empty)?;
    let message = format!("{text}: the statement has no effect on the key that the policy is on");
    Some(here.finding(&RESOURCE, *at, message))
}

/// No Action, so that nothing is allowed or denied.
fn no_action(here: &Written<'_>) -> Option<Finding> {
    let statement = here.statement;
    let empty = matches!(&statement.actions, Listed::These(these) if these.is_empty());
    empty.then(|| here.finding(&NO_ACTION, statement.at, "no Action: the statement has no effect".to_owned()))
}

/// ForAnyValue and ForAllValues on a pair of the encryption context. Source: KMS Developer Guide,
/// "kms:EncryptionContext:context-key": a key of one value.
fn set_operators(here: &Written<'_>) -> Vec<Finding> {
    let sets = here.statement.conditions.iter().filter(|condition| {
        condition.operator.quantifier != Quantifier::Single && condition.key.starts_with(CONTEXT)
    });
    sets.map(|condition| {
        let all = condition.operator.quantifier == Quantifier::All;
        let what = match (all, here.statement.effect) {
            (true, Effect::Allow) => "a key of one value: this holds for a request without the pair, too",
            _ => "a key of one value: it is read as without ForAnyValue",
        };
        let mut finding = here.of_condition(&SET_OPERATOR, condition, what);
        if all && here.statement.effect == Effect::Allow {
            finding.severity = Severity::Medium;
        }
        finding
    })
    .collect()
}

/// An action that takes no document, allowed with one alone.
fn never_allowed(here: &Written<'_>) -> Option<Finding> {
    let statement = here.statement;
    if statement.effect != Effect::Allow {
        return None;
    }
    let document = statement
        .conditions
        .iter()
        .find(|condition| is_register(canonical(&condition.key)) && demands(condition, &condition.key))?;
    // By name: a pattern may be meant for others.
    let named = statement.action_texts.iter().map(|(text, _)| text);
    let never: Vec<&str> = named
        .filter_map(|text| crate::actions::find(text))
        .filter(|action| !action.recipient)
        .map(|action| action.name)
        .collect();
    (!never.is_empty()).then(|| {
        let what = format!("{} takes no document", never.join(", "));
        here.of_condition(&NEVER_ALLOWED, document, &what)
    })
}

/// Statements of one policy with the same Sid.
pub(super) fn equal_sids(policies: &[&Policy]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for policy in policies {
        let mut first: BTreeMap<&str, &Statement> = BTreeMap::new();
        for statement in policy.statements() {
            let known = *first.entry(statement.sid()).or_insert(statement);
            if !std::ptr::eq(known, statement) {
                let here = Written { policy, statement };
                let message = format!("{} is the Sid of another statement, too", statement.sid());
                let mut finding = here.finding(&EQUAL_SIDS, statement.at, message);
                finding.places.push(Place::of(policy, known));
                findings.push(finding);
            }
        }
    }
    findings
}

/// A Deny that no request meets.
fn empty_deny(here: &Written<'_>) -> Option<Finding> {
    let statement = here.statement;
    if statement.effect != Effect::Deny {
        return None;
    }
    let needed =
        |condition: &Condition| statement.conditions.iter().any(|other| demands(other, &condition.key));
    let forbidden = statement.conditions.iter().find(|condition| {
        let only_missing = condition.operator.comparison == Comparison::Null
            && !condition.values.contains(&Value::Bool(false));
        only_missing && needed(condition)
    });
    if let Some(condition) = forbidden {
        let what = "another condition of the statement demands the key";
        return Some(here.of_condition(&EMPTY_DENY, condition, what));
    }
    let document = statement.conditions.iter().find(|condition| {
        registers::of_key(&condition.key).is_some() && demands(condition, &condition.key)
    })?;
    let attested = known::ATTESTED.iter().any(|name| statement.is_about(&format!("kms:{name}")));
    (!attested).then(|| {
        let what = "a document is demanded, and none of the denied actions takes one";
        here.of_condition(&EMPTY_DENY, document, what)
    })
}

/// As what an operator reads a condition key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Number,
    Date,
    Address,
}

impl Type {
    fn of(condition: &Condition) -> Option<Self> {
        match condition.operator.comparison {
            Comparison::Number(_) => Some(Self::Number),
            Comparison::Date(_) => Some(Self::Date),
            Comparison::Ip => Some(Self::Address),
            Comparison::Null => None,
            _ => Some(Self::Text),
        }
    }
}

/// One condition key compared as two types.
pub(super) fn mixed_types(written: &[Written<'_>]) -> Vec<Finding> {
    let mut first: BTreeMap<&str, (Type, &Written<'_>, &Statement)> = BTreeMap::new();
    let mut findings: BTreeMap<&str, Finding> = BTreeMap::new();
    for here in written {
        for condition in &here.statement.conditions {
            let Some(found) = Type::of(condition) else { continue };
            let (known, there, statement) =
                *first.entry(&condition.key).or_insert((found, here, here.statement));
            // aws:EpochTime is a date that numbers compare with as well.
            if known == found || condition.key == "aws:epochtime" {
                continue;
            }
            findings.entry(&condition.key).or_insert_with(|| {
                let what = format!("in {} it is compared otherwise", statement.sid);
                let mut finding = here.of_condition(&MIXED_TYPES, condition, &what);
                finding.places.push(Place::of(there.policy, statement));
                finding
            });
        }
    }
    findings.into_values().collect()
}
