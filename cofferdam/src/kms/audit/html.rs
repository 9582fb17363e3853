//! The answer as one page that needs nothing else: no script, no address is fetched, and whatever
//! comes from the policies is text.

use std::fmt::Write;

use data_encoding::BASE64;
use kms_policies::audit::{Finding, Severity};
use sha2::{Digest, Sha256};

use super::{
    Answer,
    matrix::{COLUMNS, Matrix},
    text,
};
use crate::output::plain;

const STYLE: &str = include_str!("page.css");

pub(super) fn page(answer: &Answer) -> String {
    let style = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
    let mut page = String::new();
    let mut put = |text: &str| page.push_str(text);
    put("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    put(&format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{style}'; \
         base-uri 'none'; form-action 'none'\">\n"
    ));
    put("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    put("<meta name=\"referrer\" content=\"no-referrer\">\n<title>KMS key policy audit</title>\n");
    put(&format!("<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>KMS key policy audit</h1>\n"));
    let class = if answer.passed() { "good" } else { "bad" };
    put(&format!("<p class=\"verdict {class}\">{}</p>\n", escaped(&answer.verdict())));
    put(&table(&Matrix::of(&answer.report)));
    put("<table class=\"files\">\n<caption>Documents</caption>\n");
    for (name, file) in &answer.files {
        let path = escaped(&file.path.display().to_string());
        put(&format!("<tr><th scope=\"row\">{}</th><td>{path}</td></tr>\n", escaped(name)));
    }
    put("</table>\n");
    for finding in &answer.report.findings {
        put(&section(finding));
    }
    put("</main>\n</body>\n</html>\n");
    page
}

/// Who can do what.
fn table(matrix: &Matrix) -> String {
    let mut text = String::from(
        "<table class=\"who\">\n<caption>Who can do what</caption>\n<tr><th scope=\"col\">Who</th>",
    );
    for column in COLUMNS {
        let _ = write!(text, "<th scope=\"col\">{column}</th>");
    }
    text.push_str("</tr>\n");
    for (who, cells) in &matrix.rows {
        let _ = write!(text, "<tr><th scope=\"row\">{}</th>", escaped(who));
        for cell in cells {
            let _ = write!(text, "<td>{}</td>", cell.map_or("", |mark| mark.sign()));
        }
        text.push_str("</tr>\n");
    }
    if matrix.more > 0 {
        let _ = writeln!(text, "<tr><td colspan=\"7\">and {} more</td></tr>", matrix.more);
    }
    text.push_str("</table>\n");
    text
}

fn section(finding: &Finding) -> String {
    let Finding { rule, severity, message, who, actions, places, witness } = finding;
    let mut text = String::new();
    let title = escaped(rule.title);
    let _ = writeln!(text, "<section class=\"{severity}\">");
    let _ = writeln!(text, "<h2><span class=\"severity\">{severity}</span> {title}</h2>");
    let _ = writeln!(text, "<p class=\"id\"><code>{}</code></p>", escaped(rule.id));
    let _ = writeln!(text, "<p>{}</p>\n<p>{}</p>\n<dl>", escaped(message), escaped(rule.meaning));
    row(&mut text, "Who", who);
    row(&mut text, "Actions", actions);
    row(&mut text, "Statement", &places.iter().map(text::place).collect::<Vec<_>>());
    if *severity > Severity::Info {
        row(&mut text, "Remedy", &[rule.remedy.to_owned()]);
    }
    text.push_str("</dl>\n");
    if let Some(witness) = witness {
        let lines = escaped_lines(&text::request_lines(witness));
        let _ = writeln!(text, "<h3>A request that is allowed</h3>\n<pre>{lines}</pre>");
    }
    let (url, source) = (escaped(rule.url), escaped(rule.source));
    let _ = writeln!(text, "<p class=\"source\">Source: <a href=\"{url}\">{source}</a></p>\n</section>");
    text
}

fn row(text: &mut String, name: &str, values: &[String]) {
    if values.is_empty() {
        return;
    }
    let _ = write!(text, "<dt>{name}</dt>");
    for value in values {
        let _ = write!(text, "<dd>{}</dd>", escaped(value));
    }
    text.push('\n');
}

fn escaped_lines(lines: &[String]) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n")
}

/// Text that is nothing but text, in an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in plain(text).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(escaped("<script>&\"'\u{1b}[2J\n"), "&lt;script&gt;&amp;&quot;&#39;\u{fffd}[2J\u{fffd}");
    }
}
