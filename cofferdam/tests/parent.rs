//! `cofferdam address create`, `address list` and `attestation fetch` against a parent that
//! behaves, is overloaded, or lies.

mod common;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use common::{ClientKey, NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector};
use parent::{Answer, Parent, Request};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

/// The vectors' addresses, all of user alice.
fn objects() -> Vec<Value> {
    let text = fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn document() -> Vec<u8> {
    fs::read(vector("certificates/attestation.cose")).unwrap()
}

/// Some address for an order; nobody verifies it.
fn address_for(order: &Value) -> Value {
    let mut address = objects()[0].clone();
    for field in ["user", "chain", "index", "label"] {
        if !order[field].is_null() {
            address[field] = order[field].clone();
        }
    }
    address
}

/// Answers everything that is asked of the vectors' enclave.
fn honest(request: &Request) -> Answer {
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/v1/addresses") => {
            let order = request.json();
            let found = objects().into_iter().find(|object| object["chain"] == order["chain"]);
            Answer::json(201, &found.unwrap())
        }
        ("GET", target) if target.starts_with("/v1/attestations/") => Answer::bytes(document()),
        ("GET", target) if target.starts_with("/v1/keys?") => {
            let objects = objects();
            match target.contains("cursor=two") {
                false => Answer::json(200, &json!({"keys": objects[..3], "next_cursor": "two"})),
                true => Answer::json(200, &json!({"keys": objects[3..]})),
            }
        }
        _ => Answer::json(404, &json!({"code": "route.not_found"})),
    }
}

fn run(command: &[&str], parent: &Parent, more: &[&str]) -> Said {
    let client = ClientKey::new();
    cofferdam(&[&["--json"], command, &["--url", &parent.url], &client.options(), more].concat())
}

fn create(parent: &Parent, more: &[&str]) -> Said {
    run(&["address", "create"], parent, more)
}

fn trust() -> Vec<String> {
    let (image, root) = (vector("certificates/image.json"), vector("certificates/root.pem"));
    ["--verify", "--image", &image, "--root", &root].map(str::to_owned).into()
}

fn verifying<'a>(trust: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    trust.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

#[test]
fn every_certificate_is_verified_and_its_document_fetched_once() {
    let parent = Parent::start(honest);
    let trust = trust();
    let said = create(&parent, &verifying(&trust, &["--user", "alice", "--chain", "solana"]));
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json()["verified"], true);

    let parent = Parent::start(honest);
    let said = run(&["address", "list"], &parent, &verifying(&trust, &["--user", "alice"]));
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json_lines().len(), 4, "both pages");
    let documents = parent.seen().iter().filter(|seen| seen.target.contains("attestations")).count();
    assert_eq!(documents, 1);
}

#[test]
fn a_parent_that_lies_is_found_out() {
    let trust = trust();
    type Lie = fn(&Request) -> Answer;
    let address: Lie = |request| match request.method.as_str() {
        "POST" => {
            let mut object = objects()[0].clone();
            object["address"] = "0x52908400098527886E0F7030069857D2E4169EE7".into();
            Answer::json(201, &object)
        }
        _ => honest(request),
    };
    let another_user: Lie = |request| match request.method.as_str() {
        "POST" => Answer::json(201, &objects()[0]),
        _ => honest(request),
    };
    let another_document: Lie = |request| match request.method.as_str() {
        "GET" => Answer::bytes(fs::read(vector("attestation/nitro-2025-01-06.cose")).unwrap()),
        _ => honest(request),
    };
    let no_document: Lie = |request| match request.method.as_str() {
        "GET" => Answer::json(404, &json!({"code": "attestation.not_found"})),
        _ => honest(request),
    };
    for (lie, user, check) in [
        (address, "alice", "object"),
        (another_user, "bob", "answer"),
        (another_document, "alice", "path"),
        (no_document, "alice", "document"),
    ] {
        let parent = Parent::start(lie);
        let said = create(&parent, &verifying(&trust, &["--user", user, "--chain", "evm"]));
        assert_eq!(said.code, NOT_VERIFIED, "{check}: {}{}", said.out, said.err);
        let lines = said.json_lines();
        assert_eq!(lines[0]["verified"], false);
        assert_eq!(lines[0]["error"]["check"], check);
    }
}

#[test]
fn an_answer_to_another_question_ends_even_an_unverified_run() {
    let parent = Parent::start(|_| Answer::json(200, &objects()[0]));
    let said = create(&parent, &["--user", "bob", "--chain", "evm"]);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &"answer".into()));
    let parent = Parent::start(|_| Answer::json(200, &json!({"addresses": [objects()[0]]})));
    let said = create(&parent, &["--user", "alice", "--chain", "evm", "--count", "2"]);
    assert_eq!((said.code, &said.json()["error"]["kind"]), (NOT_VERIFIED, &"parent".into()));
}

#[test]
fn an_overloaded_parent_is_asked_again_when_it_says() {
    let tries = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&tries);
    let parent = Parent::start(move |request| match counter.fetch_add(1, Ordering::SeqCst) {
        0 => Answer::json(503, &json!({"code": "enclave.overloaded"})).with_header("retry-after: 1"),
        1 => Answer::json(429, &json!({})).with_header("retry-after: 0"),
        _ => honest(request),
    });
    let begun = Instant::now();
    let said = create(&parent, &["--user", "alice", "--chain", "evm"]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert!(said.err.contains("NOT VERIFIED"), "{}", said.err);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert!(begun.elapsed().as_millis() >= 1000);
}

