//! The document that describes the API, against the API and against a linter that nobody here
//! wrote.

use std::{collections::BTreeSet, path::Path, process::Command};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::process::{Answered, Site};

fn document() -> Value {
    parent_proxy::api::document()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// `docs/openapi.json` is what the parent serves. With UPDATE=1 in the environment it is written.
#[test]
fn the_document_in_docs_is_the_one_that_is_served() {
    let file = root().join("docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept == text, "docs/openapi.json is not what is served: UPDATE=1 writes it");
}

/// A user's name has one rule: the list in `protocol/src/name.rs`, of which the server's pattern, the
/// policy's schema and the page of formats are other spellings.
#[test]
fn a_name_has_one_rule_wherever_it_is_written() {
    let pattern = parent_proxy::api::text_pattern();
    let schema = std::fs::read(root().join("docs/policy.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    assert_eq!(schema["$defs"]["text"]["pattern"], pattern);
    let document = document();
    let mut seen = 0;
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for member in ["user", "label"] {
            let property = &schema["properties"][member];
            if !property.is_null() {
                assert_eq!(property["pattern"], pattern, "{name}.{member}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 4, "{seen}");
    let user = document["paths"]["/v1/keys"]["get"]["parameters"].as_array().unwrap();
    let user = user.iter().find(|parameter| parameter["name"] == "user").unwrap();
    assert_eq!(user["schema"]["pattern"], pattern);
    // In words.
    let rule = protocol::NameError::User.expected();
    let body = &document["components"]["schemas"]["AddressRequest"]["properties"]["user"];
    for described in [&user["description"], &body["description"]] {
        assert!(described.as_str().unwrap().replace('\n', " ").contains(rule), "{described}");
    }
    // The page's table, as ranges.
    let page = std::fs::read_to_string(root().join("docs/formats.md")).unwrap();
    let rows = page.lines().skip_while(|line| *line != "| code points | what |").skip(2);
    let mut told: Vec<(u32, u32)> = Vec::new();
    for row in rows.take_while(|line| line.starts_with("| U+")) {
        for range in row.split('|').nth(1).unwrap().trim().split(", ") {
            let code = |text: &str| u32::from_str_radix(text.trim_start_matches("U+"), 16).unwrap();
            let (first, last) = range.split_once('\u{2013}').unwrap_or((range, range));
            told.push((code(first), code(last)));
        }
    }
    told.sort_unstable();
    let rule: Vec<(u32, u32)> =
        protocol::HIDDEN.iter().map(|(first, last)| (u32::from(*first), u32::from(*last))).collect();
    assert_eq!(told, rule);
}

#[test]
fn headers_of_answers_are_described() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let answers = operation["responses"].as_object().unwrap();
            assert!(answers.contains_key("405") && answers.contains_key("500"), "{method} {path}");
            for (status, answer) in answers {
                let has = |header: &str| answer["headers"].get(header).is_some();
                let problem = answer["content"].get("application/problem+json").is_some();
                assert!(has("X-Request-Id"), "{method} {path} {status}");
                assert_eq!(has("WWW-Authenticate"), status == "401", "{method} {path} {status}");
                assert_eq!(has("Allow"), status == "405", "{method} {path} {status}");
                assert_eq!(
                    has("Retry-After"),
                    problem && (status == "429" || status == "503"),
                    "{method} {path} {status}"
                );
                assert_eq!(
                    has("Cofferdam-Request"),
                    operation.get("security").is_some(),
                    "{method} {path} {status}"
                );
            }
        }
    }
}

#[tokio::test]
async fn an_answer_names_the_request_as_the_log_does() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let seen: std::sync::Arc<std::sync::Mutex<Vec<String>>> = std::sync::Arc::default();
    let heard = std::sync::Arc::clone(&seen);
    double.script(move |operation| {
        if let wire::Operation::Authorize { request }
        | wire::Operation::Create { request, .. }
        | wire::Operation::Sign { request, .. } = operation
        {
            let hash = data_encoding::HEXLOWER.encode(&request.open().unwrap().hash());
            heard.lock().unwrap().push(hash);
        }
        crate::support::double::Reply::Usual
    });
    let made = parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    let key = made.json()["key_id"].clone();
    let body = json!({"chain": "evm", "keys": [key], "transaction": "0xabcd"});
    let signed = parent.post("/v1/signatures", &body).await;
    let batch = parent.post("/v1/signatures/batch", &json!({ "signatures": [body] })).await;
    // Also where it is refused, in the parent or in the enclave.
    let missing = parent.get("/v1/keys/key_b2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq").await;
    missing.problem(404, "key.not_found");
    let answers = [&made, &signed, &batch, &missing].map(|answer| answer.header("cofferdam-request"));
    assert_eq!(answers.map(str::to_owned).to_vec(), *seen.lock().unwrap());
    let unsigned = parent.request(Method::GET, "/v1/keys?user=a").send().await.unwrap();
    assert!(unsigned.headers().get("cofferdam-request").is_none());
    assert!(parent.get("/healthz").await.header("cofferdam-request").is_empty());
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
