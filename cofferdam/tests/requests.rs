//! That every request that takes a role is signed, as the enclave reads it, and no other is.

mod common;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use common::{CLIENT, ClientKey, DEPLOYMENT, UNUSABLE, VERIFIED, cofferdam, vector};
use parent::{Answer, Parent, Request};
use protocol::{api::Route, request::RequestSignature};
use serde_json::{Value, json};

fn object() -> Value {
    let text = std::fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

/// What the enclave makes of a request.
fn opened(request: &Request, client: &ClientKey) -> RequestSignature {
    let signature = request.signed().open().unwrap();
    signature.verify(&client.key).unwrap();
    signature.expect_tag(&format!("cofferdam:{DEPLOYMENT}")).unwrap();
    assert_eq!(signature.keyid(), CLIENT);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now - 30..=now).contains(&signature.created()));
    let nonce = signature.nonce();
    assert!(nonce.len() == 32 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()), "{nonce}");
    signature
}

#[test]
fn what_is_signed_is_what_goes_over_the_wire() {
    let client = ClientKey::new();
    let parent = Parent::start(|_| Answer::json(200, &json!({"keys": []})));
    // Each of these is encoded on its way: spaces, an ampersand, beyond ASCII.
    for user in ["alice", "a b&c=d%?/#+~", "é€😀", "'\"<>[]|^`{}\\"] {
        let list = ["--json", "address", "list", "--url", &parent.url, "--user", user];
        let said = cofferdam(&[&list[..], &client.options()].concat());
        assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
        let seen = parent.seen();
        let request = seen.last().unwrap();
        opened(request, &client);
        let (path, query) = request.target.split_once('?').unwrap();
        assert_eq!(
            (Route::from_request("GET", path, Some(query)), path),
            (Some(Route::ListKeys), "/v1/keys")
        );
        assert!(query.starts_with("user=") && query.is_ascii(), "{query}");
        // Anything that is changed on the way is found.
        let mut changed = request.clone();
        changed.target = changed.target.replace("user=", "user=x");
        assert!(changed.signed().open().unwrap().verify(&client.key).is_err());
    }
}

#[test]
fn another_attempt_is_another_request() {
    let client = ClientKey::new();
    let tries = AtomicU32::new(0);
    let parent = Parent::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => Answer::json(503, &json!({"code": "enclave.overloaded"})).with_header("retry-after: 0"),
        _ => Answer::json(201, &object()),
    });
    let create = ["--json", "address", "create", "--url", &parent.url, "--user", "alice", "--chain"];
    let chain = object()["chain"].as_str().unwrap().to_owned();
    let said = cofferdam(&[&create[..], &[&chain], &client.options()].concat());
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let signatures: Vec<RequestSignature> =
        parent.seen().iter().map(|request| opened(request, &client)).collect();
    let nonces: BTreeSet<&str> = signatures.iter().map(RequestSignature::nonce).collect();
    assert_eq!((signatures.len(), nonces.len()), (3, 3));
}

#[test]
fn a_changed_body_is_found() {
    let client = ClientKey::new();
    let parent = Parent::start(|_| Answer::json(201, &object()));
    let create = ["address", "create", "--url", &parent.url, "--user", "alice", "--chain", "evm"];
    cofferdam(&[&create[..], &client.options()].concat());
    let mut request = parent.seen().remove(0);
    opened(&request, &client);
    request.body = String::from_utf8(request.body).unwrap().replace("alice", "mallo").into_bytes();
    assert_eq!(request.signed().open().unwrap_err().tag(), "auth.digest");
}

#[test]
fn an_api_wallet_is_asked_for_with_its_purpose_and_label() {
    let client = ClientKey::new();
    let parent = Parent::start(|_| Answer::json(404, &json!({})));
    let create = ["--json", "address", "create", "--url", &parent.url, "--user", "desk", "--chain", "evm"];
    let asked =
        [&create[..], &["--purpose", "secondary", "--label", "withdrawals"], &client.options()].concat();
    cofferdam(&asked);
    let order =
        json!({"user": "desk", "chain": "evm", "purpose": "secondary", "index": 0, "label": "withdrawals"});
    assert_eq!(parent.seen()[0].json(), order);
    let said = cofferdam(&[&create[..], &["--purpose", "secondary"], &client.options()].concat());
    assert_eq!(said.code, UNUSABLE);
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("label"), "{}", said.out);
    assert_eq!(parent.seen().len(), 1);
}

#[test]
fn nothing_is_sent_by_nobody_nor_by_half_a_client() {
    let client = ClientKey::new();
    let parent = Parent::start(|_| Answer::json(200, &json!({"keys": []})));
    let list = ["--json", "address", "list", "--url", &parent.url, "--user", "alice"];
    let options = client.options();
    for part in [&[][..], &options[..2], &options[..4], &options[2..], &options[4..]] {
        let said = cofferdam(&[&list[..], part].concat());
        assert_eq!(said.code, UNUSABLE, "{part:?}: {}", said.out);
        assert!(said.json()["error"]["message"].as_str().unwrap().contains("--client-key"));
    }
    let with_path = format!("{}/behind/a/proxy", parent.url);
    let said = cofferdam(&[&["address", "list", "--url", &with_path, "--user", "a"][..], &options].concat());
    assert_eq!(said.code, UNUSABLE);
    assert_eq!(parent.seen().len(), 0);
}

#[test]
fn what_takes_no_role_is_asked_for_by_anyone() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("document.cose");
    let document = std::fs::read(vector("certificates/attestation.cose")).unwrap();
    let parent = Parent::start(move |_| Answer::bytes(document.clone()));
    let fetch = ["--json", "attestation", "fetch", "--url", &parent.url, "--out", out.to_str().unwrap()];
    cofferdam(&fetch);
    let client = ClientKey::new();
    cofferdam(&[&fetch[..], &client.options()].concat());
    for request in parent.seen() {
        assert!(!request.headers.contains_key("signature"), "{request:?}");
    }
    assert_eq!(parent.seen().len(), 2);
}
