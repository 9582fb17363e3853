//! One section of the page: verdict, what was checked, findings, evidence, and how to see the same by
//! hand.

use super::{
    badge,
    escape::{code, text},
};
use crate::audit::report::{Fact, Finding, Repeat, Section, Severity, Table};

/// Rows that a table shows before it is folded.
const FOLDED: usize = 12;

/// The section.
pub(super) fn section(section: &Section) -> String {
    let id = section.id.name();
    let (class, _) = super::look(section.verdict);
    let why = section.why.as_deref().map_or(String::new(), |why| {
        let label = if section.asked { "Why" } else { "Not asked" };
        format!("<p class=\"why\"><strong>{label}:</strong> <bdi>{}</bdi></p>\n", text(why))
    });
    let tables: String = section.tables.iter().map(table).collect();
    format!(
        "<section class=\"check {class}\" id=\"{id}\" aria-labelledby=\"{id}-title\">\n\
         <div class=\"head\"><h2 id=\"{id}-title\">{}</h2>{}</div>\n<p class=\"lead\">{}</p>\n{why}\
         <div class=\"pair\">\n<div><h3>What was checked</h3>\n<p>{}</p></div>\n\
         <div><h3>What it does not show</h3>\n<p>{}</p></div>\n</div>\n{}{}{tables}{}</section>\n",
        section.title,
        badge(section),
        section.question,
        section.checked,
        marked(section.limits),
        findings(&section.findings),
        evidence(&section.evidence),
        repeat(&section.repeat),
    )
}

/// This program's own words, in which commands stand between backticks.
fn marked(words: &str) -> String {
    let parts = words.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { code(part) } else { text(part) }).collect()
}

/// How bad, in a word and a colour.
pub(super) fn severity(severity: Severity) -> String {
    let class = match severity {
        Severity::Critical | Severity::High => "failed",
        Severity::Medium => "open",
        Severity::Low | Severity::Info => "quiet",
    };
    format!("<span class=\"badge {class}\">{}</span>", severity.text())
}

fn findings(findings: &[Finding]) -> String {
    let row = |(name, value): (&str, &str)| {
        let value = text(value);
        if value.is_empty() {
            String::new()
        } else {
            format!("<div><dt>{name}</dt><dd><bdi>{value}</bdi></dd></div>\n")
        }
    };
    let one = |finding: &Finding| {
        let rows: String = [
            ("Where", finding.statement.as_str()),
            ("Seen", &finding.detail),
            ("What to do", &finding.remedy),
            ("Source", &finding.source),
        ]
        .map(row)
        .concat();
        format!(
            "<li>\n<p class=\"title\">{} {} {}</p>\n<dl>\n{rows}</dl>\n</li>\n",
            severity(finding.severity),
            text(&finding.title),
            code(&finding.id)
        )
    };
    if findings.is_empty() {
        return String::new();
    }
    let list: String = findings.iter().map(one).collect();
    format!("<h3>Findings</h3>\n<ul class=\"findings\">\n{list}</ul>\n")
}

fn evidence(facts: &[Fact]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let row = |fact: &Fact| {
        let value = if fact.exact { code(&fact.value) } else { format!("<bdi>{}</bdi>", text(&fact.value)) };
        format!("<div><dt>{}</dt><dd>{value}</dd></div>\n", text(fact.name))
    };
    let rows: String = facts.iter().map(row).collect();
    format!("<h3>Evidence</h3>\n<dl class=\"evidence\">\n{rows}</dl>\n")
}

fn table(table: &Table) -> String {
    if table.rows.is_empty() {
        return String::new();
    }
    let head: String =
        table.columns.iter().map(|name| format!("<th scope=\"col\">{}</th>", text(name))).collect();
    let cell = |(at, value): (usize, &String)| {
        let name = table.columns.get(at).copied().unwrap_or_default();
        match at {
            0 => format!("<th scope=\"row\">{}</th>", word(value)),
            _ => format!("<td data-name=\"{}\">{}</td>", text(name), word(value)),
        }
    };
    let row =
        |row: &Vec<String>| format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>());
    let rows: String = table.rows.iter().map(row).collect();
    let caption = text(&table.caption);
    let body = format!("<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n");
    if table.rows.len() > FOLDED {
        let count = table.rows.len();
        return format!(
            "<details>\n<summary>{caption}: {count} rows</summary>\n<div class=\"wide\">\n<table class=\"data\">\n{body}</details>\n"
        );
    }
    format!("<div class=\"wide\">\n<table class=\"data\">\n<caption>{caption}</caption>\n{body}")
}

/// A cell: decisions get a mark, what is long or has digits is copied.
fn word(value: &str) -> String {
    match value {
        "allowed" => "<span class=\"yes\">● allowed</span>".to_owned(),
        "allowed, wrongly" => "<span class=\"bad\">✗ allowed</span>".to_owned(),
        "refused" => "<span class=\"no\">○ refused</span>".to_owned(),
        "held" => "<span class=\"no\">✓ held</span>".to_owned(),
        "did not hold" => "<span class=\"bad\">✗ did not hold</span>".to_owned(),
        value if value.len() > 24 && !value.contains(' ') => code(value),
        value => format!("<bdi>{}</bdi>", text(value)),
    }
}

fn repeat(list: &[Repeat]) -> String {
    if list.is_empty() {
        return String::new();
    }
    let one = |repeat: &Repeat| {
        format!("<p>{}</p>\n<pre><code>{}</code></pre>\n", text(repeat.what), lines(&repeat.command))
    };
    let all: String = list.iter().map(one).collect();
    format!("<div class=\"repeat\">\n<h3>See it yourself</h3>\n{all}</div>\n")
}

/// Lines stay lines; everything else is made visible.
fn lines(command: &str) -> String {
    command.lines().map(text).collect::<Vec<_>>().join("\n")
}
