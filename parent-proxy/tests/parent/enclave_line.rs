//! The line to the enclave when the enclave is slow, dies, comes back, or does not keep to the
//! protocol. Never is anything acknowledged that was not stored, or answered that was not asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crate::support::{
    double::{Reply, keys_of, record},
    eventually,
    process::{Parent, Site},
};
use attestation::DocumentHash;
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Phase, Refusal, RefusalCode};

fn address(user: &str) -> Value {
    json!({"user": user, "chain": "evm"})
}

fn is_creation(operation: &Operation) -> bool {
    matches!(operation, Operation::Create { .. })
}

/// Says something else to the first creations, and the usual to all else.
fn to_first(count: usize, reply: impl Fn() -> Reply + Send + Sync + 'static) -> impl Fn(&Operation) -> Reply {
    let left = AtomicUsize::new(count);
    move |operation| {
        let first = is_creation(operation)
            && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if first { reply() } else { Reply::Usual }
    }
}

async fn readiness(parent: &Parent) -> (u16, Value) {
    let answered = parent.get("/readyz").await;
    (answered.status.as_u16(), answered.json())
}

#[tokio::test]
async fn answers_may_overtake_each_other_on_one_connection() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--enclave-connections", "1"]).await.ready().await;
    double.script(move |operation| match operation {
        Operation::Create { request, .. } if keys_of(request)[0].user.as_str() == "slow" => {
            Reply::After(Duration::from_millis(1500))
        }
        _ => Reply::Usual,
    });
    let (slow, fast) = (address("slow"), address("fast"));
    let started = Instant::now();
    let slow = async {
        let answered = parent.post("/v1/addresses", &slow).await;
        (answered.json()["user"].clone(), started.elapsed())
    };
    let fast = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let answered = parent.post("/v1/addresses", &fast).await;
        (answered.json()["user"].clone(), started.elapsed())
    };
    let ((slow, slow_took), (fast, fast_took)) = tokio::join!(slow, fast);
    assert_eq!((slow, fast), (json!("slow"), json!("fast")));
    assert!(slow_took >= Duration::from_millis(1500) && fast_took < Duration::from_millis(1200));
}

#[tokio::test]
async fn a_lost_connection_is_made_good_once_and_no_more() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    double.script(to_first(1, || Reply::Close));
    assert_eq!(parent.post("/v1/addresses", &address("once")).await.status, 201);
    double.script(|operation| if is_creation(operation) { Reply::Close } else { Reply::Usual });
    let lost = parent.post("/v1/addresses", &address("twice")).await;
    lost.problem(503, "enclave.unavailable");
    assert_eq!(lost.header("retry-after"), "1");
    assert_eq!(double.count("create"), 2 + 2);
    double.script(|_| Reply::Usual);
    eventually("it recovers", async || parent.post("/v1/addresses", &address("twice")).await.status == 201)
        .await;
}

#[tokio::test]
async fn what_is_no_answer_ends_the_connection_and_is_never_taken_for_one() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let bad: [fn() -> Reply; 4] = [
        || Reply::OtherId,
        || Reply::Raw(vec![0xff, 0xff, 0xff, 0xff, 0]),
        || Reply::Raw(vec![0; 4]),
        || Reply::Raw(b"\0\0\0\x05hello".to_vec()),
    ];
    for (number, reply) in bad.into_iter().enumerate() {
        double.script(to_first(1, reply));
        let user = address(&format!("user {number}"));
        let made = parent.post("/v1/addresses", &user).await;
        assert_eq!(made.status, 201, "{number}: {made:?}");
    }
}

#[tokio::test]
async fn an_enclave_that_says_nothing_costs_its_deadline_and_not_more() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--enclave-timeout", "0.5"]).await.ready().await;
    // It answers whether it is well, and nothing else.
    double.script(|operation| match operation {
        Operation::Describe | Operation::PutCredentials(_) | Operation::Checkpoint { .. } => Reply::Usual,
        _ => Reply::Nothing,
    });
    let started = Instant::now();
    parent.post("/v1/addresses", &address("alice")).await.problem(504, "enclave.timeout");
    let took = started.elapsed();
    // Far from the 30 seconds of a request, however slow the machine is.
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
    double.script(|_| Reply::Nothing);
    // Its silence is noticed without a client asking.
    eventually("it is not ready", async || readiness(&parent).await.1["enclave"] == "disconnected").await;
    double.script(|_| Reply::Usual);
    let parent = parent.ready().await;
    assert_eq!(parent.post("/v1/addresses", &address("alice")).await.status, 201);
    assert_eq!(site.stored_in("keys").len(), 1);
}

