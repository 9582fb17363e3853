//! Every command of `docs/kms-audit.md` works as it stands there, and its table of findings is the
//! auditor's own.

mod common;

use std::{fs, path::Path, process::Command};

use kms_policies::audit::catalog;

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kms-audit.md")).unwrap()
}

#[test]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = page();
    let blocks: Vec<&str> =
        page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```\n").next()).collect();
    assert_eq!(blocks.len(), 5);
    // `-e` does not see a command that fails behind a `!`: one that should fail is caught here.
    let script = format!("\n{}", blocks.join("\n")).replace("\n! cofferdam", "\nrefused cofferdam");
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; \
                   elif [ $? != 1 ]; then exit 1; fi; }\n";
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cofferdam"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{refused}{script}")])
        .current_dir(root)
        .env("PATH", path)
        .env("W", folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let written = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(written("good.txt").starts_with("✓ no finding reaches medium"));
    assert!(written("default.txt").contains("iam-delegation"));
    assert!(written("default.html").contains("<code>iam-delegation</code>"));
    assert!(written("default.sarif").contains("\"ruleId\":\"iam-delegation\""));
}

#[test]
fn the_table_of_findings_is_the_auditors_own() {
    let page = page();
    let table = page.split("| id | severity |").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let expected: Vec<String> = catalog::ALL
        .iter()
        .map(|rule| {
            let catalog::Rule { id, severity, title, meaning, source, url, .. } = rule;
            format!("| `{id}` | {severity} | {title} | {meaning} | [{source}]({url}) |")
        })
        .collect();
    assert_eq!(rows, expected);
}
