//! Puts values into a parsed template.

use std::collections::BTreeMap;

use attestation::Pcr;
use serde_json::Value;

use super::{Image, RenderError, Template, Values, measured};
use crate::arn::Arn;

/// What a placeholder stands for; nothing for a value that was left out.
type Placeholders = BTreeMap<&'static str, Option<Value>>;

/// The placeholders of a statement that is written once for each image.
const EACH: [&str; 3] = ["{{image.pcr0}}", "{{image.pcr1}}", "{{image.pcr2}}"];

/// The placeholders of statements that are only there where they were asked for.
const PINS: [&str; 3] = ["{{pins.pcr3}}", "{{pins.pcr4}}", "{{pins.endpoints}}"];

/// The template with values in place of placeholders.
pub(super) fn fill(template: Template, values: &Values) -> Result<Value, RenderError> {
    let mut policy: Value = serde_json::from_str(template.text()).map_err(|_| RenderError::Template)?;
    let statements =
        policy.get_mut("Statement").and_then(Value::as_array_mut).ok_or(RenderError::Template)?;
    let known = known(values);
    let mut filled = Vec::new();
    for statement in std::mem::take(statements) {
        let is_unasked = |name: &str| known.get(name).is_some_and(Option::is_none);
        if PINS.iter().any(|name| is_unasked(name) && holds(&statement, name)) {
            continue;
        }
        if EACH.iter().any(|name| holds(&statement, name)) {
            filled.extend(for_each_image(&statement, &values.images, &known)?);
        } else {
            filled.extend(one(statement, &known)?);
        }
    }
    *statements = filled;
    Ok(policy)
}

fn known(values: &Values) -> Placeholders {
    let Values { admins, enclave_role, images, signers, deployment, recovery, pins } = values;
    let pinned = |texts: Vec<String>| (!texts.is_empty()).then(|| Value::from(distinct(texts.into_iter())));
    let places =
        |texts: Vec<&str>| pinned(texts.into_iter().map(|text| measured(text).to_string()).collect());
    let list = |pcrs: Vec<&Pcr>| Some(Value::from(distinct(pcrs.into_iter().map(Pcr::to_string))));
    let every: Vec<&Image> = images.iter().chain(recovery.iter().map(|recovery| &recovery.image)).collect();
    let of = |images: &[&Image], pcr: fn(&Image) -> &Pcr| list(images.iter().map(|i| pcr(i)).collect());
    let production: Vec<&Image> = images.iter().collect();
    let recover = |text: fn(&super::Recovery) -> String| recovery.as_ref().map(|r| Value::from(text(r)));
    BTreeMap::from([
        ("{{admins}}", Some(one_or_many(admins.iter().map(ToString::to_string)))),
        ("{{enclave_role}}", enclave_role.as_ref().map(|role| Value::from(role.as_str()))),
        ("{{deployment}}", deployment.as_deref().map(Value::from)),
        ("{{images.pcr0}}", of(&production, |image| &image.pcr0)),
        ("{{images.pcr1}}", of(&production, |image| &image.pcr1)),
        ("{{images.pcr2}}", of(&production, |image| &image.pcr2)),
        ("{{all.pcr0}}", of(&every, |image| &image.pcr0)),
        ("{{all.pcr1}}", of(&every, |image| &image.pcr1)),
        ("{{all.pcr2}}", of(&every, |image| &image.pcr2)),
        ("{{signers.pcr8}}", list(signers.iter().collect())),
        ("{{recovery.role}}", recover(|recovery| recovery.role.to_string())),
        ("{{recovery.pcr0}}", recover(|recovery| recovery.image.pcr0.to_string())),
        ("{{recovery.pcr1}}", recover(|recovery| recovery.image.pcr1.to_string())),
        ("{{recovery.pcr2}}", recover(|recovery| recovery.image.pcr2.to_string())),
        ("{{pins.pcr3}}", places(pins.instance_roles.iter().map(Arn::as_str).collect())),
        ("{{pins.pcr4}}", places(pins.instances.iter().map(String::as_str).collect())),
        ("{{pins.endpoints}}", pinned(pins.endpoints.clone())),
        (
            "{{recovery.region}}",
            recovery.as_ref().and_then(|recovery| recovery.replica_region.as_deref()).map(Value::from),
        ),
    ])
}

/// The same value twice says nothing more: images that differ in their application share a kernel.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

/// One value as itself, as people write it.
fn one_or_many(values: impl Iterator<Item = String>) -> Value {
    match distinct(values).as_slice() {
        [one] => Value::from(one.as_str()),
        many => Value::from(many),
    }
}

/// The statement for every image, so that registers of two images never add up to a third one.
fn for_each_image(
    statement: &Value,
    images: &[Image],
    known: &Placeholders,
) -> Result<Vec<Value>, RenderError> {
    let mut filled = Vec::new();
    for (number, image) in (1usize..).zip(images) {
        let mut statement = statement.clone();
        if images.len() > 1 {
            let sid = statement.get_mut("Sid").ok_or(RenderError::Template)?;
            *sid = Value::from(format!("{}{number}", sid.as_str().ok_or(RenderError::Template)?));
        }
        let mut known = known.clone();
        let pcrs = [image.pcr0, image.pcr1, image.pcr2];
        known
            .extend(EACH.into_iter().zip(pcrs).map(|(name, pcr)| (name, Some(Value::from(pcr.to_string())))));
        filled.extend(one(statement, &known)?);
    }
    Ok(filled)
}

/// One statement. With a condition on a value that was left out, nothing can match: what it would
/// allow is not there, and what it would except from a denial is denied.
fn one(mut statement: Value, known: &Placeholders) -> Result<Option<Value>, RenderError> {
    let left_out = |name: &str| known.get(name).is_some_and(Option::is_none);
    let condition = statement.get("Condition");
    if condition.is_some_and(|condition| known.keys().any(|name| left_out(name) && holds(condition, name))) {
        let members = statement.as_object_mut().ok_or(RenderError::Template)?;
        match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => return Ok(None),
            _ => drop(members.remove("Condition")),
        }
    }
    put(&mut statement, known)?;
    Ok(Some(statement))
}

/// Whether this placeholder is anywhere in the template's part.
fn holds(value: &Value, name: &str) -> bool {
    match value {
        Value::String(text) => text == name,
        Value::Array(items) => items.iter().any(|item| holds(item, name)),
        Value::Object(members) => members.values().any(|member| holds(member, name)),
        _ => false,
    }
}

fn put(value: &mut Value, known: &Placeholders) -> Result<(), RenderError> {
    match value {
        Value::String(text) if text.contains("{{") => {
            *value = known.get(text.as_str()).cloned().flatten().ok_or(RenderError::Template)?;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| put(item, known)),
        Value::Object(members) => members.iter_mut().try_for_each(|(_, member)| put(member, known)),
        _ => Ok(()),
    }
}
