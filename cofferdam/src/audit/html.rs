//! The report as a page: one file that loads nothing and runs nothing, for a screen, a phone and
//! paper, by daylight and at night. Everything in it goes through [`escape::text`].

mod escape;
mod figure;
mod section;

use super::{
    report::{Finding, Overall, Report, Section, SectionId, Verdict},
    words::moment_of,
};
use escape::{code, text};

const STYLE: &str = include_str!("html/style.css");
/// Nothing is fetched, nothing is run: also not by what somebody might have smuggled in.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Writes the page.
pub(super) fn page(report: &Report) -> String {
    let name = report.about.deployment.as_deref().unwrap_or("an enclave");
    let (title, name) = (text(&format!("Audit of {name}: {}", headline(report.verdict))), text(name));
    let sections: String = report.sections.iter().map(section::section).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<p class=\"over\">Audit report</p>\n<h1>Custody of <bdi>{name}</bdi></h1>\n{}{}</header>\n\
         <main>\n{}{}{}{sections}{}</main>\n{}</body>\n</html>\n",
        verdict(report),
        about(report),
        glance(report),
        chain(report),
        findings(report),
        inputs(report),
        footer(report),
    )
}

/// In a word or two.
const fn headline(overall: Overall) -> &'static str {
    match overall {
        Overall::Held => "everything held",
        Overall::NotHeld => "something did not hold",
        Overall::Incomplete => "not everything is known",
    }
}

/// How a verdict looks: its class and its mark, so that colour is never alone.
const fn look(verdict: Verdict) -> (&'static str, &'static str) {
    match verdict {
        Verdict::Held => ("held", "✓"),
        Verdict::NotHeld => ("failed", "✗"),
        Verdict::NotLookedAt => ("open", "–"),
    }
}

/// The verdict of a section, as a badge.
fn badge(section: &Section) -> String {
    let (class, mark) = look(section.verdict);
    format!(
        "<span class=\"badge {class}\"><span aria-hidden=\"true\">{mark}</span> {}</span>",
        section.answer()
    )
}

/// What a member of the board reads.
fn verdict(report: &Report) -> String {
    let (class, mark, meaning) = match report.verdict {
        Overall::Held => (
            "held",
            "✓",
            "What was asked could be shown, without believing the operator: by signatures, by measurements made \
             here, and by deciding who may do what. What each check does not show stands beside it.",
        ),
        Overall::NotHeld => (
            "failed",
            "✗",
            "At least one statement could not be shown to be true. Until it is explained, do not rely on what \
             depends on it. The findings below say what was seen and what to do.",
        ),
        Overall::Incomplete => (
            "open",
            "–",
            "Nothing that was checked failed. But not everything was checked, and what was not may be right or \
             wrong. What is missing stands with each section.",
        ),
    };
    let mut word = headline(report.verdict).to_owned();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    format!(
        "<div class=\"verdict {class}\">\n<p class=\"mark\" aria-hidden=\"true\">{mark}</p>\n<div>\n\
         <p class=\"word\">{word}</p>\n<p class=\"sum\">{}</p>\n<p>{meaning}</p>\n</div>\n</div>\n",
        text(&report.summary)
    )
}

/// Who, when, of what.
fn about(report: &Report) -> String {
    let about = &report.about;
    let mut rows = vec![
        ("Made by", format!("{} {}", text(about.program), text(about.version))),
        ("Began", text(&moment_of(&about.began))),
        ("Ended", text(&moment_of(&about.ended))),
        ("Asked", about.url.as_deref().map_or("no running enclave".to_owned(), code)),
    ];
    if let Some(root) = &about.root {
        rows.push(("Trust begins at", format!("{} {}", text(root.name), code(&root.sha256))));
    }
    let rows: String =
        rows.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")).collect();
    let warning = match &about.root {
        Some(root) if !root.aws => {
            "<p class=\"note\"><strong>This is not AWS's root certificate.</strong> It shows what a stand-in for \
             the hardware vouches for, as on a laptop; nothing of it holds for an enclave in production.</p>\n"
        }
        _ => "",
    };
    format!("<dl class=\"about\">\n{rows}</dl>\n{warning}")
}

