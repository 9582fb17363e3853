//! Guides whose commands are run by tests, as they stand there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::programs::program;

/// Runs the blocks of a page of `docs/` that are marked `sh`, in one shell, with `cofferdam` on the
/// path; answers what was printed.
pub fn run(page: &str, least_blocks: usize, environment: &[(&str, &str)]) -> String {
    let blocks = commands(&read(page));
    assert!(blocks.len() >= least_blocks, "{} blocks", blocks.len());
    execute(&blocks, environment)
}

/// The same with one section of a page: what is below the heading that begins so.
pub fn run_section(page: &str, heading: &str, environment: &[(&str, &str)]) -> String {
    let page = read(page);
    let (_, section) = page.split_once(&format!("\n## {heading}")).unwrap();
    let blocks = commands(section.split("\n## ").next().unwrap());
    assert!(!blocks.is_empty(), "{heading}");
    execute(&blocks, environment)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join("docs").join(page)).unwrap()
}

fn execute(blocks: &[String], environment: &[(&str, &str)]) -> String {
    // One shell for all: later commands use what earlier ones made. `-e` does not see a command
    // that fails behind a `!`, so one that should fail and does not is caught here.
    let script = format!("\n{}", blocks.concat())
        .replace("\n! cofferdam", "\nrefused cofferdam")
        .replace("\n! aws", "\nrefused aws");
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; fi; }\n";
    let folder = tempfile::tempdir().unwrap();
    let cofferdam = program("cofferdam");
    let path = format!("{}:{}", cofferdam.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("{refused}{script}")])
        .current_dir(root())
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
