//! Every command of `docs/trail.md` that asks nothing of AWS works as it stands there.

use std::{path::Path, process::Command};

/// The blocks that are marked `sh`, in the order of the page.
fn commands(page: &str) -> Vec<&str> {
    page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```\n").next()).collect()
}

#[test]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/trail.md")).unwrap();
    let blocks = commands(&page);
    assert_eq!(blocks.len(), 2);
    // `-e` does not see a command that fails behind a `!`: one that should fail is caught here.
    let script = format!("\n{}", blocks.join("\n")).replace("\n! cofferdam", "\nrefused cofferdam");
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; fi; }\n";
    let program = Path::new(env!("CARGO_BIN_EXE_cofferdam"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{refused}{script}")])
        .current_dir(root)
        .env("PATH", path)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for said in [
        "  explained      4 (GenerateDataKey 1, Decrypt 3)",
        "✓ no finding is medium or worse",
        "critical trail.debug-image",
        "✗ 24 findings are medium or worse",
    ] {
        assert!(out.lines().any(|line| line == said), "{said}\n{out}\n{err}");
    }
}

#[test]
fn every_finding_of_the_program_is_in_the_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../docs/trail.md")).unwrap();
    let code = std::fs::read_to_string(root.join("src/kms/trail/finding.rs")).unwrap();
    let ids: Vec<&str> = code.split('"').filter(|text| text.starts_with("trail.")).collect();
    assert_eq!(ids.len(), 22);
    for id in ids {
        assert!(page.contains(&format!("| `{id}` |")), "{id}");
    }
    assert_eq!(page.matches("\n| `trail.").count(), 22);
}
