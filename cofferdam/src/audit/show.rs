//! The report on a screen.

use super::report::{Overall, Report, Section, Severity, Verdict};
use crate::{
    output::{Paint, Sheet, Show},
    visible::visible,
};

/// Rows of a table that a screen shows; the page and JSON have all.
const ROWS: usize = 12;

impl Show for Report {
    fn show(&self, sheet: &mut Sheet) {
        for section in &self.sections {
            section.show(sheet);
        }
        if !self.inputs.is_empty() {
            sheet.plain("what was read, by SHA-256");
            for input in &self.inputs {
                sheet.plain(format!("  {} {}", input.sha256, visible(&input.path.display().to_string())));
            }
            sheet.plain("");
        }
        let about = &self.about;
        if let Some(root) = self.about.root.as_ref().filter(|root| !root.aws) {
            sheet.warn(format!("trust begins at {} ({}), not at AWS's root", root.name, root.sha256));
        }
        sheet.note(format!("{} {}, {} to {}", about.program, about.version, about.began, about.ended));
        match self.verdict {
            Overall::Held => sheet.good(&self.summary),
            Overall::NotHeld => sheet.bad(&self.summary),
            Overall::Incomplete => sheet.warn(&self.summary),
        }
    }
}

impl Section {
    fn show(&self, sheet: &mut Sheet) {
        let line = format!("{}: {}", self.title, self.answer().to_lowercase());
        match self.verdict {
            Verdict::Held => sheet.good(line),
            Verdict::NotHeld => sheet.bad(line),
            Verdict::NotLookedAt => sheet.warn(line),
        }
        sheet.note(self.question);
        if let Some(why) = &self.why {
            sheet.plain(format!("  {}", visible(why)));
        }
        for finding in &self.findings {
            let paint = match finding.severity {
                Severity::Info | Severity::Low => Paint::Plain,
                Severity::Medium => Paint::Warn,
                Severity::High | Severity::Critical => Paint::Bad,
            };
            let statement = visible(&finding.statement);
            sheet.line(paint, &format!("  {} [{}] {}", finding.severity.text(), finding.id, finding.title));
            if !statement.is_empty() {
                sheet.plain(format!("    {statement}"));
            }
            sheet.plain(format!("    {}", visible(&finding.detail)));
            sheet.note(format!("  {}", finding.remedy));
        }
        for fact in &self.evidence {
            sheet.row(fact.name, visible(&fact.value));
        }
        for table in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            sheet.note(format!("{}:", table.caption));
            sheet.note(format!("  {}", table.columns.join(" | ")));
            for row in table.rows.iter().take(ROWS) {
                sheet.plain(format!("    {}", visible(&row.join(" | "))));
            }
            if table.rows.len() > ROWS {
                sheet.note(format!("  and {} more", table.rows.len() - ROWS));
            }
        }
        for repeat in &self.repeat {
            sheet.note(format!("{}:", repeat.what));
            for line in repeat.command.lines() {
                sheet.plain(format!("    {}", visible(line)));
            }
        }
        sheet.plain("");
    }
}
