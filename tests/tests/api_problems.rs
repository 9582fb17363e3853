//! The problems that stand in the OpenAPI document as examples are answers of the system: each is brought
//! about, and says what stands there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    path::PathBuf,
};

use chains::Chain;
use cofferdam_tests::{
    alike::differences,
    authority::{self, AUDITOR, Client, collection, envelope, signed_order, signed_policy},
    stack::{Node, Stack, http},
    transactions::Evm,
};
use data_encoding::HEXLOWER;
use protocol::{
    KeyId,
    dsse::{ORDER_TYPE, POLICY_TYPE},
    order::Restriction,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Problems that no test of this file brings about, and where they are.
const ELSEWHERE: [(&str, &str); 3] = [
    ("parent.internal", "a fault of the program: its own text"),
    ("parent.overloaded", "parent-proxy/tests/parent/flood.rs"),
    ("parent.timeout", "parent-proxy/tests/parent/enclave_line.rs"),
];

fn json_of(envelope: &[u8]) -> Value {
    serde_json::from_slice(envelope).unwrap()
}

/// An EVM transaction of the key to an address.
fn transaction(to: &str) -> String {
    format!("0x{}", HEXLOWER.encode(&Evm::native(to).typed()))
}

/// The problems of the document, by code and title: some codes have two meanings.
fn problems(document: &Value) -> BTreeMap<(String, String, Option<String>), Value> {
    let mut problems = BTreeMap::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for answer in operation["responses"].as_object().unwrap().values() {
                let Some(content) = answer["content"].get("application/problem+json") else { continue };
                let mut example = content["example"].clone();
                let text = |member: &str| example[member].as_str().map(str::to_owned);
                let name = (text("code").unwrap(), text("title").unwrap(), text("field"));
                example.as_object_mut().unwrap().remove("request_id").unwrap();
                problems.insert(name, example);
            }
        }
    }
    problems
}

/// A node and what it takes to bring problems about.
struct Trouble {
    stack: Stack,
    node: Node,
    key: KeyId,
    frozen: KeyId,
}

impl Trouble {
    fn record(&self, key: &KeyId) -> PathBuf {
        self.stack.dir().join("store").join(key.object_path())
    }

    async fn send(&self, method: Method, target: &str, body: &Value) -> reqwest::Response {
        let bytes = if method == Method::GET { Vec::new() } else { body.to_string().into_bytes() };
        self.node.request(&http(), method, target, bytes).send().await.unwrap()
    }

    /// Signed by a client that need not be the one with the role.
    async fn as_client(&self, client: &Client, path: &str, body: &Value) -> reqwest::Response {
        let body = body.to_string();
        let headers = client.headers(&self.node.deployment, "POST", path, None, body.as_bytes());
        let request = http().post(format!("{}{path}", self.node.url));
        let request = request
            .header("signature-input", headers.signature_input)
            .header("signature", headers.signature)
            .header("content-digest", headers.content_digest);
        request.header("content-type", "application/json").body(body).send().await.unwrap()
    }

