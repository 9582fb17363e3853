use super::*;
use crate::audit::report::{About, Fact, Input, Repeat, Severity, Table, tests::section};

const HOSTILE: &str = "</title><script>document.title='x'</script><img src=x onerror=alert(1)>\u{202e}\"'&\0";

/// A report in which every text that can come from outside is hostile.
fn hostile() -> Report {
    let text = || HOSTILE.to_owned();
    let mut sections: Vec<Section> =
        SectionId::ALL.into_iter().map(|id| section(id, Verdict::NotHeld)).collect();
    for section in &mut sections {
        section.why = Some(text());
        section.evidence.push(Fact { name: "Version", value: text(), exact: false });
        section.evidence.push(Fact { name: "PCR0", value: text(), exact: true });
        section.repeat.push(Repeat { what: "Repeat", command: text() });
        section.tables.push(Table {
            caption: text(),
            columns: vec!["A", "B"],
            rows: vec![vec![text(), text()]; 20],
        });
        section.findings.push(Finding {
            id: text(),
            severity: Severity::Critical,
            title: text(),
            statement: text(),
            detail: text(),
            remedy: text(),
            source: text(),
        });
    }
    let about = About {
        program: "cofferdam",
        version: "0",
        began: text(),
        ended: text(),
        deployment: Some(text()),
        url: Some(text()),
        root: None,
    };
    let input = Input { option: "--log", path: text().into(), bytes: 1, sha256: text(), files: Some(2) };
    Report::new(about, sections, vec![input])
}

#[test]
fn nothing_from_outside_becomes_markup() {
    let page = page(&hostile());
    for markup in ["<script", "<img", "onerror=alert(1)>", "\u{202e}", "\0", "x</title"] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert_eq!(page.matches("<title>").count(), 1);
    assert!(page.contains("&lt;script&gt;document.title=&#39;x&#39;") && page.contains("[U+202E]"));
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let page = page(&hostile());
    assert!(page.contains(&format!("content=\"{POLICY}\"")));
    for word in
        ["http://", "https://", "url(", "@import", "<link", "<script", "<iframe", " style=", "javascript:"]
    {
        let found = page.matches(word).count();
        // Only the arrows' own tips, in the same file.
        let allowed = if word == "url(" { page.matches("url(#tip-").count() } else { 0 };
        assert_eq!(found, allowed, "{word}");
    }
}

#[test]
fn every_section_is_on_the_page_also_one_that_was_left_out() {
    let mut sections: Vec<Section> =
        SectionId::ALL.into_iter().map(|id| section(id, Verdict::Held)).collect();
    sections[2] = Section { asked: false, ..section(SectionId::Policy, Verdict::NotLookedAt) };
    let about = hostile().about;
    let report = Report::new(about, sections, Vec::new());
    let page = page(&report);
    for id in SectionId::ALL {
        assert_eq!(page.matches(&format!(" id=\"{}\"", id.name())).count(), 1, "{}", id.name());
    }
    assert!(page.contains("Left out") && page.contains("1 check was left out on purpose"));
    assert!(page.contains("<p class=\"word\">Everything held</p>"));
}
