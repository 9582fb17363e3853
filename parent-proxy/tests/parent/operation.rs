//! What operators see: readiness, metrics, the log, the end, and what never appears in any of it.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    client,
    double::Reply,
    eventually,
    process::{Parent, Site},
};
use wire::Operation;

fn alice(parent: &Parent) -> reqwest::RequestBuilder {
    let body = json!({"user": "alice", "chain": "evm"});
    let headers = client::sign("POST", "/v1/addresses", body.to_string().as_bytes());
    client::with(parent.request(reqwest::Method::POST, "/v1/addresses"), headers).json(&body)
}

#[tokio::test]
async fn readiness_says_which_part_is_not_ready() {
    let site = Site::new();
    let parent = site.parent(&[]).await;
    eventually("credentials are there", async || parent.get("/readyz").await.json()["credentials"] == "ok")
        .await;
    let waiting = parent.get("/readyz").await;
    let expected = json!({"ready": false, "enclave": "disconnected", "store": "ok", "log": "closed", "policy": null, "credentials": "ok", "draining": false});
    assert_eq!((waiting.status.as_u16(), waiting.json()), (503, expected));
    assert_eq!(parent.get("/healthz").await.json(), json!({"status": "alive"}));
    let _double = site.double();
    let parent = parent.ready().await;
    assert_eq!(parent.get("/readyz").await.json()["enclave"], "serving");
}

#[tokio::test]
async fn without_credentials_the_enclave_waits_and_the_parent_says_so() {
    let site = Site::new();
    let double = site.double();
    double.state.lock().unwrap().phase = wire::Phase::AwaitingCredentials;
    let mut command = site.command();
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let parent = site.start(command).await;
    eventually("it is connected", async || {
        parent.get("/readyz").await.json()["enclave"] == "awaiting_credentials"
    })
    .await;
    let readiness = parent.get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), &readiness.json()["credentials"]), (503, &json!("missing")));
    let refused = parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    refused.problem(503, "enclave.not_ready");
}

#[tokio::test]
async fn what_is_under_way_is_finished_before_the_end() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--drain-delay", "0.5"]).await.ready().await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::After(Duration::from_millis(1500)),
        _ => Reply::Usual,
    });
    let slow = tokio::spawn(alice(&parent).send());
    eventually("it is under way", async || double.count("create") == 1).await;
    parent.signal("TERM");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let readiness = parent.get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), &readiness.json()["draining"]), (503, &json!(true)));
    tokio::time::sleep(Duration::from_millis(700)).await;
    let address = parent.address.clone();
    assert!(tokio::net::TcpStream::connect(&address).await.is_err(), "it no longer accepts");
    assert_eq!(slow.await.unwrap().unwrap().status(), 201);
    assert!(parent.ended().await.success());
    assert!(!site.path("egress.sock").exists());
    assert_eq!(site.stored_in("keys").len(), 1);
}

#[tokio::test]
async fn the_end_does_not_wait_for_ever() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--drain-timeout", "0.5"]).await.ready().await;
    double.script(|operation| match operation {
        Operation::Create { .. } => Reply::Nothing,
        _ => Reply::Usual,
    });
    let stuck = tokio::spawn(alice(&parent).send());
    eventually("it is under way", async || double.count("create") == 1).await;
    let started = std::time::Instant::now();
    assert!(parent.stop().await.success());
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(stuck.await.unwrap().is_err());
}

