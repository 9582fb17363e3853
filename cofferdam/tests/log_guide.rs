//! Every command of `docs/log.md` works as it stands there, on the log that was made without any
//! of our code.

mod common;

use std::{path::Path, process::Command};

use common::{VERIFIED, cofferdam, vector};
use serde_json::Value;

/// The blocks that are marked `sh`, in the order of the page.
fn commands(page: &str) -> Vec<&str> {
    page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```\n").next()).collect()
}

#[test]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/log.md")).unwrap();
    let blocks = commands(&page);
    assert_eq!(blocks.len(), 5);
    // `-e` does not see a command that fails behind a `!`: one that should fail is caught here.
    let script = blocks.join("\n").replace("\n! cofferdam", "\nrefused cofferdam");
    let refused = "refused() { if \"$@\"; then echo 'a refusal was expected' >&2; exit 1; fi; }\n";
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
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for said in [
        "✓ verified: 9 entries of 2 boots",
        "the log contains what the witness saw",
        "7 entries follow each other",
        "Signature Verified Successfully",
    ] {
        assert!(out.contains(said), "{said}\n{out}\n{err}");
    }
    assert!(err.contains("entry 5 was changed: entry 6 does not follow it"), "{err}");
}

#[test]
fn a_log_that_was_made_without_our_code_verifies() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(vector("log/expected.json")).unwrap()).unwrap();
    let (log, root, image) = (vector("log/log"), vector("log/root.pem"), vector("log/image.json"));
    let args =
        ["--json", "log", "verify", &log, "--deployment", "vectors", "--root", &root, "--image", &image];
    let said = cofferdam(&args);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let lines = said.json_lines();
    for (line, boot) in lines.iter().zip(expected["boots"].as_array().unwrap()) {
        assert_eq!(line["boot"], boot["boot"]);
        assert_eq!(line["entries"], boot["hashes"].as_array().unwrap().len());
        assert_eq!(line["checkpoints"], boot["checkpoints"].as_array().unwrap().len());
        assert_eq!(line["pcr0"], expected["pcr0"]);
    }
    assert_eq!(lines[1]["previous"]["hash"], expected["boots"][0]["hashes"][5]);
    assert_eq!(lines[2]["unsigned"], 1);
}
