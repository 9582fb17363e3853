//! The document that describes the API, against the API and against a linter that nobody here
//! wrote.

use std::{collections::BTreeSet, path::Path, process::Command};

use reqwest::Method;
use serde_json::Value;

use crate::support::process::{Answered, Site};

fn document() -> Value {
    serde_json::to_value(parent_proxy::api::document()).unwrap()
}

#[test]
fn the_document_names_every_route_and_no_other() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(described, parent_proxy::api::paths().collect());
}

#[tokio::test]
async fn every_method_that_is_described_is_there_and_no_other() {
    let site = Site::new();
    let parent = site.parent(&[]).await;
    assert_eq!(parent.get("/openapi.json").await.json(), document());
    for (path, item) in document()["paths"].as_object().unwrap() {
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let described = item.get(method.as_str().to_lowercase()).is_some();
            let path = path.replace("{key_id}", "x").replace("{sha256}", "x");
            let answered = Answered::of(parent.request(method.clone(), &path).send().await.unwrap()).await;
            assert_eq!(answered.status != 405, described, "{method} {path}");
        }
    }
}

#[test]
fn every_operation_has_examples_and_says_what_can_go_wrong() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["operationId"].is_string(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            if path.starts_with("/v1/") {
                assert!(
                    ["400", "500", "503", "504"].iter().all(|status| answers.contains_key(*status)),
                    "{path}"
                );
            }
            for (status, answer) in answers.iter().filter(|(status, _)| status.as_str() >= "400") {
                let (media_type, content) = answer["content"].as_object().unwrap().iter().next().unwrap();
                assert!(content["example"].is_object(), "{method} {path} {status}");
                assert!(media_type == "application/problem+json" || path == "/readyz");
            }
        }
    }
}

#[test]
fn a_linter_finds_nothing_wrong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tool = root.join("tests/tools/node-tool.sh");
    let installed = Command::new(tool).args(["redocly", "@redocly/cli@2.77.0"]).output().unwrap();
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let folder = String::from_utf8(installed.stdout).unwrap();
    let site = Site::new();
    let file = site.path("openapi.json");
    std::fs::write(&file, serde_json::to_vec(&document()).unwrap()).unwrap();
    let linted = Command::new(Path::new(folder.trim()).join("node_modules/.bin/redocly"))
        .env("REDOCLY_TELEMETRY", "off")
        .env("CI", "true")
        .args(["lint", "--extends=recommended-strict", "--skip-rule=operation-4xx-response"])
        .arg(&file)
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&linted.stdout), String::from_utf8_lossy(&linted.stderr));
    assert!(linted.status.success(), "{said}");
}
