//! The HTTP API against its own OpenAPI document, by a program that nobody here wrote
//! (schemathesis): whatever it asks, the answers have the forms that the document says, what the
//! document forbids is refused, and nothing makes the parent fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{path::Path, process::Command};

use cofferdam_tests::{stack::Stack, tools::python_venv};

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_as_its_document_says() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let venv = python_venv(&[
        "schemathesis",
        "schemathesis==4.32.5",
        "http-message-signatures==3.0.0",
        "http-sf==1.5.0",
        "cryptography==50.0.2",
    ]);
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/signed_api.py");
    let output = Command::new(venv.join("bin/schemathesis"))
        .args(["run", &format!("{}/openapi.json", node.url)])
        .args(["--seed", "1", "--max-examples", "40", "--no-color", "--checks", "all"])
        // What no schema can say: bytes where it counts characters, cursors of another user. And
        // 1.0, which JSON Schema calls an integer.
        .args(["--exclude-checks", "positive_data_acceptance"])
        .env("SCHEMATHESIS_HOOKS", hooks)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(stack.dir())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("Selected: 22/22"), "{said}");
}