#[tokio::test]
async fn too_much_at_once_is_refused_at_once() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--enclave-in-flight", "4"]).await.ready().await;
    double.script(
        |operation| {
            if is_creation(operation) { Reply::After(Duration::from_secs(1)) } else { Reply::Usual }
        },
    );
    let bodies: Vec<_> = (0..40).map(|number| address(&format!("user {number}"))).collect();
    let started = Instant::now();
    let answers = futures::future::join_all(bodies.iter().map(|body| async {
        let answered = parent.post("/v1/addresses", body).await;
        (answered, started.elapsed())
    }))
    .await;
    let (made, shed): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(answer, _)| answer.status == 201);
    assert_eq!((made.len(), shed.len()), (4, 36));
    for (answer, took) in shed {
        answer.problem(503, "enclave.overloaded");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(took < Duration::from_millis(900), "{took:?}");
    }
    double.script(|_| Reply::Usual);
    assert_eq!(parent.post("/v1/addresses", &bodies[39]).await.status.as_u16() / 100, 2);
}

#[tokio::test]
async fn http_requests_are_bounded_in_number_and_time() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--http-in-flight", "1", "--http-timeout", "0.5"]).await.ready().await;
    double.script(|operation| if is_creation(operation) { Reply::Nothing } else { Reply::Usual });
    let (body, other) = (address("alice"), address("bob"));
    let slow = parent.post("/v1/addresses", &body);
    let shed = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        // What operators ask for is answered all the same.
        assert_eq!(parent.get("/metrics").await.status, 200);
        parent.post("/v1/addresses", &other).await
    };
    let (slow, shed) = tokio::join!(slow, shed);
    slow.problem(504, "parent.timeout");
    shed.problem(503, "parent.overloaded");
    assert_eq!(shed.header("retry-after"), "1");
}

#[tokio::test]
async fn a_record_that_was_not_asked_for_is_not_stored() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let document = DocumentHash::of(b"the first boot document");
    let deployment = "laptop".parse().unwrap();
    let other_user = move |keys: &[protocol::NewKey]| {
        let other = protocol::NewKey { user: "mallory".parse().unwrap(), ..keys[0].clone() };
        vec![ByteBuf::from(record(&deployment, &other, document))]
    };
    let deployment = "laptop".parse().unwrap();
    let other_label = move |keys: &[protocol::NewKey]| {
        let other = protocol::NewKey { label: Some("x".parse().unwrap()), ..keys[0].clone() };
        vec![ByteBuf::from(record(&deployment, &other, document))]
    };
    let deployment = "elsewhere".parse().unwrap();
    let other_deployment =
        move |keys: &[protocol::NewKey]| vec![ByteBuf::from(record(&deployment, &keys[0], document))];
    let deployment = "laptop".parse().unwrap();
    let too_many =
        move |keys: &[protocol::NewKey]| vec![ByteBuf::from(record(&deployment, &keys[0], document)); 2];
    let deployment = "laptop".parse().unwrap();
    let unknown_document = move |keys: &[protocol::NewKey]| {
        vec![ByteBuf::from(record(&deployment, &keys[0], DocumentHash::of(b"unknown")))]
    };
    type Records = Box<dyn Fn(&[protocol::NewKey]) -> Vec<ByteBuf> + Send + Sync>;
    let wrong: [Records; 7] = [
        Box::new(other_user),
        Box::new(other_label),
        Box::new(other_deployment),
        Box::new(too_many),
        Box::new(unknown_document),
        Box::new(|_| Vec::new()),
        Box::new(|_| vec![ByteBuf::from(vec![0; 9000])]),
    ];
    for records in wrong {
        double.script(move |operation| match operation {
            Operation::Create { request, .. } => Reply::Say(Ok(Answer::Records(records(&keys_of(request))))),
            _ => Reply::Usual,
        });
        parent.post("/v1/addresses", &address("alice")).await.problem(502, "enclave.answer");
    }
    double.script(|operation| {
        if is_creation(operation) { Reply::Say(Ok(Answer::Confirmed(Vec::new()))) } else { Reply::Usual }
    });
    parent.post("/v1/addresses", &address("alice")).await.problem(502, "enclave.answer");
    assert!(site.stored_in("keys").is_empty());
}

