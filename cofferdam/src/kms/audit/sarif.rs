//! The answer for code scanners: SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").

use std::path::Path;

use data_encoding::HEXLOWER;
use kms_policies::audit::{
    Finding, Place, Severity,
    catalog::{self, Rule},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Answer, text};
use crate::input::STDIN;

pub(super) fn value(answer: &Answer) -> Value {
    let rules: Vec<Value> = catalog::ALL.iter().map(|rule| descriptor(rule)).collect();
    let results: Vec<Value> = answer.report.findings.iter().map(|finding| result(answer, finding)).collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "cofferdam kms audit",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn descriptor(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": format!("{} Source: {}.", rule.remedy, rule.source)},
        "helpUri": rule.url,
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {"security-severity": score(rule.severity), "tags": ["security"]},
    })
}

/// What is only to be known is no failure, and SARIF §3.27.10 gives it no level.
const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
        Severity::Info => "none",
    }
}

/// In the ranges that code scanners show as critical, high, medium and low.
const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

fn result(answer: &Answer, finding: &Finding) -> Value {
    let Finding { rule, severity, message, who, actions, places, witness } = finding;
    let index = catalog::ALL.iter().position(|known| known.id == rule.id);
    let locations = |places: &[Place]| places.iter().map(|place| location(answer, place)).collect::<Vec<_>>();
    let (first, rest) = places.split_at(places.len().min(1));
    let mut said = vec![format!("{}: {message}", rule.title)];
    if let Some(witness) = witness {
        said.push("A request that is allowed:".to_owned());
        said.extend(text::request_lines(witness));
    }
    let mut result = json!({
        "ruleId": rule.id,
        "kind": if *severity == Severity::Info { "informational" } else { "fail" },
        "level": level(*severity),
        "message": {"text": said.join("\n")},
        "locations": locations(first),
        "relatedLocations": locations(rest),
        "partialFingerprints": {"kmsAudit/v1": fingerprint(finding)},
        "properties": {"severity": severity, "who": who, "actions": actions, "witness": witness},
    });
    if let (Some(index), Some(members)) = (index, result.as_object_mut()) {
        members.insert("ruleIndex".to_owned(), index.into());
    }
    result
}

/// The same for the same finding after lines have moved.
fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    let places = finding.places.iter().flat_map(|place| [&place.document, &place.statement]);
    let texts = places.chain(&finding.who).chain(&finding.actions).map(String::as_str);
    for text in [finding.rule.id, &finding.message].into_iter().chain(texts) {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    HEXLOWER.encode(&hash.finalize())
}

fn location(answer: &Answer, place: &Place) -> Value {
    let Place { document, statement, at } = place;
    let mut location = json!({
        "logicalLocations": [{
            "name": statement,
            "fullyQualifiedName": format!("{document}/{statement}"),
            "kind": "statement",
        }],
    });
    let Some(file) = answer.files.get(document) else { return location };
    let mut physical = json!({"artifactLocation": {"uri": uri(&file.path)}});
    if let (Some(at), true, Some(members)) = (at, file.in_place, physical.as_object_mut()) {
        let region = json!({"startLine": at.line, "startColumn": at.column});
        members.insert("region".to_owned(), region);
    }
    if let Some(members) = location.as_object_mut() {
        members.insert("physicalLocation".to_owned(), physical);
    }
    location
}

/// A relative reference, or a file URI. Source: RFC 3986.
fn uri(path: &Path) -> String {
    if path.as_os_str() == STDIN {
        return "stdin".to_owned();
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/');
    let encoded: String = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| if plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if encoded.starts_with('/') { format!("file://{encoded}") } else { encoded }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_uri_whatever_it_holds() {
        assert_eq!(uri(Path::new("a b/ü?#.json")), "a%20b/%C3%BC%3F%23.json");
        assert_eq!(uri(Path::new("/tmp/x:y")), "file:///tmp/x%3Ay");
        assert_eq!(uri(Path::new("-")), "stdin");
    }
}