#[tokio::test]
async fn neither_users_nor_credentials_appear_in_the_log_or_the_metrics() {
    for format in ["human", "json"] {
        let site = Site::new();
        let double = site.double();
        let parent = site.parent(&["--log-level", "trace", "--log-format", format]).await.ready().await;
        let body = json!({"user": "SECRETUSER", "chain": "evm", "label": "SECRETLABEL"});
        let made = parent.post("/v1/addresses", &body).await.json();
        parent.post("/v1/addresses", &body).await;
        parent.get("/v1/keys?user=SECRETUSER").await;
        parent.get("/v1/keys?user=SECRETUSER&cursor=SECRETUSER").await.problem(400, "request.invalid");
        parent.get("/SECRETUSER").await.problem(404, "route.not_found");
        parent.post_raw("/v1/addresses", "{\"user\":\"SECRETUSER\",").await.problem(400, "request.malformed");
        double.script(|operation| match operation {
            Operation::Create { .. } => Reply::Close,
            _ => Reply::Usual,
        });
        let other = json!({"user": "SECRETUSER", "chain": "evm", "index": 1});
        parent.post("/v1/addresses", &other).await.problem(503, "enclave.unavailable");
        std::fs::write(site.stored_in("keys").pop().unwrap(), "SECRETUSER").unwrap();
        parent.post("/v1/addresses", &body).await.problem(502, "record.malformed");
        let metrics = String::from_utf8(parent.get("/metrics").await.body).unwrap();
        assert!(metrics.contains("cofferdam_parent_store_probe 1"));
        let log = site.log();
        assert!(log.contains("/v1/addresses"), "{log}");
        let address = made["address"].as_str().unwrap();
        for secret in ["SECRETUSER", "SECRETLABEL", "s3cr3t-of-the-test", "AKIDSECRETID", address] {
            assert!(!log.contains(secret), "{secret} in {log}");
            assert!(!metrics.contains(secret), "{secret} in {metrics}");
        }
        if format == "json" {
            assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
        }
    }
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let site = Site::new();
    let _double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    parent.post("/v1/addresses", &json!({"user": "alice", "chain": "evm"})).await;
    parent.post("/v1/addresses", &json!({"user": "", "chain": "evm"})).await;
    parent.get("/v1/nothing").await;
    let metrics = String::from_utf8(parent.get("/metrics").await.body).unwrap();
    for line in [
        r#"cofferdam_parent_http_requests_total{route="/v1/addresses",method="POST",status="201"} 1"#,
        r#"cofferdam_parent_http_requests_total{route="/v1/addresses",method="POST",status="200"} 1"#,
        r#"cofferdam_parent_http_requests_total{route="/v1/addresses",method="POST",status="400"} 1"#,
        r#"cofferdam_parent_http_requests_total{route="none",method="GET",status="404"} 1"#,
        r#"cofferdam_parent_addresses_total{outcome="created"} 1"#,
        r#"cofferdam_parent_addresses_total{outcome="existing"} 1"#,
        r#"cofferdam_parent_enclave_calls_total{operation="create",outcome="ok"} 1"#,
        "cofferdam_parent_enclave_connections 4",
        "cofferdam_parent_enclave_serving 1",
        "cofferdam_parent_enclave_in_flight 0",
        "cofferdam_parent_credentials_expiry_timestamp_seconds 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn what_cannot_serve_says_why_and_fails() {
    let site = Site::new();
    std::fs::write(site.path("a-file"), "").unwrap();
    let failed = async |arguments: &[&str]| {
        let output = site.command().args(arguments).output().await.unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let store = format!("file://{}", site.path("a-file").display());
    assert!(failed(&["--store", &store]).await.contains("the store cannot be opened"));
    assert!(failed(&["--store", "ftp://x"]).await.contains("or s3://BUCKET/PREFIX"));
    assert!(failed(&["--tls-cert", "/nowhere"]).await.contains("--tls-key"));
    assert!(failed(&["--tls-cert", "/nowhere", "--tls-key", "/nowhere"]).await.contains("PEM of"));
    let other = site.parent(&[]).await;
    let endpoint = format!("unix://{}", site.path("other.sock").display());
    let log = site.path("other-book").display().to_string();
    let taken = failed(&["--listen", &other.address, "--kms-egress", &endpoint, "--log", &log]).await;
    assert!(taken.contains("cannot be listened on"), "{taken}");
}