#[test]
fn a_problem_is_shown_whole_and_not_asked_again() {
    let parent = Parent::start(|_| {
        let body = json!({"type": "urn:cofferdam:problem:kms.denied", "title": "KMS refused", "status": 502,
            "detail": "KMS: a grant was expected", "code": "kms.denied", "request_id": "r7"});
        Answer::json(502, &body)
    });
    let said = create(&parent, &["--user", "alice", "--chain", "evm"]);
    assert_eq!(said.code, NOT_VERIFIED);
    let error = &said.json()["error"];
    assert_eq!((&error["kind"], &error["code"]), (&"problem".into(), &"kms.denied".into()));
    assert_eq!((&error["status"], &error["request_id"]), (&502.into(), &"r7".into()));
    assert_eq!(parent.seen().len(), 1);
    let client = ClientKey::new();
    let order = ["address", "create", "--parent", &parent.url, "--user", "a", "--chain", "evm"];
    let said = cofferdam(&[&order[..], &client.options()].concat());
    assert_eq!(
        said.err,
        "✗ the parent refused: kms.denied (HTTP 502): KMS: a grant was expected [request r7]\n"
    );
}

#[test]
fn many_are_asked_for_in_batches_and_answered_in_order() {
    let parent = Parent::start(|request| {
        let addresses: Vec<Value> =
            request.json()["addresses"].as_array().unwrap().iter().map(address_for).collect();
        Answer::json(200, &json!({"addresses": addresses}))
    });
    let said = create(&parent, &["--user", "alice", "--chain", "evm", "--index", "5", "--count", "2500"]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    let indices: Vec<u64> = said.json_lines().iter().map(|line| line["index"].as_u64().unwrap()).collect();
    assert_eq!(indices, (5..2505).collect::<Vec<u64>>());
    let mut sizes: Vec<usize> =
        parent.seen().iter().map(|seen| seen.json()["addresses"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [500, 1000, 1000]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("orders.jsonl");
    fs::write(&file, "{\"user\":\"bob\",\"chain\":\"evm\",\"label\":\"x\"}\n{\"user\":\"carol\",\"chain\":\"tron\",\"index\":9}\n")
        .unwrap();
    let said = create(&parent, &["--file", file.to_str().unwrap()]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    let users: Vec<Value> = said.json_lines().iter().map(|line| line["user"].clone()).collect();
    assert_eq!(users, ["bob", "carol"]);
    fs::write(&file, "{\"user\":\"bob\",\"chain\":\"doge\"}\n").unwrap();
    assert_eq!(create(&parent, &["--file", file.to_str().unwrap()]).code, UNUSABLE);
}

#[test]
fn a_cursor_that_does_not_move_and_answers_without_end_are_left() {
    let parent = Parent::start(|_| Answer::json(200, &json!({"keys": [], "next_cursor": "again"})));
    assert_eq!(run(&["address", "list"], &parent, &["--user", "alice"]).code, NOT_VERIFIED);
    assert_eq!(parent.seen().len(), 2);
    let parent = Parent::start(|_| Answer::bytes(vec![b' '; 20 << 20]));
    let said = run(&["address", "list"], &parent, &["--user", "alice"]);
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("more than"), "{}", said.out);
}

#[test]
fn a_fetched_document_must_answer_the_nonce_and_name_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("document.cose");
    let out = out.to_str().unwrap();
    // An old document: genuine, but not an answer to this nonce.
    let parent = Parent::start(|_| Answer::bytes(fs::read(common::of_2022().file).unwrap()));
    let said = run(&["attestation", "fetch"], &parent, &["--out", out]);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &"nonce".into()));
    let real = common::of_2022();
    let said = run(&["attestation", "fetch"], &parent, &["--out", out, "--pcr", real.pcr0]);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &"time".into()));
    let nonces: Vec<String> = parent.seen().iter().map(|seen| seen.target.clone()).collect();
    assert!(nonces.iter().all(|target| target.starts_with("/v1/attestation?nonce=") && target.len() == 86));
    assert_ne!(nonces[0], nonces[1], "a fresh nonce every time");
    let said = run(&["attestation", "fetch"], &parent, &["--out", out, "--nonce", ""]);
    assert_eq!(said.code, UNUSABLE);
}

#[test]
fn tls_is_verified_with_the_named_authority_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", &at("key"), "-out", &at("cert")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(at("cert")).unwrap()],
            PrivateKeyDer::from_pem_file(at("key")).unwrap(),
        )
        .unwrap();
    let parent = Parent::with_tls(Arc::new(config), honest);
    let order = ["--user", "alice", "--chain", "evm", "--ca"];
    let said = create(&parent, &[&order[..], &[&at("cert")]].concat());
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let said = create(&parent, &[&order[..], &[&vector("attestation/aws-nitro-root-g1.pem")]].concat());
    assert_eq!((said.code, &said.json()["error"]["kind"]), (NOT_VERIFIED, &"parent".into()));
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("certificate"), "{}", said.out);
    assert_eq!(create(&parent, &[&order[..], &[&at("key")]].concat()).code, UNUSABLE);
}
