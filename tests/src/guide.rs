//! Guides whose commands are run by tests, as they stand there.

use std::{path::Path, process::Command};

use crate::programs::program;

/// Runs the blocks of a page of `docs/` that are marked `sh`, in one shell, with `cofferdam` on the
/// path; answers what was printed.
pub fn run(page: &str, least_blocks: usize, environment: &[(&str, &str)]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let blocks = commands(&std::fs::read_to_string(root.join("docs").join(page)).unwrap());
    assert!(blocks.len() >= least_blocks, "{} blocks", blocks.len());
    // One shell for all: later commands use what earlier ones made. `-e` does not see a command
    // that fails behind a `!`, so one that should fail and does not is caught here.
    let script = format!("\n{}", blocks.concat()).replace("\n! cofferdam", "\nrefused cofferdam");
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; fi; }\n";
    let folder = tempfile::tempdir().unwrap();
    let cofferdam = program("cofferdam");
    let path = format!("{}:{}", cofferdam.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{refused}{script}")])
        .current_dir(root)
        .env("PATH", path)
        .env("W", folder.path())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    format!("{out}\n{err}")
}

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
