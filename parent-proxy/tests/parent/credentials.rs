//! Credentials as EC2 gives them (IMDSv2): fetched, passed on, and renewed before they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, put},
};
use serde_json::json;

use crate::support::{eventually, process::Site};

/// How long the stand-in's credentials are good for.
const GOOD_FOR: Duration = Duration::from_secs(6);

/// A stand-in for the instance metadata service: version 2 only, each answer with new credentials.
async fn imds(served: Arc<AtomicU64>) -> String {
    async fn credentials(
        State(served): State<Arc<AtomicU64>>,
        headers: HeaderMap,
    ) -> Result<String, StatusCode> {
        if headers.get("x-aws-ec2-metadata-token").is_none_or(|token| token != "the-token") {
            return Err(StatusCode::UNAUTHORIZED);
        }
        let number = served.fetch_add(1, Ordering::SeqCst) + 1;
        let ends = SystemTime::now() + GOOD_FOR;
        let ends = time::OffsetDateTime::from(ends);
        let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        Ok(json!({
            "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z",
            "AccessKeyId": format!("ASIA{number}"), "SecretAccessKey": "secret", "Token": "token",
            "Expiration": ends.format(&format).unwrap(),
        })
        .to_string())
    }

    let router = Router::new()
        .route(
            "/latest/api/token",
            put(|| async { ([("x-aws-ec2-metadata-token-ttl-seconds", "21600")], "the-token") }),
        )
        .route("/latest/meta-data/iam/security-credentials/", get(|| async { "the-role" }))
        .route("/latest/meta-data/iam/security-credentials/{role}", get(credentials))
        .with_state(served);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    format!("http://{address}")
}

#[tokio::test]
async fn an_instances_credentials_are_renewed_before_they_end() {
    let site = Site::new();
    let double = site.double();
    double.state.lock().unwrap().phase = wire::Phase::AwaitingCredentials;
    let served = Arc::new(AtomicU64::new(0));
    let mut command = site.command();
    for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"] {
        command.env_remove(variable);
    }
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds(served).await);
    command.args(["--enclave-connections", "1"]);
    let _parent = site.start(command).await.ready().await;
    eventually("they are renewed twice", async || double.state.lock().unwrap().credentials.len() >= 3).await;
    let seen: Vec<_> = double.state.lock().unwrap().credentials.clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    assert!(seen.iter().all(|credentials| credentials.session_token.as_deref() == Some("token")));
    assert!(seen.windows(2).all(|pair| pair[0].access_key_id != pair[1].access_key_id));
    assert!(seen.last().unwrap().expires.unwrap() > now);
}