#[tokio::test]
async fn refusals_keep_their_code_and_those_that_pass_say_when_to_try_again() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    for (code, status) in [
        (RefusalCode::NotReady, 503),
        (RefusalCode::Draining, 503),
        (RefusalCode::Overloaded, 503),
        (RefusalCode::KmsUnavailable, 503),
        (RefusalCode::KmsDenied, 502),
        (RefusalCode::KmsAnswer, 502),
        (RefusalCode::Internal, 502),
    ] {
        double.script(move |operation| {
            let refusal = Refusal::new(code, "something was expected");
            if is_creation(operation) { Reply::Say(Err(refusal)) } else { Reply::Usual }
        });
        let refused = parent.post("/v1/addresses", &address("alice")).await;
        refused.problem(status, code.as_str());
        assert_eq!(refused.header("retry-after"), if status == 503 { "1" } else { "" });
    }
}

#[tokio::test]
async fn a_new_boots_document_is_stored_before_an_address_that_names_it() {
    let site = Site::new();
    let double = site.double();
    // No heartbeat will tell of the new boot.
    let parent = site.parent(&["--enclave-heartbeat", "60"]).await.ready().await;
    double.restart(&site.path("enclave.sock"), b"the second boot document").await;
    let parent = parent.ready().await;
    let made = parent.post("/v1/addresses", &address("alice")).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["attestation"], DocumentHash::of(b"the second boot document").to_string());
    assert_eq!(site.stored_in("attestations").len(), 2);
}

#[tokio::test]
async fn an_enclave_is_not_used_that_misnames_its_document_or_is_of_another_deployment() {
    let site = Site::new();
    let double = site.double();
    double.state.lock().unwrap().claimed_hash = Some(DocumentHash::of(b"another document"));
    let parent = site.parent(&["--deployment", "laptop"]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    parent.post("/v1/addresses", &address("alice")).await.problem(503, "enclave.unavailable");
    double.state.lock().unwrap().claimed_hash = None;
    double.state.lock().unwrap().deployment = "elsewhere".parse().unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    parent.post("/v1/addresses", &address("alice")).await.problem(503, "enclave.unavailable");
    assert!(site.stored_in("attestations").is_empty() && site.stored_in("keys").is_empty());
    double.state.lock().unwrap().deployment = "laptop".parse().unwrap();
    let parent = parent.ready().await;
    assert_eq!(parent.post("/v1/addresses", &address("alice")).await.status, 201);
}

#[tokio::test]
async fn an_enclave_that_is_killed_and_comes_back_is_found_again_with_credentials() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&[]).await.ready().await;
    let first = parent.post("/v1/addresses", &address("alice")).await.json();
    double.kill();
    eventually("it is not ready", async || readiness(&parent).await.1["enclave"] == "disconnected").await;
    // Without an enclave nobody says who asks: not even what is stored is answered.
    parent.post("/v1/addresses", &address("alice")).await.problem(503, "enclave.unavailable");
    parent.get("/v1/keys?user=alice").await.problem(503, "enclave.unavailable");
    double.reboot(b"the second boot document");
    double.state.lock().unwrap().phase = Phase::AwaitingCredentials;
    double.start(&site.path("enclave.sock"));
    let parent = parent.ready().await;
    assert_eq!(double.state.lock().unwrap().credentials[0].access_key_id, "AKIDSECRETID");
    assert_eq!(parent.post("/v1/addresses", &address("alice")).await.json(), first);
    assert_eq!(parent.post("/v1/addresses", &address("bob")).await.status, 201);
}

#[tokio::test]
async fn an_enclave_that_has_no_credentials_any_more_gets_them_again() {
    let site = Site::new();
    let double = site.double();
    let parent = site.parent(&["--enclave-connections", "1"]).await.ready().await;
    let before = double.count("put_credentials");
    double.state.lock().unwrap().phase = Phase::AwaitingCredentials;
    let parent = parent.ready().await;
    eventually("it is served again", async || double.state.lock().unwrap().phase == Phase::Serving).await;
    assert!(double.count("put_credentials") > before);
    drop(parent);
}

#[tokio::test]
async fn fresh_attestation_documents_are_limited_in_their_rate() {
    let site = Site::new();
    let double = site.double();
    let arguments = ["--attestation-rate", "1", "--attestation-burst", "3"];
    let parent = Arc::new(site.parent(&arguments).await.ready().await);
    let mut limited = 0;
    for _ in 0..6 {
        let answered = parent.get("/v1/attestation?nonce=00aAff").await;
        if answered.status == 200 {
            assert_eq!(answered.body, [0x00, 0xaa, 0xff]);
            assert_eq!(answered.header("content-type"), "application/cose; cose-type=\"cose-sign1\"");
        } else {
            answered.problem(429, "attestation.rate_limited");
            assert_eq!(answered.header("retry-after"), "1");
            limited += 1;
        }
    }
    assert!((2..=3).contains(&limited), "{limited}");
    assert_eq!(double.count("attest"), 6 - limited);
}
