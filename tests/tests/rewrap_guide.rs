//! Every command of `docs/rewrap.md` works as it stands there, in the middle of a move.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{fs, os::unix::fs::PermissionsExt};

use cofferdam_tests::{authority::KEEPER, guide, stack::Stack};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_page_works() {
    let mut stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let wanted: Vec<_> = (0..5)
        .flat_map(|n| ["evm", "solana"].map(|chain| json!({"user": "alice", "chain": chain, "index": n})))
        .collect();
    let (status, made) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    let images = [stack.pcrs.clone(), {
        let new = stack.create_key();
        stack.config.kms_keys.insert(0, new);
        stack.measure(&stack.config)
    }];
    stack.pin(&images);
    let node = node.reconfigure(&stack, &stack.config).await;
    let (status, _) = node.post("/v1/addresses", &json!({"user": "bob", "chain": "tron"})).await;
    assert_eq!(status, StatusCode::CREATED);

    let file = |name: &str, text: &str| {
        let path = stack.dir().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let image = |name: &str, pcrs: &Value| file(name, &json!({ "Measurements": pcrs }).to_string());
    let client = file("keeper", &KEEPER.key_file());
    let (old, new) = (image("old.json", &images[0]), image("new.json", &images[1]));
    let (log, root) = (node.folder.join("log"), stack.dir().join("nsm-root.pem"));
    let (log, root) = (log.display().to_string(), root.display().to_string());
    let environment = [
        ("COFFERDAM_URL", node.url.as_str()),
        ("COFFERDAM_DEPLOYMENT", &node.deployment),
        ("COFFERDAM_CLIENT_ID", KEEPER.id),
        ("COFFERDAM_CLIENT_KEY", &client),
        ("NEW_KEY", &stack.config.kms_keys[0]),
        ("LOG", &log),
        ("ROOT", &root),
        ("OLD_IMAGE", &old),
        ("IMAGE", &new),
    ];
    // One shell, so on another thread than the one that drives the connections.
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let out = tokio::task::spawn_blocking(move || {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        guide::run("rewrap.md", 3, &environment)
    });
    let out = out.await.unwrap();
    for said in ["re-sealed      10", "11 of 11 keys opened under the new KMS key", "Not safe"] {
        assert!(out.contains(said), "{said}\n{out}");
    }
}
