//! Every command of `docs/image.md` works as it stands there, and its Python measures as we do.

use std::{path::Path, process::Command};

/// The blocks that are marked `sh`, in the order of the page.
fn commands(page: &str) -> Vec<&str> {
    page.split("\n```sh\n").skip(1).filter_map(|rest| rest.split("\n```\n").next()).collect()
}

#[test]
fn every_command_of_the_guide_works() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/image.md")).unwrap();
    let blocks = commands(&page);
    assert!(blocks.len() >= 4);
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
        .env_remove("SOURCE_DATE_EPOCH")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for said in ["✓ verified: the image has the measurements that you named", "CN=image-signer", "\"PCR8\""]
    {
        assert!(out.contains(said), "{said}\n{out}\n{err}");
    }
    assert!(err.contains("not verified: ") && err.contains("PCR0"), "{err}");
}