/// Each question and its answer, in one table.
fn glance(report: &Report) -> String {
    let row = |section: &Section| {
        format!(
            "<tr><th scope=\"row\"><a href=\"#{}\">{}</a></th><td>{}</td><td>{}</td></tr>\n",
            section.id.name(),
            section.title,
            section.question,
            badge(section)
        )
    };
    let rows: String = report.sections.iter().map(row).collect();
    format!(
        "<section aria-labelledby=\"at-a-glance\">\n<h2 id=\"at-a-glance\">At a glance</h2>\n\
         <table class=\"glance\">\n<thead><tr><th scope=\"col\">Check</th><th scope=\"col\">Question</th>\
         <th scope=\"col\">Answer</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</section>\n"
    )
}

/// How one thing vouches for the next.
fn chain(report: &Report) -> String {
    format!(
        "<section aria-labelledby=\"chain\">\n<h2 id=\"chain\">The chain of trust</h2>\n<figure>\n{}\
         <figcaption>The hardware's root certificate vouches for the program, the program's key for addresses and \
         log. KMS unlocks the deposit keys for that program alone. Each box says whether its link was \
         shown.</figcaption>\n</figure>\n</section>\n",
        figure::figures(report)
    )
}

/// Everything that was found, the worst first.
fn findings(report: &Report) -> String {
    let mut all: Vec<(SectionId, &Finding)> = report
        .sections
        .iter()
        .flat_map(|section| section.findings.iter().map(|finding| (section.id, finding)))
        .collect();
    all.sort_by_key(|(section, finding)| (std::cmp::Reverse(finding.severity), *section));
    let row = |(section, finding): &(SectionId, &Finding)| {
        format!(
            "<tr><td>{}</td><td><a href=\"#{}\">{}</a></td><td><bdi>{}</bdi></td></tr>\n",
            section::severity(finding.severity),
            section.name(),
            text(&finding.title),
            text(&finding.statement)
        )
    };
    let body = if all.is_empty() {
        "<p>None.</p>\n".to_owned()
    } else {
        let rows: String = all.iter().map(row).collect();
        format!(
            "<table>\n<thead><tr><th scope=\"col\">Severity</th><th scope=\"col\">What</th>\
             <th scope=\"col\">Where</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
        )
    };
    format!("<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">Findings</h2>\n{body}</section>\n")
}

/// What the report was made from.
fn inputs(report: &Report) -> String {
    let row = |input: &super::report::Input| {
        let size = match input.files {
            Some(files) => format!("{} bytes in {files} files", input.bytes),
            None => format!("{} bytes", input.bytes),
        };
        format!(
            "<tr><th scope=\"row\">{}</th><td>{}<br>{size}</td><td>{}</td></tr>\n",
            code(input.option),
            code(&input.path.display().to_string()),
            code(&input.sha256)
        )
    };
    let rows: String = report.inputs.iter().map(row).collect();
    let body = if rows.is_empty() {
        "<p>No file.</p>\n".to_owned()
    } else {
        format!(
            "<table class=\"inputs\">\n<thead><tr><th scope=\"col\">Option</th><th scope=\"col\">File or folder</th>\
             <th scope=\"col\">SHA-256</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
             <p class=\"small\">A folder's is that of what <code>find . -type f -not -path '*/.*' | LC_ALL=C sort | \
             xargs -d '\\n' sha256sum</code> prints in it.</p>\n"
        )
    };
    format!("<section aria-labelledby=\"inputs\">\n<h2 id=\"inputs\">What was read</h2>\n{body}</section>\n")
}

fn footer(report: &Report) -> String {
    format!(
        "<footer>\n<p>Made by <code>cofferdam audit</code> {}. This page loads nothing and runs no script. It is a \
         record of what one run saw: whoever must be sure runs the commands himself.</p>\n</footer>\n",
        text(report.about.version)
    )
}

#[cfg(test)]
mod tests;
