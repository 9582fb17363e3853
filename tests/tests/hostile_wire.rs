//! A hostile parent on the enclave's socket: it sends what is no protocol, stalls, floods, and
//! stands between the enclave and KMS. The most it gets is less service for itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use std::{path::Path, time::Duration};

use cofferdam_tests::{
    authority::{self, BACKEND, DESK},
    config::Config,
    enclave::TestEnclave,
    wire::{addresses, new_key},
};
use protocol::order::Restriction;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_bytes::ByteBuf;
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, net::UnixListener, time::timeout};
use wire::{Answer, Credentials, Operation, Phase, RefusalCode, Request, Response};

const ARN: &str = "arn:aws:kms:us-east-1:000000000000:key/6e6f2d73-7563-682d-6b65-790000000000";

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A configuration whose KMS is whoever listens on the egress socket.
fn config(folder: &Path) -> Config {
    simulator::pki::create_or_load(folder).unwrap();
    Config::new(ARN, &std::fs::read_to_string(folder.join("tls-root.pem")).unwrap())
}

fn credentials() -> Operation {
    Operation::PutCredentials(Credentials {
        access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        session_token: None,
        expires: None,
    })
}

/// A creation by a client, which asks KMS; with more positions than keys, or none, it is refused.
fn create(count: u32) -> Operation {
    let request = addresses("laptop", &[new_key("alice", chains::Chain::Evm, 0)]);
    Operation::Create { request, positions: (0..count).collect() }
}

