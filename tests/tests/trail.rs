//! What `cofferdam kms trail` says of a whole system's calls to its KMS: enclaves that made keys,
//! were restarted and signed explain every one; somebody else's calls stand out.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::process::{Command, Output};

use chains::Chain;
use cofferdam_tests::{
    programs::program,
    scene::DepositKey,
    stack::{Node, REGION, Stack},
    tools::python_venv,
    transactions::sweep,
};
use data_encoding::BASE64;
use protocol::api;
use reqwest::StatusCode;
use serde_json::{Value, json};
use simulator::account::Account;

const ACCOUNT: &str = "arn:aws:iam::000000000000:role";

/// The report on the local KMS's own record and the parent's log, and the exit code.
fn trail(stack: &Stack, more: &[&str]) -> (i32, Value) {
    let key = stack.kms.ready["keyArn"].as_str().unwrap();
    let role = format!("{ACCOUNT}/enclave");
    let mut command = Command::new(program("cofferdam"));
    command
        .current_dir(stack.dir())
        .args(["--json", "kms", "trail", "kms-events.jsonl", "--key", key, "--role", &role])
        .args(["--log", "node/log", "--deployment", &stack.config.deployment])
        .args(["--root", "nsm-root.pem", "--image", "pcrs-0.json"])
        .args(more);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let report = serde_json::from_str(&said);
    (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{said} {output:?}")))
}

/// AWS's own command line, as one of the account's principals.
fn aws(stack: &Stack, who: &str, args: &[&str]) -> Output {
    let account = Account::load(stack.dir()).unwrap();
    let principal = account.principal(who).unwrap();
    let aws = python_venv(&["awscli", "awscli==1.46.2"]).join("bin/aws");
    Command::new(aws)
        .args(["kms", "--endpoint-url", stack.kms.ready["endpoint"].as_str().unwrap(), "--region", REGION])
        .args(args)
        .current_dir(stack.dir())
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", stack.dir())
        .env("AWS_CA_BUNDLE", stack.kms.ready["tlsRoot"].as_str().unwrap())
        .env("AWS_ACCESS_KEY_ID", &principal.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", principal.secret_access_key.expose())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap()
}

/// Without the record's own notes on what it covers.
fn findings<'r>(report: &'r Value) -> Vec<(&'r str, &'r str, &'r str)> {
    let findings = report["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["id"] != "trail.uncovered")
        .map(|finding| {
            let text = |value: &'r Value| value.as_str().unwrap_or_default();
            (text(&finding["id"]), text(&finding["severity"]), text(&finding["event"]["who"]))
        })
        .collect()
}

/// Waits until every entry is on the disk, and signed: what is not signed explains nothing.
async fn signed_log(node: &Node) {
    assert_eq!(node.get("/v1/log/checkpoint").await.0, StatusCode::OK);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_enclaves_is_explained_and_everybody_elses_is_found() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let mut made = Vec::new();
    for chain in ["evm", "bitcoin", "solana", "tron"] {
        let (status, address) = node.post("/v1/addresses", &json!({"user": "alice", "chain": chain})).await;
        assert_eq!(status, StatusCode::CREATED, "{address}");
        made.push(address);
    }
    // Another purpose has another data key.
    let wallet = json!({"user": "desk", "chain": "evm", "purpose": "secondary", "label": "market maker"});
    let (status, wallet) = node.post("/v1/addresses", &wallet).await;
    assert_eq!(status, StatusCode::CREATED, "{wallet}");

    signed_log(&node).await;

    // The next enclave opens what the first one sealed: to check keys, and to sign.
    let node = node.crash_and_restart(&stack).await;
    for address in made.iter().chain([&wallet]) {
        let path = format!("/v1/keys/{}/check", address["key_id"].as_str().unwrap());
        assert_eq!(node.post(&path, &json!({})).await.0, StatusCode::OK);
    }
    signed_log(&node).await;
    let key = DepositKey {
        id: made[0]["key_id"].as_str().unwrap().parse().unwrap(),
        chain: Chain::Evm,
        address: made[0]["address"].as_str().unwrap().to_owned(),
        taproot: None,
        record: Vec::new(),
    };
    let transaction = api::encode_transaction(Chain::Evm, &sweep(&key, 7));
    let body = json!({"chain": "evm", "keys": [key.id.to_string()], "transaction": transaction});
    let node = node.crash_and_restart(&stack).await;
    let (status, signed) = node.post("/v1/signatures", &body).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
    signed_log(&node).await;

    let (code, report) = trail(&stack, &[]);
    assert_eq!((code, findings(&report)), (0, vec![]), "{report}");
    let (calls, opened) = (stack.calls("GenerateDataKey").await, stack.calls("Decrypt").await);
    // Each data key was opened once before it sealed.
    assert_eq!((calls, opened), (2, 5));
    assert_eq!(report["explained"], json!({"generate_data_key": calls, "decrypt": opened}));
    assert_eq!((&report["boots"], &report["read"]["on_key"]), (&json!(3), &json!(7)));

    // The operator has a record's wrapped data key, and the right to change the policy.
    let blob = stack.dir().join("blob");
    std::fs::write(&blob, b"not even a blob").unwrap();
    let key_arn = stack.kms.ready["keyArn"].as_str().unwrap().to_owned();
    let context = ["--encryption-context", "deployment=laptop,purpose=sweep"];
    let generate =
        [&["generate-data-key", "--key-id", &key_arn, "--key-spec", "AES_256"][..], &context].concat();
    for who in ["operator", "enclave"] {
        assert!(!aws(&stack, who, &generate).status.success(), "the policy denies it without an enclave");
    }
    let open = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": format!("{ACCOUNT}/operator")}, "Action": "kms:*", "Resource": "*",
    }]});
    let put =
        ["put-key-policy", "--key-id", &key_arn, "--policy-name", "default", "--policy", &open.to_string()];
    let output = aws(&stack, "operator", &put);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = aws(&stack, "operator", &generate);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wrapped = BASE64.decode(answer["CiphertextBlob"].as_str().unwrap().as_bytes()).unwrap();
    std::fs::write(&blob, wrapped).unwrap();
    let decrypt = [&["decrypt", "--ciphertext-blob", "fileb://blob"][..], &context].concat();
    assert!(aws(&stack, "operator", &decrypt).status.success());

    let (code, report) = trail(&stack, &[]);
    let (operator, enclave) = ("operator/operator", "enclave/enclave");
    let who = |name: &str| format!("arn:aws:sts::000000000000:assumed-role/{name}");
    let expected = [
        ("trail.control", "critical", who(operator)),
        ("trail.unattested", "critical", who(operator)),
        ("trail.unattested", "critical", who(operator)),
        ("trail.unattested", "medium", who(operator)),
        ("trail.unattested", "medium", who(enclave)),
    ];
    let found: Vec<_> =
        findings(&report).into_iter().map(|(id, bad, who)| (id, bad, who.to_owned())).collect();
    assert_eq!((code, found.as_slice()), (1, &expected[..]), "{report}");
    assert_eq!(report["explained"], json!({"generate_data_key": calls, "decrypt": opened}));
    // To an auditor who expects the operator to hold the key, the change is information.
    let admin = format!("{ACCOUNT}/operator");
    let (code, report) = trail(&stack, &["--admin", &admin]);
    assert_eq!(code, 1);
    assert!(findings(&report).contains(&("trail.control", "info", &who(operator))), "{report}");
}
