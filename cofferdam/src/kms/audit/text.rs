//! The answer for people: the verdict, then the findings, the worst first.

use kms_policies::audit::{Finding, Place, Severity, Witness};

use super::Answer;
use crate::output::{Paint, Sheet};

pub(super) fn verdict(answer: &Answer, sheet: &mut Sheet) {
    if answer.passed() {
        sheet.good(answer.verdict());
    } else {
        sheet.bad(answer.verdict());
    }
}

pub(super) fn sheet(answer: &Answer) -> Sheet {
    let mut sheet = Sheet::default();
    verdict(answer, &mut sheet);
    for finding in &answer.report.findings {
        show(finding, &mut sheet);
    }
    sheet
}

fn show(finding: &Finding, sheet: &mut Sheet) {
    let Finding { rule, severity, message, who, actions, places, witness } = finding;
    let paint = match severity {
        Severity::Critical | Severity::High => Paint::Bad,
        Severity::Medium => Paint::Warn,
        Severity::Low | Severity::Info => Paint::Plain,
    };
    sheet.plain("");
    sheet.line(paint, &format!("{severity}  {}  {}", rule.id, rule.title));
    sheet.plain(format!("  {message}"));
    rows("who", who, sheet);
    if !actions.is_empty() {
        sheet.row("actions", actions.join(", "));
    }
    rows("statement", &places.iter().map(place).collect::<Vec<_>>(), sheet);
    if let Some(witness) = witness {
        request(witness, sheet);
    }
    if *severity > Severity::Info {
        sheet.row("remedy", rule.remedy);
    }
    sheet.row("source", rule.source);
    sheet.row("", rule.url);
}

/// `key policy, Sid (line 3, column 5)`
pub(super) fn place(place: &Place) -> String {
    let Place { document, statement, at } = place;
    match at {
        Some(at) => format!("{document}, {statement} ({at})"),
        None => format!("{document}, {statement}"),
    }
}

fn rows(name: &str, values: &[String], sheet: &mut Sheet) {
    for (at, value) in values.iter().enumerate() {
        sheet.row(if at == 0 { name } else { "" }, value);
    }
}

/// What an aws command would be given.
fn request(witness: &Witness, sheet: &mut Sheet) {
    rows("request", &request_lines(witness), sheet);
}

pub(super) fn request_lines(witness: &Witness) -> Vec<String> {
    let Witness { caller, action, resource, attestation, context, needs_iam } = witness;
    let mut lines = vec![
        format!("caller       {caller}"),
        format!("action       {action}"),
        format!("key          {resource}"),
        format!("attestation  {attestation}"),
    ];
    for (key, values) in context {
        lines.push(format!("with         {key} = {}", values.join(", ")));
    }
    if *needs_iam {
        lines.push("and          an IAM policy of the caller's account allows it".to_owned());
    }
    lines
}
