//! The page of `cofferdam audit`, in a browser and before a validator that nobody here wrote: it is
//! valid, runs nothing, loads nothing, fits a phone, is readable by night and on paper.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{fs, path::Path, process::Command};

use cofferdam_tests::{
    audited::{Audited, SECTIONS},
    browser::{Browser, View},
    tools::node_tool,
};
use serde_json::{Value, json};

const DESKTOP: View = View { width: 1280, height: 7000, dark: false };
const NIGHT: View = View { dark: true, ..DESKTOP };
const PHONE: View = View { width: 360, height: 12000, dark: false };
/// What somebody who writes a policy may write as a statement's name.
const HOSTILE: &str =
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\u{202e}gnp";

/// What is asked of every page, in every view.
const QUESTIONS: &str = "\
    const box = doc.documentElement; \
    const lum = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(v => { v /= 255; \
        return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; }; \
    const back = e => { for (; e; e = e.parentElement) { const c = win.getComputedStyle(e).backgroundColor; \
        if (c !== 'rgba(0, 0, 0, 0)') return c; } return 'rgb(255, 255, 255)'; }; \
    let worst = 21, where = ''; \
    for (const e of doc.querySelectorAll('p,td,th,dt,dd,code,span,a,h1,h2,h3,caption,summary,figcaption')) { \
        if (!e.textContent.trim() || !e.getClientRects().length) continue; \
        const [a, b] = [lum(win.getComputedStyle(e).color), lum(back(e))].sort((x, y) => y - x); \
        const ratio = (a + 0.05) / (b + 0.05); if (ratio < worst) { worst = ratio; where = e.outerHTML.slice(0, 120); } } \
    const past = [...doc.querySelectorAll('body *')].filter(e => e.getClientRects().length && \
        !e.closest('svg') && e.tagName !== 'THEAD' && !e.closest('thead') && \
        e.getBoundingClientRect().right > box.clientWidth + 1).map(e => e.outerHTML.slice(0, 120)); \
    return { title: doc.title, sections: [...doc.querySelectorAll('section.check')].map(e => e.id), \
        badges: [...doc.querySelectorAll('section.check > .head .badge')].map(e => e.textContent.trim()), \
        scripts: doc.querySelectorAll('script,img,iframe,object,embed,link').length, \
        handlers: [...doc.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on|^style$/.test(a.name))).length, \
        width: box.clientWidth, scroll: box.scrollWidth, height: box.scrollHeight, past, worst, where, \
        headings: [...doc.querySelectorAll('h1,h2,h3')].map(e => Number(e.tagName[1])), \
        headless: [...doc.querySelectorAll('table')].filter(t => !t.querySelector('thead th[scope=col]')).length, \
        unnamed: [...doc.querySelectorAll('svg')].filter(s => s.getAttribute('role') !== 'img' || !s.querySelector('title')).length, \
        ids: doc.querySelectorAll('[id]').length - new Set([...doc.querySelectorAll('[id]')].map(e => e.id)).size, \
        drawings: [...doc.querySelectorAll('svg')].filter(s => s.getClientRects().length).length, \
        text: doc.body.innerText, background: win.getComputedStyle(doc.body).backgroundColor };";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_a_page_that_people_read_and_that_nobody_can_turn_against_them() {
    let audited = Audited::new().await;
    let held = page(&audited, &[], 0);
    let broken = page(&audited, &hostile(&audited), 1);
    let browser = Browser::default();
    keep(&browser, "held", &held);
    keep(&browser, "broken", &broken);
    for page in [&held, &broken] {
        for view in [DESKTOP, NIGHT, PHONE] {
            reads_well(&browser, page, view);
        }
        is_seen(&browser, page);
        is_printed(&browser, page);
        is_valid(page);
    }
    runs_nothing(&browser, &broken);
}

fn page(audited: &Audited, changes: &[(&str, &str)], code: i32) -> String {
    let audit = audited.audit(changes);
    assert_eq!(audit.code, code, "{audit:?}");
    audited.text("report.html")
}

