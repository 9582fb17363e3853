//! Signed requests: passed on byte for byte, counted when they are no client's, and refused here
//! only where they cannot be passed on as they are.

use ed25519_dalek::SigningKey;
use protocol::request::SignedHeaders;
use reqwest::Method;
use serde_json::{Value, json};
use wire::{Operation, Refusal, RefusalCode};

use crate::support::{
    client,
    double::Reply,
    process::{Answered, Parent, Site},
};

const LIMITS: [&str; 4] = ["--auth-failure-rate", "1", "--auth-failure-burst", "5"];

fn headers(path: &str, body: &[u8]) -> SignedHeaders {
    client::sign("POST", path, body).unwrap()
}

async fn post(parent: &Parent, headers: Option<SignedHeaders>, body: &Value) -> Answered {
    let request = client::with(parent.request(Method::POST, "/v1/addresses"), headers);
    Answered::of(request.json(body).send().await.unwrap()).await
}

fn alice() -> Value {
    json!({"user": "alice", "chain": "evm"})
}

#[tokio::test]
async fn every_request_of_a_client_is_passed_on_as_it_was_sent() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let keep = seen.clone();
    double.script(move |operation| {
        if let Operation::Authorize { request } | Operation::Create { request, .. } = operation {
            keep.lock().unwrap().push(request.clone());
        }
        Reply::Usual
    });
    let body = b" {\"user\" : \"alice\",\n\"chain\":\"evm\"}\n".to_vec();
    let headers = headers("/v1/addresses", &body);
    let request = client::with(parent.request(Method::POST, "/v1/addresses"), Some(headers.clone()));
    let request = request.header("content-type", "application/json; charset=utf-8").body(body.clone());
    assert_eq!(request.send().await.unwrap().status(), 201);
    assert_eq!(parent.get("/v1/keys?user=al%69ce&limit=5").await.status, 200);
    assert_eq!(parent.get("/v1/log?").await.status, 200);
    let seen = seen.lock().unwrap();
    let [made, listed, log] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((made.method.as_str(), made.path.as_str(), &made.query), ("POST", "/v1/addresses", &None));
    assert_eq!((made.body.as_slice(), &made.signature), (&body[..], &headers.signature));
    assert_eq!(made.signature_input, headers.signature_input);
    assert_eq!(made.content_digest, headers.content_digest);
    assert_eq!(listed.query.as_deref(), Some("user=al%69ce&limit=5"));
    assert_eq!(log.query.as_deref(), Some(""));
}

#[tokio::test]
async fn an_unsigned_request_is_the_enclaves_to_refuse_and_on_its_log() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let before = site.entries(None).len();
    for (method, path, body) in [
        (Method::POST, "/v1/addresses", alice().to_string()),
        (Method::POST, "/v1/addresses/batch", json!({"addresses": [alice()]}).to_string()),
        (Method::GET, "/v1/keys?user=alice", String::new()),
        (Method::GET, &*format!("/v1/keys/{KEY}"), String::new()),
        (Method::POST, &*format!("/v1/keys/{KEY}/check"), String::new()),
        (Method::POST, &*format!("/v1/keys/{KEY}/replace"), json!({"order": "e30="}).to_string()),
        (Method::POST, "/v1/orders", "{}".into()),
        (Method::GET, "/v1/orders", String::new()),
        (Method::GET, "/v1/policy", String::new()),
        (Method::GET, "/v1/log", String::new()),
        (Method::GET, "/v1/log/checkpoint", String::new()),
    ] {
        let request = parent.request(method, path).header("content-type", "application/json").body(body);
        let answered = Answered::of(request.send().await.unwrap()).await;
        answered.problem(401, "auth.missing");
        assert_eq!(answered.header("www-authenticate"), "Signature realm=\"cofferdam\"", "{path}");
    }
    // Durable before the answer, each.
    let entries = site.entries(None);
    let failed = entries.iter().filter(|entry| entry.to_string().contains("auth.missing")).count();
    assert_eq!((failed, entries.len()), (11, before + 11));
    assert!(site.stored_in("keys").is_empty() && site.stored_in("orders").is_empty());
    assert_eq!(double.state.lock().unwrap().keys_made, 0);
    // These show nothing and change nothing.
    for path in ["/v1/attestation?nonce=00", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
        assert_eq!(parent.request(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
    }
}

const KEY: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

#[tokio::test]
async fn a_header_that_is_repeated_or_not_ascii_or_long_is_refused_here() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let body = alice().to_string();
    let send = async |change: &dyn Fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder| {
        let headers = headers("/v1/addresses", body.as_bytes());
        let request = client::with(parent.request(Method::POST, "/v1/addresses"), Some(headers));
        let request = change(request).header("content-type", "application/json").body(body.clone());
        Answered::of(request.send().await.unwrap()).await
    };
    for name in ["signature-input", "signature", "content-digest"] {
        send(&|request| request.header(name, "sig1=()")).await.problem(401, "auth.malformed");
        send(&|request| request.header(name, "")).await.problem(401, "auth.malformed");
        for value in [&b"sig1=\xc3\xbc"[..], &[b'x'; 1025]] {
            let value = reqwest::header::HeaderValue::from_bytes(value).unwrap();
            let only = reqwest::header::HeaderMap::from_iter([(
                reqwest::header::HeaderName::from_static(name),
                value,
            )]);
            send(&|request| request.headers(only.clone())).await.problem(401, "auth.malformed");
        }
    }
    assert_eq!(double.count("create"), 0);
    assert_eq!(send(&|request| request).await.status, 201);
    let long = format!("/v1/keys?user={}", "x".repeat(1100));
    parent.get(&long).await.problem(401, "auth.malformed");
}

