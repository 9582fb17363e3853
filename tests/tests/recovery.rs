//! A region is lost. In another one are a copy of the store, the replica of the multi-Region KMS key
//! with a policy of its own, and an image of its own: what was copied opens and signs as before, and
//! nobody else gets a data key there (`docs/recovery.md`).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use attestation::DocumentHash;
use chains::Chain;
use cofferdam_tests::{
    authority::{self, envelope, operator},
    config::Config,
    programs::program,
    scene::DepositKey,
    stack::{Node, Stack, http},
    transactions::sweep,
    wire::signature_body,
};
use protocol::{KeyId, Record, dsse::ACTIVATION_TYPE, order::Restriction, timestamp::Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const OTHER: &str = "us-west-2";
const CHAINS: [Chain; 4] = [Chain::Evm, Chain::Bitcoin, Chain::Solana, Chain::Tron];

/// A deployment in the first region, on a folder.
fn first_region() -> Stack {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fs::create_dir(&store).unwrap();
    Stack::with_multi_region_key(folder, format!("file://{}", store.display()), Vec::new(), |_| {})
}

/// The other region's deployment, on a copy of the store.
fn other_region(stack: &Stack, key: &str, change: impl FnOnce(&mut Config)) -> Stack {
    let copy = stack.dir().join("copy");
    stack.in_region(OTHER, key, format!("file://{}", copy.display()), change)
}

/// Copies what is there now, and never what is there already.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else if !to.exists() {
            fs::copy(from, to).unwrap();
        }
    }
}

fn backup(stack: &Stack) {
    copy(&stack.dir().join("store"), &stack.dir().join("copy"));
}

async fn create(node: &Node, user: &str, chain: Chain) -> Value {
    let (status, address) = node.post("/v1/addresses", &json!({"user": user, "chain": chain})).await;
    assert_eq!(status, StatusCode::CREATED, "{address}");
    address
}

fn key_id(address: &Value) -> KeyId {
    address["key_id"].as_str().unwrap().parse().unwrap()
}

/// The record of an address in a store.
fn record(store: &Path, address: &Value) -> Vec<u8> {
    fs::read(store.join(key_id(address).object_path())).unwrap()
}

/// The request for a signature: the same sweep for the same key.
fn signature(key: &DepositKey) -> Value {
    let transaction = sweep(key, 1000);
    signature_body(key.chain, std::slice::from_ref(&key.record), &transaction)
}

async fn check(node: &Node, address: &Value) -> (StatusCode, Value) {
    node.post(&format!("/v1/keys/{}/check", key_id(address)), &json!({})).await
}

/// The operators' word for the boot that this node runs, and that no other boot had.
async fn activate(node: &Node, boot: DocumentHash) -> StatusCode {
    let issued = Timestamp::from_seconds(authority::now()).unwrap().to_string();
    let statement = json!({"v": 1, "deployment": node.deployment, "boot": boot.to_string(),
        "policy_version": 1, "issued_at": issued});
    let word = envelope(ACTIVATION_TYPE, statement.to_string().as_bytes(), &[operator()]);
    let put = http().put(format!("{}/v1/activation", node.url)).header("content-type", "application/json");
    put.body(word).send().await.unwrap().status()
}