    async fn until_429(&self, target: &str) -> reqwest::Response {
        for _ in 0..5000 {
            let response = http().get(format!("{}{target}", self.node.url)).send().await.unwrap();
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                return response;
            }
        }
        panic!("never too many")
    }

    async fn bring_about(&self, code: &str, title: &str, field: Option<&str>) -> Value {
        let user = json!({"user": "carol", "chain": "evm"});
        let unknown = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipa";
        let (id, zeroes) = (self.key, "00".repeat(32));
        let sweep = |key: &KeyId, transaction: String| json!({"chain": "evm", "keys": [key], "transaction": transaction});
        let unsigned = |kind, payload: &Value| json_of(&envelope(kind, payload.to_string().as_bytes(), &[]));
        let response = match (code, field) {
            ("request.invalid", Some("verbose")) => {
                self.send(Method::GET, "/healthz?verbose=1", &json!({})).await
            }
            ("request.invalid", _) => {
                self.send(Method::POST, "/v1/addresses", &json!({"user": "", "chain": "evm"})).await
            }
            ("request.too_large", _) => {
                self.send(Method::POST, "/v1/addresses", &json!({"user": "a".repeat(17_000)})).await
            }
            ("request.media_type", _) => {
                let http = http();
                http.post(format!("{}/v1/addresses", self.node.url)).body("{}").send().await.unwrap()
            }
            ("request.slow", _) => return self.slow(),
            ("auth.signature", _) => {
                let stranger = Client { seed: 99, ..authority::BACKEND };
                self.as_client(&stranger, "/v1/addresses", &user).await
            }
            ("auth.role", _) => self.as_client(&AUDITOR, "/v1/addresses", &user).await,
            ("auth.rate_limited", _) => self.until_429("/v1/keys?user=a").await,
            ("attestation.rate_limited", _) => self.until_429("/v1/attestation?nonce=00").await,
            ("transaction.evm.creation", _) => {
                // Type 2, no recipient, one byte of code.
                let creation = "0x02cd0180018203e882d2f0808000c0".to_owned();
                self.send(Method::POST, "/v1/signatures", &sweep(&id, creation)).await
            }
            ("order.frozen", _) => {
                let body = sweep(&self.frozen, transaction(&collection(Chain::Evm)));
                self.send(Method::POST, "/v1/signatures", &body).await
            }
            ("dsse.too_few", _) if title.contains("order") => {
                let order = unsigned(ORDER_TYPE, &json!({"v": 1}));
                self.send(Method::POST, "/v1/orders", &order).await
            }
            ("dsse.too_few", _) => {
                self.send(Method::PUT, "/v1/policy", &unsigned(POLICY_TYPE, &json!({"v": 1}))).await
            }
            ("policy.version", _) => {
                let older = json_of(&signed_policy(&authority::policy(&self.node.deployment, 1)));
                self.send(Method::PUT, "/v1/policy", &older).await
            }
            ("policy.not_found", _) => {
                std::fs::remove_dir_all(self.stack.dir().join("store/policies")).unwrap();
                self.send(Method::GET, "/v1/policy", &json!({})).await
            }
            ("log.not_found", _) => {
                self.send(Method::GET, &format!("/v1/log?boot={zeroes}"), &json!({})).await
            }
            ("key.not_found", _) => self.send(Method::GET, &format!("/v1/keys/{unknown}"), &json!({})).await,
            ("attestation.not_found", _) => {
                self.send(Method::GET, &format!("/v1/attestations/{zeroes}"), &json!({})).await
            }
            ("record.tampered", _) => {
                let good = std::fs::read(self.record(&id)).unwrap();
                let mut bad = good.clone();
                *bad.last_mut().unwrap() ^= 1;
                std::fs::write(self.record(&id), bad).unwrap();
                let response = self.send(Method::POST, &format!("/v1/keys/{id}/check"), &json!({})).await;
                std::fs::write(self.record(&id), good).unwrap();
                response
            }
            ("record.identity", _) => {
                let good = std::fs::read(self.record(&id)).unwrap();
                std::fs::copy(self.record(&self.frozen), self.record(&id)).unwrap();
                let response = self.send(Method::GET, &format!("/v1/keys/{id}"), &json!({})).await;
                std::fs::write(self.record(&id), good).unwrap();
                response
            }
            ("kms.denied", _) => {
                // A purpose for which there is no data key yet.
                let mut other = self.stack.pcrs.clone();
                for register in other.as_object_mut().unwrap().values_mut() {
                    *register = json!("11".repeat(48));
                }
                self.stack.pin(&[other]);
                let wallet = json!({"user": "desk", "chain": "evm", "purpose": "secondary", "label": "x"});
                self.send(Method::POST, "/v1/addresses", &wallet).await
            }
            ("route.method", _) => self.send(Method::DELETE, "/v1/policy", &json!({})).await,
            other => panic!("nobody knows how to bring {other:?} about"),
        };
        response.json().await.unwrap()
    }

    /// A body that does not come.
    fn slow(&self) -> Value {
        let mut stream = TcpStream::connect(self.node.url.trim_start_matches("http://")).unwrap();
        let head =
            "POST /v1/addresses HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_that_is_an_example_is_brought_about() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let mut keys = Vec::new();
    for user in ["alice", "bob"] {
        let (_, made) = node.post("/v1/addresses", &json!({"user": user, "chain": "evm"})).await;
        keys.push(made["key_id"].as_str().unwrap().parse::<KeyId>().unwrap());
    }
    let freeze = signed_order(&node.deployment, &Restriction::FreezeKey { key_id: keys[1] });
    assert_eq!(node.post("/v1/orders", &json_of(&freeze)).await.0, StatusCode::CREATED);
    let policy = signed_policy(&authority::policy(&node.deployment, 2));
    let trouble = Trouble { stack, node, key: keys[0], frozen: keys[1] };
    let put = trouble.send(Method::PUT, "/v1/policy", &json_of(&policy)).await;
    assert_eq!(put.status(), StatusCode::OK);
    let mut problems = problems(&parent_proxy::api::document());
    for (code, _) in ELSEWHERE {
        let before = problems.len();
        problems.retain(|(example, ..), _| example != code);
        assert!(problems.len() < before, "{code} is no example any more");
    }
    assert!(problems.len() >= 22, "{}", problems.len());
    // What leaves the system as it was, before what does not.
    let last = |code: &str| match code {
        "auth.rate_limited" | "attestation.rate_limited" => 1,
        "kms.denied" | "policy.not_found" => 2,
        _ => 0,
    };
    let mut ordered: Vec<_> = problems.into_iter().collect();
    ordered.sort_by_key(|((code, ..), _)| last(code));
    let mut untrue = Vec::new();
    for ((code, title, field), example) in ordered {
        let mut found = trouble.bring_about(&code, &title, field.as_deref()).await;
        assert!(found.as_object_mut().unwrap().remove("request_id").is_some(), "{found}");
        let mut list = Vec::new();
        differences("", &example, &found, &mut list);
        if !list.is_empty() {
            untrue.push(format!("{code}: {example}\n{found}"));
        }
    }
    assert!(untrue.is_empty(), "{}", untrue.join("\n"));
}
