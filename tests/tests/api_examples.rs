//! The examples of the OpenAPI document are answers of the system: every request that stands there is made
//! again, and what is answered is what stands there, but for what is new each time (keys, times, signatures,
//! hashes). With UPDATE=1 in the environment they are written down anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::path::Path;

use chains::Chain;
use cofferdam_tests::{
    alike::differences,
    authority::{self, collection, envelope, operator, signed_order, signed_policy},
    stack::{Node, Stack, http},
    transactions::Evm,
};
use data_encoding::{BASE64, HEXLOWER};
use protocol::{KeyId, KeyPath, NewKey, Purpose, dsse::ACTIVATION_TYPE, order::Restriction};
use reqwest::Method;
use serde_json::{Map, Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What was asked and answered so far.
struct Run<'n> {
    node: &'n Node,
    made: Map<String, Value>,
}

impl Run<'_> {
    async fn ask(&mut self, id: &str, method: Method, target: &str, body: Option<&Value>) -> Value {
        let bytes = body.map(Value::to_string).unwrap_or_default().into_bytes();
        let response = self.node.request(&http(), method, target, bytes).send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        let mut made = json!({"status": status, "answer": answer});
        if let Some(body) = body {
            made["request"] = body.clone();
        }
        assert!(self.made.insert(id.into(), made).is_none(), "{id} twice");
        answer
    }

    async fn get(&mut self, id: &str, target: &str) -> Value {
        self.ask(id, Method::GET, target, None).await
    }

    async fn post(&mut self, id: &str, target: &str, body: &Value) -> Value {
        self.ask(id, Method::POST, target, Some(body)).await
    }
}

fn json_of(envelope: &[u8]) -> Value {
    serde_json::from_slice(envelope).unwrap()
}

/// An EVM transaction of the key to an address.
fn transaction(to: &str) -> String {
    format!("0x{}", HEXLOWER.encode(&Evm::native(to).typed()))
}

async fn all_operations(node: &Node) -> Map<String, Value> {
    let mut run = Run { node, made: Map::new() };
    run.get("alive", "/healthz").await;
    run.get("ready", "/readyz").await;
    let alice = json!({"user": "alice", "chain": "evm", "label": "main account"});
    let made = run.post("createAddress", "/v1/addresses", &alice).await;
    let key = made["key_id"].clone();
    let id = key.as_str().unwrap();
    let many = json!({"addresses": [{"user": "alice", "chain": "bitcoin"}, {"user": "bob", "chain": "solana", "index": 7}]});
    let many = run.post("createAddresses", "/v1/addresses/batch", &many).await;
    run.get("listKeys", "/v1/keys?user=alice&limit=1").await;
    run.get("readKey", &format!("/v1/keys/{id}")).await;
    let expected = json!({"address": made["address"]});
    run.post("checkKey", &format!("/v1/keys/{id}/check"), &expected).await;
    let pays = |to: &str| json!({"chain": "evm", "keys": [key], "transaction": transaction(to)});
    let mut sweep = pays(&collection(Chain::Evm));
    sweep["expected"] = json!([{"key_id": key, "address": made["address"]}]);
    run.post("sign", "/v1/signatures", &sweep).await;
    let mut unknown = sweep.clone();
    unknown["keys"] = json!(["key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipa"]);
    unknown.as_object_mut().unwrap().remove("expected");
    run.post("signBatch", "/v1/signatures/batch", &json!({"signatures": [sweep, unknown]})).await;
    run.post("explain", "/v1/signatures/explain", &pays("0x1111111111111111111111111111111111111111")).await;
    run.post("rewrapKeys", "/v1/keys/rewrap", &json!({"keys": [key]})).await;
    let order = json_of(&signed_order(
        &node.deployment,
        &Restriction::FreezeKey { key_id: many["addresses"][0]["key_id"].as_str().unwrap().parse().unwrap() },
    ));
    run.post("submitOrder", "/v1/orders", &order).await;
    run.get("readOrders", "/v1/orders").await;
    let api = json!({"user": "desk", "chain": "evm", "purpose": "secondary", "label": "hot wallet"});
    let (_, wallet) = node.post("/v1/addresses", &api).await;
    let id: KeyId = wallet["key_id"].as_str().unwrap().parse().unwrap();
    let path = KeyPath {
        user: "desk".parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Secondary,
        index: 1.try_into().unwrap(),
    };
    let next = NewKey::new(path, Some("hot wallet".parse().unwrap()));
    let order =
        signed_order(&node.deployment, &Restriction::RetireKey { key_id: id, replacement: Some(next) });
    let order = json!({"order": BASE64.encode(&order)});
    run.post("replaceKey", &format!("/v1/keys/{id}/replace"), &order).await;
    let policy = json_of(&signed_policy(&authority::policy(&node.deployment, 2)));
    run.ask("putPolicy", Method::PUT, "/v1/policy", Some(&policy)).await;
    let statement = json!({
        "v": 1, "deployment": node.deployment, "boot": made["attestation"], "policy_version": 2,
        "issued_at": "2026-01-02T03:04:05Z",
    });
    let word = json_of(&envelope(ACTIVATION_TYPE, statement.to_string().as_bytes(), &[operator()]));
    run.ask("putActivation", Method::PUT, "/v1/activation", Some(&word)).await;
    run.get("readPolicy", "/v1/policy").await;
    run.get("readCheckpoint", "/v1/log/checkpoint").await;
    run.made
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_is_an_answer_of_the_system() {
    let stack = Stack::on_files();
    let mut node = stack.node("node").ready().await;
    let mut made = all_operations(&node).await;
    for (id, made) in &made {
        assert!(made["status"].as_u64().unwrap() < 300, "{id}: {made}");
    }
    node.enclave.take().unwrap().kill();
    let alone = loop {
        let (status, answer) = node.get("/readyz").await;
        if answer["enclave"] == "disconnected" {
            break json!({"status": status.as_u16(), "answer": answer});
        }
    };
    made.insert("ready 503".into(), alone);
    let made = Value::Object(made);
    let file = root().join("parent-proxy/src/api/examples.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, format!("{}\n", serde_json::to_string_pretty(&made).unwrap())).unwrap();
    }
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let mut list = Vec::new();
    differences("", &kept, &made, &mut list);
    assert!(list.is_empty(), "UPDATE=1 writes what is answered now:\n{}", list.join("\n"));
    // The document has them, and no example of an answer beside them.
    let document = parent_proxy::api::document();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            let request = &operation["requestBody"]["content"]["application/json"];
            assert_eq!(request.get("example"), kept[id].get("request"), "{id}");
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let Some(content) = answer["content"].get("application/json") else { continue };
                let recorded = [id.to_owned(), format!("{id} {status}")].into_iter().find_map(|name| {
                    let recorded = &kept[name];
                    let of_status = recorded["status"].as_u64() == status.parse().ok();
                    of_status.then(|| &recorded["answer"])
                });
                // Of what answers 201 the first time, 200 has the same form.
                assert_eq!(content.get("example"), recorded, "{id} {status}");
                let first = matches!(id, "createAddress" | "submitOrder" | "replaceKey") && status == "200";
                assert!(recorded.is_some() || first || id == "openapi", "{id} {status} without an example");
            }
        }
    }
}