/// The boots in a log's folder.
fn boots(log: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// `cofferdam recovery drill` of everything that the log names, for the first of the images; boots of
/// the log may be of either.
fn drill(stack: &Stack, log: &Path, images: [&Value; 2], node: &Node) -> Value {
    let file = |name: &str, text: String| {
        let path = stack.dir().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let [now, before] = [0, 1].map(|at| file(&format!("drill-{at}.json"), images[at].to_string()));
    let key = file("drill.pem", authority::BACKEND.key_file());
    let output = Command::new(program("cofferdam"))
        .args(["--json", "recovery", "drill", "--all", "--url", &node.url, "--deployment", &node.deployment])
        .args(["--client-id", authority::BACKEND.id, "--client-key"])
        .arg(key)
        .arg("--root")
        .arg(stack.dir().join("nsm-root.pem"))
        .arg("--image")
        .arg(now)
        .arg("--log-image")
        .arg(before)
        .arg("--log")
        .arg(log)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "a key is missing: {told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_copied_opens_and_signs_the_same_in_another_region_after_the_first_is_gone() {
    let first = first_region();
    let node = first.node("node").ready().await;
    let mut made = Vec::new();
    for user in ["alice", "bob"] {
        for chain in CHAINS {
            let address = create(&node, user, chain).await;
            let key = DepositKey::of(record(&first.dir().join("store"), &address));
            let body = signature(&key);
            let (status, signed) = node.post("/v1/signatures", &body).await;
            assert_eq!(status, StatusCode::OK, "{signed}");
            made.push((address, body, signed));
        }
    }
    let mallory = create(&node, "mallory", Chain::Evm).await;
    let order = authority::signed_order(
        &node.deployment,
        &Restriction::FreezeUser { user: "mallory".parse().unwrap() },
    );
    let (status, frozen) = node.post_raw("/v1/orders", String::from_utf8(order).unwrap()).await;
    assert!(status.is_success(), "{frozen}");
    backup(&first);
    let late = create(&node, "late", Chain::Solana).await;

    // Whoever prepares: the replica's ARN is known before there is a replica, and with it the image.
    let replica = first.replica(OTHER);
    let second = other_region(&first, &replica, |config| config.activation = "quorum");
    assert_eq!(first.replicate(OTHER, std::slice::from_ref(&second.pcrs)), replica);
    // What the first parent had on its disk is gone with it, but for what an operator kept of the log.
    let kept = node.folder.join("log");
    let recovered = second.dir().join("recovered");
    copy(&kept, &recovered.join("log"));
    let before = boots(&kept);
    drop(node);
    let (gone, expected, pcrs) = (first.kms.id(), first.pcrs.clone(), second.pcrs.clone());
    assert_ne!(expected, pcrs);
    drop(first);
    assert!(!Path::new(&format!("/proc/{gone}")).exists());

    let node = second.node("recovered").serving().await;
    let (status, waiting) = check(&node, &made[0].0).await;
    assert_eq!((status, &waiting["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("policy.activation")));
    let boot = boots(&recovered.join("log")).difference(&before).next().unwrap().parse().unwrap();
    // The policy is that of the copied store: nobody put it here.
    assert_eq!(activate(&node, boot).await, StatusCode::OK);
    for (address, body, signed) in &made {
        let (status, opened) = check(&node, address).await;
        assert_eq!(status, StatusCode::OK, "{opened}");
        let (status, found) = node.get(&format!("/v1/keys/{}", key_id(address))).await;
        assert_eq!((status, &found), (StatusCode::OK, address), "the same key, address and certificate");
        let asked = json!({"user": address["user"], "chain": address["chain"]});
        assert_eq!(node.post("/v1/addresses", &asked).await, (StatusCode::OK, address.clone()));
        assert_eq!(node.post("/v1/signatures", body).await, (StatusCode::OK, signed.clone()));
    }
    assert_eq!(second.calls("Decrypt").await, 1, "all of them are under one data key");
    // The freeze was in the store, and holds.
    let key = DepositKey::of(record(&second.dir().join("copy"), &mallory));
    let (status, refused) = node.post("/v1/signatures", &signature(&key)).await;
    assert_eq!((status, &refused["code"]), (StatusCode::LOCKED, &json!("order.frozen")), "{refused}");
    assert_eq!(refused["order_id"], frozen["order_id"]);
    // What was made after the copy is not there.
    assert_eq!(node.get(&format!("/v1/keys/{}", key_id(&late))).await.0, StatusCode::NOT_FOUND);
    assert_eq!(check(&node, &late).await.0, StatusCode::NOT_FOUND);

    // The drill says the same, measured: of the log that an operator kept, one key is not here.
    let drill = drill(&second, &recovered.join("log"), [&pcrs, &expected], &node);
    assert_eq!(drill["records"]["opened"], made.len() + 1, "{drill}");
    assert_eq!((&drill["rpo"]["missing"], &drill["rpo"]["exact"]), (&json!(1), &json!(true)), "{drill}");
    assert!(drill["rto"]["last_key_seconds"].as_f64().unwrap() > 0.0, "{drill}");

    // Creation goes on, under the replica; the certificate is the new image's.
    let address = create(&node, "carol", Chain::Evm).await;
    second.verify_address(&node, &address).await;
    let sealed = Record::parse(&record(&second.dir().join("copy"), &address)).unwrap();
    assert_eq!(sealed.header().kms_key, replica);
    assert_eq!(check(&node, &address).await.0, StatusCode::OK);
    assert_eq!(second.calls("GenerateDataKey").await, 1);
    // The new boot's log names the last checkpoint of the region that is gone.
    let entries = node.request(&http(), Method::GET, &format!("/v1/log?boot={boot}&from=1"), Vec::new());
    let entries = entries.send().await.unwrap().text().await.unwrap();
    let entry: Value = serde_json::from_str(entries.lines().next().unwrap()).unwrap();
    let previous = before.iter().next().unwrap();
    assert!(entry.to_string().contains(previous), "{entry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_what_the_other_region_made_opens_in_the_first_one() {
    let first = first_region();
    let old = first.node("node").ready().await;
    create(&old, "alice", Chain::Evm).await;
    backup(&first);
    let second = other_region(&first, &first.replica(OTHER), |_| {});
    first.replicate(OTHER, std::slice::from_ref(&second.pcrs));
    let new = second.node("recovered").ready().await;
    let made = create(&new, "carol", Chain::Tron).await;
    drop(new);
    copy(&first.dir().join("copy"), &first.dir().join("store"));
    assert_eq!(check(&old, &made).await.0, StatusCode::OK);
    assert_eq!(old.get(&format!("/v1/keys/{}", key_id(&made))).await, (StatusCode::OK, made));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_other_region_another_key_and_another_image_open_nothing() {
    let first = first_region();
    let node = first.node("node").ready().await;
    let address = create(&node, "alice", Chain::Evm).await;
    backup(&first);
    let replica = first.replica(OTHER);
    let refused = async |node: &Node, status: StatusCode, code: &str| {
        let (found, problem) = check(node, &address).await;
        assert_eq!((found, problem["code"].as_str()), (status, Some(code)), "{problem}");
    };

    // Without a replica there is nothing to ask.
    let second = other_region(&first, &replica, |_| {});
    let node = second.node("second").ready().await;
    refused(&node, StatusCode::BAD_GATEWAY, "kms.denied").await;
    // Its policy is its own: the first region's image is not that of this one.
    first.replicate(OTHER, std::slice::from_ref(&first.pcrs));
    refused(&node, StatusCode::BAD_GATEWAY, "kms.denied").await;
    let (status, problem) = node.post("/v1/addresses", &json!({"user": "bob", "chain": "evm"})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::BAD_GATEWAY, &json!("kms.denied")));
    first.replicate(OTHER, std::slice::from_ref(&second.pcrs));
    assert_eq!(check(&node, &address).await.0, StatusCode::OK);

    // A configuration that names an unrelated key, of several regions or of one.
    for (number, unrelated) in
        ["mrk-00000000000000000000000000000000", "11111111-2222-4333-8444-555555555555"]
            .into_iter()
            .enumerate()
    {
        let (arn, _) = replica.rsplit_once('/').unwrap();
        let other = other_region(&first, &format!("{arn}/{unrelated}"), |_| {});
        let node = other.node(&format!("unrelated-{number}")).ready().await;
        refused(&node, StatusCode::UNPROCESSABLE_ENTITY, "record.kms_key").await;
    }
}
