//! Every command of `docs/attestation.md` works as it stands there.
#![allow(clippy::unwrap_used)]

use std::{path::Path, process::Command};

use cofferdam_tests::programs::program;

/// The blocks that are marked `sh`, in the order of the page.
fn commands(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let blocks = commands(&std::fs::read_to_string(root.join("docs/attestation.md")).unwrap());
    assert!(blocks.len() >= 12, "{} blocks", blocks.len());
    // One shell for all: later commands use what earlier ones made. `-e` does not see a command
    // that fails behind a `!`, so one that should fail and does not is caught here.
    let script = blocks.concat().replace("\n! cofferdam", "\nrefused cofferdam");
    let script = script.strip_prefix("! ").unwrap_or(&script);
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; fi; }\n";
    let folder = tempfile::tempdir().unwrap();
    let cofferdam = program("cofferdam");
    let path = format!("{}:{}", cofferdam.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{refused}{script}")])
        .current_dir(root)
        .env("PATH", path)
        .env("W", folder.path())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for said in
        ["✓ verified: made inside", "NOT VERIFIED", "leaf.pem: OK", "Verified OK", "Verified Successfully"]
    {
        assert!(out.contains(said), "{said}\n{out}\n{err}");
    }
}
