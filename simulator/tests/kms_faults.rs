//! Faults on demand, counters, and both through the control port.

mod common;

use std::time::{Duration, Instant};

use common::*;
use serde_json::{Value, json};
use simulator::kms::{Count, Fault, FaultRule, KmsError, LocalKms};

#[tokio::test]
async fn faults_happen_as_often_as_asked() {
    let world = world();
    let key = world.open_key();
    let describe = async || world.call("operator", "DescribeKey", json!({"KeyId": key})).await;
    for (fault, status, code) in [
        (Fault::Throttle, 400, "ThrottlingException"),
        (Fault::InternalError, 500, "KMSInternalException"),
        (Fault::Unavailable, 503, "ServiceUnavailableException"),
    ] {
        world.kms.inject(FaultRule::next(fault, 2));
        for _ in 0..2 {
            let refused = describe().await;
            assert_eq!((refused.status.as_u16(), refused.code()), (status, code));
        }
        assert_eq!(describe().await.status, 200);
    }
    assert_eq!(world.kms.counters()["DescribeKey"], Count { calls: 9, errors: 6 });
}

#[tokio::test]
async fn an_answer_can_be_late() {
    let world = world();
    let key = world.open_key();
    world.kms.inject(FaultRule::next(Fault::Delay { milliseconds: 300 }, 1));
    let start = Instant::now();
    assert_eq!(world.call("operator", "DescribeKey", json!({"KeyId": key})).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_connection_can_end_without_an_answer() {
    let world = world();
    world.kms.inject(FaultRule::always(Fault::DropConnection));
    let error =
        world.client.post(world.kms.endpoint()).header("x-amz-target", "TrentService.Decrypt").send().await;
    assert!(error.is_err());
    assert!(world.kms.events().is_empty());
    world.kms.clear_faults();
    assert_eq!(world.call("operator", "ListKeys", json!({})).await.status, 200);
}

#[tokio::test]
async fn the_control_port_does_the_same() {
    let world = world_with(|config| config.control = Some("127.0.0.1:0".parse().unwrap()));
    let control = format!("http://{}", world.kms.control_addr().unwrap());
    let http = reqwest::Client::new();
    let rule = json!({"fault": "throttle", "operation": "ListKeys", "count": 1});
    assert_eq!(http.post(format!("{control}/faults")).json(&rule).send().await.unwrap().status(), 204);
    assert_eq!(world.call("operator", "ListKeys", json!({})).await.code(), "ThrottlingException");
    assert_eq!(world.call("operator", "ListKeys", json!({})).await.status, 200);
    let counters: Value = http.get(format!("{control}/counters")).send().await.unwrap().json().await.unwrap();
    assert_eq!(counters, json!({"ListKeys": {"calls": 2, "errors": 1}}));

    http.post(format!("{control}/faults")).json(&json!({"fault": "internal_error"})).send().await.unwrap();
    assert_eq!(http.delete(format!("{control}/faults")).send().await.unwrap().status(), 204);
    assert_eq!(world.call("operator", "ListKeys", json!({})).await.status, 200);
    let bad = http.post(format!("{control}/faults")).json(&json!({"fault": "x"})).send().await.unwrap();
    assert_eq!(bad.status(), 422);
}

#[test]
fn the_control_port_is_never_open_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = simulator::kms::Config::in_folder(folder.path(), REGION).unwrap();
    config.control = Some("0.0.0.0:0".parse().unwrap());
    assert!(matches!(LocalKms::start(config), Err(KmsError::Control(_))));
}