/// A key policy and a bucket policy whose statements have names that are markup, a log whose file is
/// one, and sections that are missing or left out.
fn hostile(audited: &Audited) -> Vec<(&'static str, &'static str)> {
    let hole =
        json!({"Sid": HOSTILE, "Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [hole]});
    audited.write("hostile.json", policy.to_string());
    let bucket = json!({"Sid": HOSTILE, "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::store/*"});
    audited.write("hostile-bucket.json", json!({"Statement": [bucket]}).to_string());
    let name = "<img src=x onerror=alert(1)>.jsonl";
    audited.write(name, audited.text("addresses.jsonl").replacen("\"user-1\"", "\"mallory\"", 3));
    vec![
        ("--key-policy", "hostile.json"),
        ("--bucket-policy", "hostile-bucket.json"),
        ("--addresses", name),
        ("--sample", "48"),
        ("--policy", "-"),
        ("--skip", "image"),
    ]
}

fn reads_well(browser: &Browser, page: &str, view: View) {
    let found = browser.ask(page, view, QUESTIONS);
    assert_eq!(found["sections"], json!(SECTIONS));
    assert_eq!(found["badges"].as_array().unwrap().len(), SECTIONS.len());
    assert!(found["title"].as_str().unwrap().starts_with("Audit of laptop: "), "{}", found["title"]);
    for nothing in ["scripts", "handlers", "headless", "unnamed", "ids"] {
        assert_eq!(found[nothing], 0, "{nothing}, {view:?}");
    }
    // Nothing reaches over the edge.
    assert_eq!((&found["scroll"], &found["past"]), (&found["width"], &json!([])), "{view:?}");
    assert_eq!(found["width"], view.width);
    // WCAG 2.2, 1.4.3: 4.5 to 1.
    assert!(found["worst"].as_f64().unwrap() >= 4.5, "{view:?}: {} of {}", found["worst"], found["where"]);
    // One first heading, and none that skips a level.
    let levels: Vec<u64> =
        found["headings"].as_array().unwrap().iter().map(|level| level.as_u64().unwrap()).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    assert_eq!(found["drawings"], 1, "one of the two drawings");
    let dark = found["background"] == "rgb(23, 22, 20)";
    assert_eq!(dark, view.dark, "{}", found["background"]);
}

/// That there is a picture, and not an empty one.
fn is_seen(browser: &Browser, page: &str) {
    for view in [DESKTOP, NIGHT, PHONE] {
        let (width, height, colours) = browser.colours(&browser.picture(page, View { height: 2000, ..view }));
        assert_eq!((width, height), (u64::from(view.width.max(500)), 2000));
        assert!(colours > 40, "{view:?}: {colours} colours");
    }
}

/// On A4, in a few pages, with its words.
fn is_printed(browser: &Browser, page: &str) {
    let pdf = browser.paper(page);
    let text = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let about = text(Command::new("pdfinfo").arg(&pdf));
    let line = |name: &str| about.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("Page size:").contains("A4"), "{about}");
    let pages: u32 = line("Pages:").rsplit(' ').next().unwrap().parse().unwrap();
    assert!((3..=30).contains(&pages), "{pages} pages");
    let words = text(Command::new("pdftotext").arg(&pdf).arg("-"));
    for said in ["Custody of laptop", "The chain of trust", "Who can unlock the keys", "See it yourself"] {
        assert!(words.contains(said) || words.contains(&said.to_uppercase()), "{said}");
    }
}

/// By the rules of html-validate, also those on accessibility.
fn is_valid(page: &str) {
    let tool = node_tool(&["html-validate", "html-validate@9.7.1"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.html"), page).unwrap();
    let rules = json!({"root": true, "extends": ["html-validate:standard", "html-validate:a11y", "html-validate:document"]});
    fs::write(folder.path().join(".htmlvalidate.json"), rules.to_string()).unwrap();
    let output = Command::new(tool.join("node_modules/.bin/html-validate"))
        .args(["--formatter", "json", "page.html"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let messages = report.pointer("/0/messages").cloned().unwrap_or_default();
    assert!(output.status.success(), "{messages:#}{}", String::from_utf8_lossy(&output.stderr));
}

/// Hostile text stays text, with the page's own rule against scripts and without it.
fn runs_nothing(browser: &Browser, page: &str) {
    assert!(page.contains("document.title=&#39;owned&#39;") && page.contains("[U+202E]gnp"));
    let rule = page.lines().find(|line| line.contains("Content-Security-Policy")).unwrap();
    assert!(rule.contains("default-src 'none'"));
    for page in [page.to_owned(), page.replace(rule, "")] {
        let loaded = browser.loaded(&page);
        assert!(loaded.contains("<title>Audit of laptop: something did not hold</title>"));
        let found = browser.ask(&page, DESKTOP, QUESTIONS);
        assert_eq!((&found["scripts"], &found["handlers"]), (&json!(0), &json!(0)));
        let text = found["text"].as_str().unwrap();
        assert!(text.contains("<script>document.title='owned'</script>") && !text.contains('\u{202e}'));
        assert!(text.contains("<img src=x onerror=alert(1)>.jsonl"));
    }
    // The same markup, not escaped, would have run: the test would see it.
    let smuggled =
        page.replace(rule, "").replace("</main>", "<script>document.title='owned'</script></main>");
    assert!(browser.loaded(&smuggled).contains("<title>owned</title>"));
    let stopped = page.replace("</main>", "<script>document.title='owned'</script></main>");
    assert!(!browser.loaded(&stopped).contains("<title>owned</title>"), "the page's own rule stops scripts");
}

/// Keeps pages and pictures for people, where AUDIT_PICTURES names a folder.
fn keep(browser: &Browser, name: &str, page: &str) {
    let Some(folder) = std::env::var_os("AUDIT_PICTURES") else { return };
    let folder = Path::new(&folder);
    fs::write(folder.join(format!("{name}.html")), page).unwrap();
    for (kind, view) in [("desktop", DESKTOP), ("night", NIGHT), ("phone", PHONE)] {
        let height = browser.ask(page, view, "return doc.documentElement.scrollHeight;").as_u64().unwrap();
        let view = View { height: u32::try_from(height).unwrap(), ..view };
        fs::write(folder.join(format!("{name}-{kind}.png")), browser.picture(page, view)).unwrap();
    }
    fs::copy(browser.paper(page), folder.join(format!("{name}.pdf"))).unwrap();
}
