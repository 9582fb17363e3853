//! What was asked for before KMS answered is given by the policy that is in force after it: a client
//! that was removed meanwhile gets nothing more.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::BTreeMap, time::Duration};

use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, KEEPER, now},
    scene::{DEPLOYMENT, DepositKey, Scene, request},
    transactions::sweep,
    wire::{addresses, creation, new_key, signature_body},
};
use protocol::timestamp::Timestamp;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use simulator::kms::{Fault, FaultRule};
use wire::{Answer, Operation, Refusal, RefusalCode};

/// What each operation is called on the log.
const ASKED: [&str; 7] = [
    "address.create",
    "address.confirm",
    "key.check",
    "transaction.sign",
    "transaction.sign",
    "transaction.explain",
    "key.rewrap",
];

/// An enclave to which every data key is new, with two keys under the KMS key before its first.
async fn scene() -> (Scene, [DepositKey; 2]) {
    let mut scene = Scene::with(|config| config.limits = "data_key_age_seconds = 1".into()).await;
    let new = [new_key("alice", Chain::Evm, 0), new_key("alice", Chain::Bitcoin, 0)];
    let keys = scene.keys(&new).await.try_into().unwrap();
    scene.deployment.add_key();
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    (scene, keys)
}

/// One of each operation that asks KMS, in the order of [`ASKED`].
fn operations([evm, bitcoin]: &[DepositKey; 2], round: u64) -> Vec<Operation> {
    let create = creation(DEPLOYMENT, &[new_key("bob", Chain::Evm, round)]);
    let path = format!("/v1/keys/{}/check", evm.id);
    let record = ByteBuf::from(evm.record.clone());
    let confirm = |request| Operation::Confirm { request, records: vec![record.clone()] };
    let shown = confirm(addresses(DEPLOYMENT, &[new_key("alice", Chain::Evm, 0)]));
    let check = confirm(request(&BACKEND, "POST", &path, ""));
    let sign = |path: &str, key: &DepositKey| {
        let body = signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(key, 1000 + round));
        let request = request(&BACKEND, "POST", path, &body.to_string());
        Operation::Sign { request, records: vec![ByteBuf::from(key.record.clone())] }
    };
    let body = json!({ "keys": [evm.id] }).to_string();
    let rewrap = Operation::Rewrap {
        request: request(&KEEPER, "POST", "/v1/keys/rewrap", &body),
        records: vec![record.clone()],
    };
    let (signed, explained) = (sign("/v1/signatures", evm), sign("/v1/signatures/explain", evm));
    vec![create, shown, check, signed, sign("/v1/signatures", bitcoin), explained, rewrap]
}

/// What another policy is like, against the one that all tests share.
type Change = fn(&mut Value);

/// Asks for all of them while KMS takes its time, and puts a policy before it answers, if there is one.
async fn ask(
    scene: &mut Scene,
    operations: Vec<Operation>,
    slow: u64,
    policy: Option<(u64, Change)>,
) -> Vec<Result<Answer, Refusal>> {
    // What is in memory is too old by then.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    scene.deployment.kms.inject(FaultRule::always(Fault::Delay { milliseconds: slow }));
    let mut ids = Vec::new();
    for operation in operations {
        ids.push(scene.wire.send(operation).await);
    }
    tokio::time::sleep(Duration::from_millis(slow / 2)).await;
    if let Some((version, change)) = policy {
        scene.put_policy(version, change).await;
    }
    let mut results = BTreeMap::new();
    while results.len() < ids.len() {
        let response = scene.wire.receive().await.unwrap();
        results.insert(response.id, response.result);
    }
    scene.deployment.kms.clear_faults();
    ids.iter().map(|id| results.remove(id).unwrap()).collect()
}

/// Each was refused with this code, and is on the log once, under this version of the policy.
fn refused(
    scene: &Scene,
    before: usize,
    results: Vec<Result<Answer, Refusal>>,
    code: RefusalCode,
    version: u64,
) {
    let mut tags = Vec::new();
    for (result, operation) in results.into_iter().zip(ASKED) {
        match result {
            Err(refusal) => {
                assert_eq!(refusal.code, code, "{operation}: {refusal}");
                tags.push((operation.to_owned(), refusal.tag().to_owned()));
            }
            Ok(answer) => panic!("{operation}: {answer:?}"),
        }
    }
    let entries = scene.entries().split_off(before).into_iter().filter(|entry| entry.event.client.is_some());
    let mut logged: Vec<(String, String)> = entries
        .map(|entry| {
            assert_eq!(entry.event.policy.unwrap().version, version);
            assert!(entry.event.result.is_none());
            (entry.event.operation.to_string(), entry.event.outcome.tag().to_string())
        })
        .collect();
    logged.sort();
    tags.sort();
    assert_eq!(logged, tags);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_removed_while_kms_was_slow_gets_nothing_more() {
    let (mut scene, keys) = scene().await;
    // With another policy that allows the same, all of it is done.
    let asked = operations(&keys, 0);
    for (result, operation) in ask(&mut scene, asked, 400, Some((2, |_| {}))).await.into_iter().zip(ASKED) {
        match result.unwrap_or_else(|refusal| panic!("{operation}: {refusal}")) {
            Answer::Records(records) => assert_eq!(records.len(), 1),
            Answer::Signatures(signed) => assert!(signed[0].is_ok()),
            Answer::Explanation(json) => assert!(json.contains("\"allowed\":true"), "{json}"),
            Answer::Rewrapped(rewrapped) => assert!(rewrapped.keys[0].is_ok()),
            Answer::Confirmed(shown) => assert!(shown[0].is_ok()),
            other => panic!("{operation}: {other:?}"),
        }
    }
    let asked = operations(&keys, 1);
    let before = scene.entries().len();
    let removed: Change = |policy| {
        let gone = [BACKEND.id, KEEPER.id];
        let clients = policy["clients"].as_array_mut().unwrap();
        clients.retain(|client| !gone.contains(&client["id"].as_str().unwrap()));
    };
    let results = ask(&mut scene, asked, 400, Some((3, removed))).await;
    refused(&scene, before, results, RefusalCode::Forbidden, 3);
    // Nor one of the same name with another key, or without the role.
    scene.put_policy(4, |_| {}).await;
    let asked = operations(&keys, 2);
    let before = scene.entries().len();
    let changed: Change = |policy| {
        for client in policy["clients"].as_array_mut().unwrap() {
            if client["id"] == BACKEND.id {
                *client = cofferdam_tests::authority::Client { seed: 61, ..BACKEND }.in_policy();
            } else if client["id"] == KEEPER.id {
                client["roles"] = json!(["audit.read"]);
            }
        }
    };
    let results = ask(&mut scene, asked, 400, Some((5, changed))).await;
    refused(&scene, before, results, RefusalCode::Forbidden, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_ended_while_kms_was_slow_gives_nothing_more() {
    let (mut scene, keys) = scene().await;
    // Nothing is asked in the second in which it ends.
    let end = Timestamp::from_seconds(now() + 3).unwrap().to_string();
    scene.put_policy(2, |policy| policy["not_after"] = json!(end)).await;
    let asked = operations(&keys, 0);
    let before = scene.entries().len();
    let results = ask(&mut scene, asked, 3000, None).await;
    assert!(results.iter().all(|result| matches!(result, Err(refusal) if refusal.tag() == "policy.expired")));
    refused(&scene, before, results, RefusalCode::PolicyInactive, 2);
}
