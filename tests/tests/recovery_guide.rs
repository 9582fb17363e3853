//! Every command of `docs/recovery.md` works as it stands there: on two buckets of an S3 server that
//! nobody here wrote, with two regions of the local KMS, and an enclave and its parent in each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]

use std::{fs, path::Path};

use chains::Chain;
use cofferdam_tests::{
    authority::{AUDITOR, BACKEND, DESK, operator},
    guide,
    ministack::Ministack,
    programs::program,
    scene::DepositKey,
    stack::Stack,
    tools::python_venv,
    transactions::sweep,
    wire::signature_body,
};
use ed25519_dalek::SigningKey;
use reqwest::StatusCode;
use serde_json::{Value, json};

const OTHER: &str = "us-west-2";

/// A private key as openssl writes it (RFC 8410).
fn pem(folder: &Path, name: &str, key: &SigningKey) -> String {
    const HEAD: [u8; 16] = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    let text = data_encoding::BASE64.encode(&[&HEAD[..], &key.to_bytes()].concat());
    let path = folder.join(name);
    fs::write(&path, format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n")).unwrap();
    path.display().to_string()
}

/// A file with an image's measurements, as the build writes it.
fn image(folder: &Path, name: &str, pcrs: &Value) -> String {
    let path = folder.join(name);
    fs::write(&path, json!({ "Measurements": pcrs }).to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_backup_and_recovery_works() {
    let server = Ministack::with_bucket("first").await;
    let folder = tempfile::tempdir().unwrap();
    let mut store = server.environment();
    // A bucket that locks takes no upload without a checksum.
    store.push(("AWS_CHECKSUM_ALGORITHM".into(), "sha256".into()));
    let first = Stack::with_multi_region_key(folder, "s3://first".into(), store, |_| {});
    let dir = first.dir().to_owned();
    // After a restart what was logged before is shipped.
    let node = first.node("node").ready().await.crash_and_restart(&first).await;
    let mut addresses = Vec::new();
    for chain in [Chain::Evm, Chain::Bitcoin, Chain::Solana, Chain::Tron] {
        let (status, address) = node.post("/v1/addresses", &json!({"user": "alice", "chain": chain})).await;
        assert_eq!(status, StatusCode::CREATED, "{address}");
        addresses.push(address);
    }
    let node = node.crash_and_restart(&first).await;
    let shipped = async || {
        let list = format!("{}/first?list-type=2&prefix=log/v1/", server.endpoint);
        reqwest::get(list).await.unwrap().text().await.unwrap().matches(".jsonl").count()
    };
    while shipped().await < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let lines: String = addresses.iter().map(|address| format!("{address}\n")).collect();
    fs::write(dir.join("addresses.jsonl"), lines).unwrap();

    let replica = first.replica(OTHER);
    let account = simulator::account::Account::load(&dir).unwrap();
    let administrator = account.principal("operator").unwrap();
    let aws = python_venv(&["awscli", "awscli==1.46.2"]).join("bin");
    let path = format!(
        "{}:{}:{}",
        program("cofferdam").parent().unwrap().display(),
        aws.display(),
        std::env::var("PATH").unwrap()
    );
    let work = dir.join("work");
    fs::create_dir(&work).unwrap();
    let text = |path: &Path| path.display().to_string();
    let (key, old_log) = (first.config.kms_keys[0].clone(), dir.join("recovered/log"));
    let mut environment = vec![
        ("PATH", path),
        ("HOME", text(&dir)),
        ("W", text(&work)),
        ("STORE", "first".into()),
        ("COPY", "second".into()),
        ("NEW_REGION", OTHER.into()),
        ("AWS_ACCESS_KEY_ID", administrator.access_key_id.clone()),
        ("AWS_SECRET_ACCESS_KEY", administrator.secret_access_key.expose().into()),
        ("AWS_DEFAULT_REGION", first.config.region.clone()),
        ("AWS_ENDPOINT_URL_S3", server.endpoint.clone()),
        ("AWS_ENDPOINT_URL_KMS", format!("https://{}", first.kms.ready["kms"].as_str().unwrap())),
        ("AWS_CA_BUNDLE", text(&dir.join("tls-root.pem"))),
        ("AWS_EC2_METADATA_DISABLED", "true".into()),
        ("COFFERDAM_DEPLOYMENT", node.deployment.clone()),
        ("OPERATOR", pem(&dir, "operator.pem", &operator())),
        ("DESK", pem(&dir, "desk.pem", &DESK.key())),
        ("AUDITOR", pem(&dir, "auditor.pem", &AUDITOR.key())),
        ("BACKEND", pem(&dir, "backend.pem", &BACKEND.key())),
        ("ROOT", text(&dir.join("nsm-root.pem"))),
        ("IMAGE", image(&dir, "image.json", &first.pcrs)),
        ("ADDRESSES", text(&dir.join("addresses.jsonl"))),
        ("ACCOUNT", "alice".into()),
        ("POLICY_VERSION", "1".into()),
        ("KEY_ARN", key),
        ("OLD_URL", node.url.clone()),
        ("NEW_LOG", text(&old_log)),
    ];
    let run = |heading: &str, environment: &[(&str, String)]| {
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        guide::run_section("recovery.md", heading, &environment)
    };
    let out = run("3. A copy", &environment);
    assert!(out.contains("PreconditionFailed") && out.contains("AccessDenied"), "{out}");
    for (kind, count) in [("keys", 4), ("users", 4), ("policies", 1)] {
        assert!(out.contains(&format!("{count} {kind}")), "{count} {kind}: {out}");
    }
    let out = run("5. Stop", &environment);
    assert!(out.contains("DisabledException") || out.contains("AccessDenied"), "{out}");

    let second = first.in_region(OTHER, &replica, "s3://second".into(), |config| {
        config.activation = "quorum";
    });
    first.replicate(OTHER, std::slice::from_ref(&second.pcrs));
    drop(node);
    let node = second.node("recovered").serving().await;
    environment.extend([
        ("NEW_URL", node.url.clone()),
        ("NEW_IMAGE", image(&dir, "new-image.json", &second.pcrs)),
        ("NEW_CONFIG", text(&node.folder.join("enclave.toml"))),
    ]);
    let out = run("6. Start", &environment);
    assert!(out.contains("freeze everything"), "{out}");
    assert_eq!(run("8. Going", &environment).trim(), "", "no name has two keys");
    // Nothing is frozen any more, and what was copied opens and signs.
    for address in &addresses {
        let path = format!("/v1/keys/{}", address["key_id"].as_str().unwrap());
        assert_eq!(node.get(&path).await, (StatusCode::OK, address.clone()));
        let (status, opened) = node.post(&format!("{path}/check"), &json!({})).await;
        assert_eq!(status, StatusCode::OK, "{opened}");
    }
    let id: protocol::KeyId = addresses[0]["key_id"].as_str().unwrap().parse().unwrap();
    let record = reqwest::get(format!("{}/second/{}", server.endpoint, id.object_path())).await.unwrap();
    let key = DepositKey::of(record.bytes().await.unwrap().to_vec());
    let body = signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(&key, 5));
    let (status, signed) = node.post("/v1/signatures", &body).await;
    assert_eq!(status, StatusCode::OK, "{signed}");
}