#[tokio::test]
async fn a_flood_of_strangers_fills_no_log_and_locks_no_client_out() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&LIMITS).await.ready().await;
    assert_eq!(parent.put("/v1/policy", &client::policy(1)).await.status, 200);
    let mallory = SigningKey::from_bytes(&[66; 32]);
    let mut limited = 0;
    for number in 0..30 {
        let body = alice().to_string();
        let headers = match number % 4 {
            0 => None,
            1 => client::sign_as(mallory.clone(), client::ID, "POST", "/v1/addresses", body.as_bytes()),
            2 => client::sign_as(mallory.clone(), "mallory", "POST", "/v1/addresses", body.as_bytes()),
            // Signed, but for another body.
            _ => client::sign("POST", "/v1/addresses", b"{}"),
        };
        let answered = post(&parent, headers, &alice()).await;
        match answered.status.as_u16() {
            401 => {}
            429 => {
                answered.problem(429, "auth.rate_limited");
                assert!(answered.header("retry-after").parse::<u64>().unwrap() >= 1);
                limited += 1;
            }
            other => panic!("{other}: {answered:?}"),
        }
        // Whoever is a client is not affected.
        let user = json!({"user": format!("user {number}"), "chain": "evm"});
        assert_eq!(parent.post("/v1/addresses", &user).await.status, 201);
    }
    assert!(limited >= 20, "{limited}");
    assert_eq!((double.count("create"), double.count("confirm")), (60 - limited, 30));
}

#[tokio::test]
async fn a_clients_request_counts_once_however_often_it_is_replayed() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&LIMITS).await.ready().await;
    assert_eq!(parent.put("/v1/policy", &client::policy(1)).await.status, 200);
    let body = alice().to_string();
    let headers = headers("/v1/addresses", body.as_bytes());
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..20 {
        let answered = post(&parent, Some(headers.clone()), &alice()).await;
        *seen.entry(answered.status.as_u16()).or_insert(0) += 1;
    }
    assert_eq!(seen[&201], 1, "{seen:?}");
    // What is harmless when repeated is answered again, at the rate of those who are no clients.
    assert!(seen[&200] >= 4 && seen[&429] >= 10, "{seen:?}");
    assert_eq!((double.count("create"), double.count("confirm")), (1, 20 - seen[&429]));
}

