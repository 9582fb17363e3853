//! The answer for people: the verdict, who can do what, then the findings, the worst first. Nothing is said
//! twice: people stand in the table, and findings name their rows.

use std::collections::BTreeSet;

use kms_policies::audit::{Finding, Place, Severity, Witness};

use super::{
    Answer,
    matrix::{COLUMNS, Matrix},
};
use crate::{
    output::{Paint, Sheet},
    shell::quoted,
};

/// More actions of one finding are counted.
const MOST_ACTIONS: usize = 6;

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
    let matrix = Matrix::of(&answer.report);
    table(&matrix, &mut sheet);
    let mut places: Vec<&Place> = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for finding in &answer.report.findings {
        show(finding, &matrix, &mut places, &mut told, &mut sheet);
    }
    sheet
}

/// Who can do what.
fn table(matrix: &Matrix, sheet: &mut Sheet) {
    if matrix.rows.is_empty() {
        return;
    }
    sheet.plain("");
    let columns: String = COLUMNS.iter().map(|column| format!("{column:<10}")).collect();
    sheet.line(Paint::Dim, &format!("      {columns}who"));
    for (at, (who, cells)) in matrix.rows.iter().enumerate() {
        let cells: String =
            cells.iter().map(|cell| format!("{:<10}", cell.map_or("-", |mark| mark.sign()))).collect();
        sheet.plain(format!("{:>5} {cells}{who}", format!("[{}]", at.saturating_add(1))));
    }
    if matrix.more > 0 {
        sheet.plain(format!("      and {} more", matrix.more));
    }
}

fn show<'a>(
    finding: &'a Finding,
    matrix: &Matrix,
    places: &mut Vec<&'a Place>,
    told: &mut BTreeSet<&'a str>,
    sheet: &mut Sheet,
) {
    let Finding { rule, severity, message, who, actions, places: own, witness } = finding;
    let paint = match severity {
        Severity::Critical | Severity::High => Paint::Bad,
        Severity::Medium => Paint::Warn,
        Severity::Low | Severity::Info => Paint::Plain,
    };
    // Findings of one statement stand together under it.
    if *places != own.iter().collect::<Vec<_>>() {
        sheet.plain("");
        *places = own.iter().collect();
        if !places.is_empty() {
            sheet.line(Paint::Dim, &places.iter().map(|one| place(one)).collect::<Vec<_>>().join("; "));
        }
    }
    let mut said = vec![format!("{severity}  {}  {}", rule.id, rule.title)];
    said.extend(numbers(who, matrix));
    said.extend(named(actions));
    sheet.line(paint, &said.join("  "));
    if message != rule.title {
        sheet.plain(format!("  {message}"));
    }
    // A request for each kind of plaintext, and for whoever changes who can.
    if let Some(witness) = witness.as_ref().filter(|_| *severity == Severity::Critical) {
        sheet.row("try", replay(witness));
    }
    if *severity >= Severity::Medium && told.insert(rule.remedy) {
        sheet.row("remedy", rule.remedy);
    }
    if *severity >= Severity::Medium && told.insert(rule.url) {
        sheet.row("source", rule.url);
    }
}

/// Some actions by name.
fn named(actions: &[String]) -> Option<String> {
    let (first, rest) = actions.split_at(actions.len().min(MOST_ACTIONS));
    match (first, rest) {
        ([], _) => None,
        (first, []) => Some(first.join(", ")),
        (first, rest) => Some(format!("{} and {} more", first.join(", "), rest.len())),
    }
}

/// The rows of who is in a finding; whoever has none is named.
fn numbers(who: &[String], matrix: &Matrix) -> Option<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut unnamed = 0usize;
    for one in who {
        match matrix.number(one) {
            Some(number) => rows.push(format!("[{number}]")),
            None if matrix.more == 0 => {}
            None => unnamed = unnamed.saturating_add(1),
        }
    }
    rows.extend((unnamed > 0).then(|| format!("and {unnamed} more")));
    (!rows.is_empty()).then(|| rows.join(" "))
}

/// `key policy, Sid (line 3, column 5)`
pub(super) fn place(place: &Place) -> String {
    let Place { document, statement, at } = place;
    match (at, statement.as_str()) {
        (Some(at), statement) => format!("{document}, {statement} ({at})"),
        (None, "") => document.clone(),
        (None, statement) => format!("{document}, {statement}"),
    }
}

/// The request, as one would try it.
fn replay(witness: &Witness) -> String {
    let Witness { caller, action, resource, context, .. } = witness;
    let mut words = vec![format!(
        "cofferdam kms decide … --key {} --caller {} --action {}",
        quoted(resource),
        quoted(caller),
        quoted(action)
    )];
    for (key, values) in context {
        words.extend(values.iter().map(|value| format!("--with {}", quoted(&format!("{key}={value}")))));
    }
    words.join(" ")
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