async fn assert_serving(enclave: &TestEnclave) {
    let answer =
        timeout(Duration::from_secs(20), async { enclave.wire().await.ask(Operation::Describe).await });
    assert!(matches!(answer.await, Ok(Ok(Answer::Description(_)))), "the enclave goes on serving");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_the_connection_and_nothing_else() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let junk: [&[u8]; 5] =
        [&[0xff; 4], &[0, 0, 0, 0], &[0x7f, 0xff, 0xff, 0xff, 1], b"GET / HTTP/1.1\r\n\r\n", &[0; 64]];
    for bytes in junk {
        let mut wire = enclave.wire().await;
        wire.send_raw(bytes).await;
        let closed = timeout(Duration::from_secs(20), wire.receive()).await.expect("an end");
        assert!(closed.is_none(), "{bytes:?}");
    }
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..200 {
        let mut body = vec![0u8; random.next_u32() as usize % 300 + 1];
        random.fill_bytes(&mut body);
        let mut wire = enclave.wire().await;
        wire.send_raw(&(body.len() as u32).to_be_bytes()).await;
        wire.send_raw(&body).await;
        let refused = timeout(Duration::from_secs(20), wire.receive()).await.unwrap().unwrap();
        assert_eq!(refused.id, 0);
        assert_eq!(refused.result.unwrap_err().code, RefusalCode::RequestMalformed);
    }
    assert_serving(&enclave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_never_finished_is_given_up() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let mut wire = enclave.wire().await;
    wire.send_raw(&[0, 0, 1, 0, 1, 2, 3]).await;
    let closed = timeout(Duration::from_secs(30), wire.receive()).await.expect("an end before 30 s");
    assert!(closed.is_none());
    assert_serving(&enclave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_has_ten_seconds_for_its_first_frame_and_more_for_the_next() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let (mut silent, mut slow, mut heard) =
        (enclave.wire().await, enclave.wire().await, enclave.wire().await);
    assert!(heard.ask(Operation::Describe).await.is_ok());
    let started = std::time::Instant::now();
    // A byte now and then is no frame.
    let dripping = async {
        for byte in [0, 0, 1, 0, 1, 2, 3] {
            slow.send_raw(&[byte]).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        timeout(Duration::from_secs(1), slow.receive()).await
    };
    let (silent, slow) = tokio::join!(timeout(Duration::from_secs(14), silent.receive()), dripping);
    assert!(matches!(silent, Ok(None)), "closed within 14 s");
    assert!(matches!(slow, Ok(None)), "closed within 15 s");
    assert!(started.elapsed() > Duration::from_secs(9));
    assert!(heard.ask(Operation::Describe).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_make_room_for_the_parents() {
    let folder = folder();
    let config = Config { limits: "connections = 4".into(), ..config(folder.path()) };
    let enclave = TestEnclave::boot(folder.path(), &config);
    let mut parent = enclave.wire().await;
    assert!(parent.ask(Operation::Describe).await.is_ok());
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(enclave.wire().await);
    }
    for _ in 0..20 {
        silent.push(enclave.wire().await);
        let mut other = enclave.wire().await;
        let answer = timeout(Duration::from_secs(2), other.ask(Operation::Describe)).await;
        assert!(answer.expect("an answer at once").is_ok());
        assert!(parent.ask(Operation::Describe).await.is_ok(), "who was heard keeps its place");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_on_one_connection_each_get_their_own_answer() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let mut wire = enclave.wire().await;
    let mut waiting = std::collections::BTreeMap::new();
    for number in 0..200u32 {
        let nonce = ByteBuf::from(number.to_be_bytes());
        waiting.insert(wire.send(Operation::Attest { nonce: nonce.clone() }).await, nonce);
    }
    while !waiting.is_empty() {
        let Response { id, result, .. } = wire.receive().await.unwrap();
        let Ok(Answer::Document(document)) = result else { panic!("{result:?}") };
        let doc = attestation::AttestationDoc::parse(&document).unwrap();
        assert_eq!(doc.nonce(), waiting.remove(&id).as_ref().map(|nonce| nonce.as_slice()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_and_take_nothing_from_the_others() {
    let folder = folder();
    let config = Config { limits: "connections = 2".into(), ..config(folder.path()) };
    let enclave = TestEnclave::boot(folder.path(), &config);
    let mut first = enclave.wire().await;
    let mut second = enclave.wire().await;
    assert!(first.ask(Operation::Describe).await.is_ok());
    assert!(second.ask(Operation::Describe).await.is_ok());
    let mut third = enclave.wire().await;
    third.send(Operation::Describe).await;
    assert!(
        timeout(Duration::from_millis(300), third.receive()).await.is_err(),
        "no third connection is served"
    );
    assert!(first.ask(Operation::Describe).await.is_ok());
    drop(second);
    assert!(timeout(Duration::from_secs(20), third.receive()).await.unwrap().is_some());
}

/// An egress that accepts and says nothing.
fn silent_egress(folder: &Path) {
    let listener = UnixListener::bind(folder.join("egress.sock")).unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_limit_are_refused_at_once_and_questions_are_still_answered() {
    let folder = folder();
    silent_egress(folder.path());
    let limits = "in_flight = 2\nkms_timeout_seconds = 6".into();
    let enclave = TestEnclave::boot(folder.path(), &Config { limits, ..config(folder.path()) });
    let mut wire = enclave.wire().await;
    wire.ask(credentials()).await.unwrap();
    wire.govern("laptop").await;
    let stuck = [wire.send(create(1)).await, wire.send(create(1)).await];
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut other = enclave.wire().await;
    let refusal = timeout(Duration::from_secs(1), other.ask(create(1))).await.unwrap().unwrap_err();
    assert_eq!(refusal.code, RefusalCode::Overloaded);
    assert!(timeout(Duration::from_secs(1), other.ask(Operation::Describe)).await.unwrap().is_ok());
    let nonce = ByteBuf::from([1]);
    assert!(timeout(Duration::from_secs(1), other.ask(Operation::Attest { nonce })).await.unwrap().is_ok());
    for _ in stuck {
        let response = timeout(Duration::from_secs(10), wire.receive()).await.expect("one timeout for both");
        assert_eq!(response.unwrap().result.unwrap_err().code, RefusalCode::KmsUnavailable);
    }
    assert_serving(&enclave).await;
}

/// A request to sign that is no client's, with a body of so many bytes.
fn sign(bytes: usize) -> Operation {
    Operation::Sign { request: padded(bytes), records: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_in_flight_are_bounded_in_bytes_and_what_restricts_is_not_held_up() {
    let folder = folder();
    silent_egress(folder.path());
    let limits = "in_flight_bytes = 4194304\nkms_timeout_seconds = 8".into();
    let enclave = TestEnclave::boot(folder.path(), &Config { limits, ..config(folder.path()) });
    let mut wire = enclave.wire().await;
    wire.ask(credentials()).await.unwrap();
    wire.govern("laptop").await;
    // Three quarters of 4 MiB have room for 4 requests of 700 KiB. Half a frame holds as much as one.
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let whole = Request { id: 1, operation: sign(700 << 10) }.encode().unwrap();
        let mut other = enclave.wire().await;
        assert!(other.ask(Operation::Describe).await.is_ok());
        other.send_raw(&u32::try_from(whole.len()).unwrap().to_be_bytes()).await;
        other.send_raw(&whole[..whole.len() / 2]).await;
        stalled.push(other);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        let refused = timeout(Duration::from_secs(2), wire.ask(sign(700 << 10))).await.unwrap().unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::Overloaded, "enclave.memory"));
    }
    // Small ones have room, and so has the quarter for questions: these are refused for what they say.
    for operation in [sign(1 << 10), Operation::Authorize { request: padded(800 << 10) }] {
        let refused = timeout(Duration::from_secs(2), wire.ask(operation)).await.unwrap().unwrap_err();
        assert_eq!(refused.code, RefusalCode::Unauthenticated);
    }
    let started = std::time::Instant::now();
    for _ in 0..20 {
        assert!(wire.order("laptop", &Restriction::FreezeAll).await.is_ok());
    }
    assert!(started.elapsed() < Duration::from_secs(5));
    // Who never finishes is given up, and its room is free.
    let room = async {
        while wire.ask(sign(700 << 10)).await.unwrap_err().tag() == "enclave.memory" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(Duration::from_secs(20), room).await.expect("room comes back");
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_places_for_questions_and_work_are_held_what_restricts_has_its_own() {
    let folder = folder();
    let limits = "in_flight = 1\nconnections = 20".into();
    let enclave = TestEnclave::boot(folder.path(), &Config { limits, ..config(folder.path()) });
    let (mut wire, mut hogs) = (enclave.wire().await, Vec::new());
    wire.govern("laptop").await;
    // A frame that never ends holds its place for ten seconds; those of what restricts as well.
    let order = authority::signed_order("laptop", &Restriction::FreezeAll);
    let order = DESK.request("laptop", "POST", "/v1/orders", &order);
    let operations = [
        Operation::Authorize { request: padded(800 << 10) },
        sign(700 << 10),
        Operation::PutPolicy { envelope: ByteBuf::from(vec![b' '; 300 << 10]) },
        Operation::ReplayOrders { envelopes: vec![ByteBuf::from(vec![b' '; 10 << 10]); 60] },
        Operation::SubmitOrder { request: order },
    ];
    for operation in operations.into_iter().cycle().take(15) {
        let whole = Request { id: 1, operation }.encode().unwrap();
        let mut hog = enclave.wire().await;
        hog.send_raw(&u32::try_from(whole.len()).unwrap().to_be_bytes()).await;
        hog.send_raw(&whole[..whole.len() - 1]).await;
        hogs.push(hog);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let refused = |answer: Result<Answer, wire::Refusal>| answer.unwrap_err().tag().to_owned();
    assert_eq!(refused(wire.ask(Operation::Describe).await), "enclave.overloaded");
    assert_eq!(refused(wire.ask(sign(10)).await), "enclave.overloaded");
    for version in 2..12 {
        let answer = timeout(Duration::from_secs(2), wire.order("laptop", &Restriction::FreezeAll)).await;
        assert!(answer.expect("at once").is_ok());
        let policy = authority::policy("laptop", version);
        let answer = timeout(Duration::from_secs(2), wire.put_policy(&policy)).await;
        assert!(answer.expect("at once").is_ok());
    }
}

/// A request that is no client's, with a body of so many bytes.
fn padded(bytes: usize) -> protocol::request::SignedRequest {
    let mut request = BACKEND.request("laptop", "POST", "/v1/addresses/batch", b"");
    request.body = ByteBuf::from(vec![b' '; bytes]);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_enclave_says_so_and_finishes_what_is_under_way() {
    let folder = folder();
    silent_egress(folder.path());
    let limits = "kms_timeout_seconds = 3".into();
    let enclave = TestEnclave::boot(folder.path(), &Config { limits, ..config(folder.path()) });
    let (mut wire, mut other) = (enclave.wire().await, enclave.wire().await);
    wire.ask(credentials()).await.unwrap();
    wire.govern("laptop").await;
    let stuck = wire.send(create(1)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = tokio::spawn(enclave.stop());
    tokio::time::sleep(Duration::from_millis(200)).await;
    let Ok(Answer::Description(description)) = other.ask(Operation::Describe).await else { panic!() };
    assert_eq!(description.phase, Phase::Draining);
    assert_eq!(other.ask(create(1)).await.unwrap_err().code, RefusalCode::Draining);
    let answer = timeout(Duration::from_secs(10), wire.receive()).await.unwrap().unwrap();
    assert_eq!((answer.id, answer.result.unwrap_err().code), (stuck, RefusalCode::KmsUnavailable));
    timeout(Duration::from_secs(10), stopping).await.expect("it stops").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_bounds_is_refused_by_name() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let mut wire = enclave.wire().await;
    let refused = |result: Result<Answer, wire::Refusal>| result.unwrap_err().code;
    for length in [0, 513] {
        let nonce = ByteBuf::from(vec![1; length]);
        assert_eq!(refused(wire.ask(Operation::Attest { nonce }).await), RefusalCode::RequestMalformed);
    }
    assert_eq!(refused(wire.ask(create(1)).await), RefusalCode::NotReady, "no credentials yet");
    let Operation::PutCredentials(mut bad) = credentials() else { unreachable!() };
    // A line feed would make the AWS SDK panic: no HTTP header can carry it.
    for access_key_id in ["x".repeat(300), String::new(), "A\n".into(), "\u{7f}".into(), "ключ".into()] {
        bad.access_key_id = access_key_id;
        let answer = wire.ask(Operation::PutCredentials(bad.clone())).await;
        assert_eq!(refused(answer), RefusalCode::RequestMalformed);
    }
    wire.ask(credentials()).await.unwrap();
    wire.govern("laptop").await;
    for count in [0, 2, 256] {
        assert_eq!(refused(wire.ask(create(count)).await), RefusalCode::RequestMalformed);
    }
    // One entry too many is no request at all: nothing is read beyond it.
    let nothing = ByteBuf::new();
    let replay = Operation::ReplayOrders { envelopes: vec![nothing.clone(); 65] };
    let request = BACKEND.request("laptop", "POST", "/v1/signatures", b"");
    let confirm = Operation::Confirm { request: request.clone(), records: vec![nothing.clone(); 257] };
    let sign = Operation::Sign { request, records: vec![nothing; 4097] };
    for too_many in [create(257), confirm, replay, sign] {
        let mut other = enclave.wire().await;
        other.send(too_many).await;
        let answer = other.receive().await.unwrap();
        assert_eq!((answer.id, answer.result.unwrap_err().code), (0, RefusalCode::RequestMalformed));
        assert!(other.receive().await.is_none(), "and the connection ends");
    }
    let Ok(Answer::Description(description)) = wire.ask(Operation::Describe).await else { panic!() };
    assert_eq!(description.phase, Phase::Serving);
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_not_used() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let mut wire = enclave.wire().await;
    let Operation::PutCredentials(mut stale) = credentials() else { unreachable!() };
    stale.expires = Some(1);
    wire.ask(Operation::PutCredentials(stale)).await.unwrap();
    assert_eq!(wire.ask(create(1)).await.unwrap_err().code, RefusalCode::NotReady);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_an_unknown_operation_or_field_is_refused() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    // {"id": 1, "operation": "sign_hash"} and {"id": 1, "extra": 0, "operation": "describe"}.
    let unknown = [
        b"\xa2\x62id\x01\x69operation\x69sign_hash".as_slice(),
        b"\xa3\x62id\x01\x65extra\x00\x69operation\x68describe",
        // And the id that no request has.
        b"\xa2\x62id\x00\x69operation\x68describe",
    ];
    let known = Request { id: 1, operation: Operation::Describe }.encode().unwrap();
    assert_eq!(known, b"\xa2\x62id\x01\x69operation\x68describe");
    for body in unknown {
        let mut wire = enclave.wire().await;
        wire.send_raw(&(body.len() as u32).to_be_bytes()).await;
        wire.send_raw(body).await;
        let refused = wire.receive().await.unwrap();
        assert_eq!(refused.result.unwrap_err().code, RefusalCode::RequestMalformed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_egress_that_ends_tls_itself_gets_no_request() {
    let (ours, theirs) = (folder(), folder());
    let config = config(ours.path());
    // The host's own authority, with a certificate for the very name of KMS.
    let pki = simulator::pki::create_or_load(theirs.path()).unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let certificate = pki.tls.server_certificate("us-east-1", now).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificate.chain, certificate.key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = UnixListener::bind(ours.path().join("egress.sock")).unwrap();
    let (sender, mut outcomes) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let outcome = match acceptor.accept(stream).await {
                Ok(mut tls) => {
                    let mut first = [0; 1];
                    tls.read(&mut first).await.unwrap_or(0)
                }
                Err(_) => 0,
            };
            let _ = sender.send(outcome);
        }
    });
    let enclave = TestEnclave::boot(ours.path(), &config);
    let mut wire = enclave.wire().await;
    wire.ask(credentials()).await.unwrap();
    wire.govern("laptop").await;
    assert_eq!(wire.ask(create(1)).await.unwrap_err().code, RefusalCode::KmsUnavailable);
    assert_eq!(outcomes.recv().await, Some(0), "the handshake failed and no byte of a request was sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_enclave_finishes_and_stops() {
    let folder = folder();
    let enclave = TestEnclave::boot(folder.path(), &config(folder.path()));
    let socket = enclave.socket();
    let mut wire = enclave.wire().await;
    wire.ask(Operation::Describe).await.unwrap();
    timeout(Duration::from_secs(30), enclave.stop()).await.expect("it stops");
    assert!(tokio::net::UnixStream::connect(&socket).await.is_err(), "nobody listens any more");
}