#[tokio::test]
async fn what_the_enclave_says_of_a_client_is_said_to_it() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let order = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    for (code, tag, status, said) in [
        (RefusalCode::Unauthenticated, Some("auth.signature"), 401, "auth.signature"),
        (RefusalCode::Unauthenticated, Some("auth.stale"), 401, "auth.stale"),
        (RefusalCode::Unauthenticated, Some("auth.busy"), 429, "auth.busy"),
        (RefusalCode::Forbidden, None, 403, "auth.role"),
        (RefusalCode::PolicyInactive, Some("policy.expired"), 503, "policy.expired"),
        (RefusalCode::PolicyInactive, None, 503, "policy.inactive"),
        (RefusalCode::Denied, Some("policy.evm.destination"), 403, "policy.evm.destination"),
        (RefusalCode::Frozen, None, 423, "order.frozen"),
        (RefusalCode::Frozen, Some("order.retired"), 423, "order.retired"),
        (RefusalCode::OrderRefused, Some("dsse.too_few"), 422, "dsse.too_few"),
        (RefusalCode::PolicyRefused, Some("policy.version"), 409, "policy.version"),
        (RefusalCode::PolicyRefused, Some("dsse.unknown"), 422, "dsse.unknown"),
        (RefusalCode::TransactionRefused, Some("transaction.evm.type"), 422, "transaction.evm.type"),
        (RefusalCode::RequestMalformed, Some("request.body"), 400, "request.body"),
        (RefusalCode::RequestMalformed, None, 502, "request.malformed"),
        (RefusalCode::LogUnavailable, None, 503, "log.unavailable"),
    ] {
        double.script(move |operation| {
            let refusal = Refusal {
                tag: tag.map(str::to_owned),
                order: (code == RefusalCode::Frozen).then(|| order.parse().unwrap()),
                ..Refusal::new(code, "something was expected")
            };
            let asks = matches!(operation, Operation::Authorize { .. });
            if asks { Reply::Say(Err(refusal)) } else { Reply::Usual }
        });
        let answered = parent.get("/v1/keys?user=alice").await;
        let problem = answered.problem(status, said);
        assert_eq!(problem["detail"], "something was expected");
        assert_eq!(problem.get("order_id").is_some(), status == 423, "{problem}");
        assert_eq!(answered.header("retry-after"), if matches!(status, 503 | 429) { "1" } else { "" });
    }
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_not_said_to_be_a_replay() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let first = std::sync::atomic::AtomicBool::new(true);
    double.script(move |operation| {
        let asks = matches!(operation, Operation::Authorize { .. });
        if asks && first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            Reply::DoneAndClose
        } else {
            Reply::Usual
        }
    });
    parent.get("/v1/keys?user=alice").await.problem(503, "enclave.unavailable");
    assert_eq!(double.count("authorize"), 2);
    let parent = parent.ready().await;
    assert_eq!(parent.get("/v1/keys?user=alice").await.status, 200);
}

#[tokio::test]
async fn an_api_wallet_needs_a_label_and_purposes_do_not_share_a_request() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let api = json!({"user": "desk", "chain": "evm", "purpose": "secondary"});
    assert_eq!(parent.post("/v1/addresses", &api).await.problem(400, "request.invalid")["field"], "label");
    let named = json!({"user": "desk", "chain": "evm", "purpose": "secondary", "label": "market maker"});
    let made = parent.post("/v1/addresses", &named).await;
    assert_eq!((made.status.as_u16(), &made.json()["purpose"]), (201, &json!("secondary")));
    let wanted: Vec<Value> = (0..600)
        .map(|n| {
            let purpose = if n % 2 == 0 { "sweep" } else { "secondary" };
            json!({"user": "u", "chain": "tron", "purpose": purpose, "index": n, "label": "x"})
        })
        .collect();
    let before = double.count("create");
    let answered = parent.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await.json();
    let made = answered["addresses"].as_array().unwrap();
    assert!(made.iter().zip(&wanted).all(|(made, wanted)| made["purpose"] == wanted["purpose"]
        && made["index"] == wanted["index"]
        && made["created"] == true));
    // The double asserts that each has one purpose: 300 of each in requests of at most 256.
    assert_eq!(double.count("create") - before, 4);
}

#[tokio::test]
async fn a_batch_may_be_as_long_as_a_request_may_be_and_no_longer() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let mut body = json!({"addresses": [alice()]}).to_string();
    body.push_str(&" ".repeat(900 * 1024 - body.len()));
    assert_eq!(parent.post_raw("/v1/addresses/batch", body.clone()).await.status, 200);
    body.push(' ');
    parent.post_raw("/v1/addresses/batch", body).await.problem(413, "request.too_large");
}
