//! Requests to the enclave: who asks is decided in there, whatever the parent says, changes, keeps
//! back or carries to the wrong place. What is refused changes nothing, and is on the log.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    io::Write,
    process::{Command, Stdio},
};

use chains::Chain;
use cofferdam_tests::{
    authority::{self, AUDITOR, BACKEND, Client, DESK, forwarded},
    scene::{DEPLOYMENT, DepositKey, Scene, entries, request, tag},
    tools,
    transactions::sweep,
    wire::{Wire, addresses, new_key, signature_body},
};
use data_encoding::{BASE64, HEXLOWER};
use protocol::{
    PossessionClaims, Record,
    log::ContentHash,
    order::Restriction,
    request::{SignedHeaders, SignedRequest},
};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal};

async fn authorize(wire: &mut Wire, request: &SignedRequest) -> Result<Answer, Refusal> {
    wire.ask(Operation::Authorize { request: request.clone() }).await
}

fn listing() -> SignedRequest {
    request(&BACKEND, "GET", "/v1/keys?user=alice", "")
}

fn signing(key: &DepositKey, amount: u64) -> SignedRequest {
    let body = signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(key, amount));
    request(&BACKEND, "POST", "/v1/signatures", &body.to_string())
}

fn sign(request: &SignedRequest, key: &DepositKey) -> Operation {
    Operation::Sign { request: request.clone(), records: vec![ByteBuf::from(key.record.clone())] }
}

/// Carried to every operation that takes a request, it is refused with this tag, and so it is on the
/// log, as nobody's; nothing else changes, and the enclave goes on.
async fn turned_away(scene: &mut Scene, key: &DepositKey, request: &SignedRequest, tag: &str) {
    let state = scene.wire.ask(Operation::State).await;
    for operation in [
        Operation::Authorize { request: request.clone() },
        Operation::SubmitOrder { request: request.clone() },
        sign(request, key),
        Operation::Create { request: request.clone(), positions: vec![0] },
        Operation::Confirm { request: request.clone(), records: vec![ByteBuf::from(key.record.clone())] },
    ] {
        let before = scene.wire.log.len();
        let refused = scene.wire.ask(operation).await.unwrap_err();
        assert_eq!(refused.tag(), tag, "{refused}");
        assert_eq!(scene.wire.log.len(), before + 1);
        assert_eq!(scene.last_entry(), ("request".into(), None, tag.into()));
        let entry = scene.entries().pop().unwrap();
        assert_eq!((entry.event.keys.as_slice().len(), entry.event.result), (0, None));
    }
    assert_eq!(scene.wire.ask(Operation::State).await, state);
    authorize(&mut scene.wire, &listing()).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_no_clients_are_refused_wherever_they_are_carried() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let good = signing(&key, 5);
    let changed = |change: fn(&mut SignedRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let other_digest = || BACKEND.headers(DEPLOYMENT, "POST", "/v1/signatures", None, b"{}").content_digest;
    let mut other_body = changed(|request| request.body = ByteBuf::from("{}"));
    other_body.content_digest = other_digest();
    let impostor = Client { seed: 99, ..BACKEND };
    let stranger = Client { id: "stranger", ..BACKEND };
    let at = |created: u64| {
        let headers = BACKEND.headers_at(DEPLOYMENT, "POST", "/v1/signatures", None, &good.body, created);
        forwarded("POST", "/v1/signatures", headers, &good.body)
    };
    let body = String::from_utf8(good.body.to_vec()).unwrap();
    for (request, tag) in [
        // Unsigned, in three ways.
        (changed(|request| request.signature.clear()), "auth.missing"),
        (changed(|request| request.signature_input.clear()), "auth.missing"),
        (changed(|request| request.content_digest.clear()), "auth.missing"),
        // Signed by somebody else.
        (request(&impostor, "POST", "/v1/signatures", &body), "auth.signature"),
        (request(&stranger, "POST", "/v1/signatures", &body), "auth.client"),
        (BACKEND.request("other", "POST", "/v1/signatures", &good.body), "auth.tag"),
        // Signed at another time.
        (at(authority::now() - 70), "auth.stale"),
        (at(authority::now() + 60), "auth.future"),
        (at(0), "auth.stale"),
        // Changed after it was signed.
        (changed(|request| request.body[10] ^= 1), "auth.digest"),
        (changed(|request| request.body.clear()), "auth.digest"),
        (other_body, "auth.signature"),
        (changed(|request| request.method = "GET".into()), "auth.signature"),
        (changed(|request| request.path = "/v1/signatures/batch".into()), "auth.signature"),
        (changed(|request| request.path = "/v1/orders".into()), "auth.signature"),
        (changed(|request| request.path = "/v1/signatures/".into()), "auth.signature"),
        (changed(|request| request.query = Some("x".into())), "auth.components"),
        (
            changed(|request| request.signature_input = request.signature_input.replace("alg", "alk")),
            "auth.malformed",
        ),
        (
            changed(|request| request.signature_input = request.signature_input.replace("backend", "desk")),
            "auth.signature",
        ),
    ] {
        turned_away(&mut scene, &key, &request, tag).await;
    }
    // None of them used up its nonce: the client's own request is as good as before.
    scene.wire.ask(sign(&good, &key)).await.unwrap();
    turned_away_again(&mut scene, &key, &good).await;
}

/// A request that was taken is refused from then on, everywhere; who replays it is known.
async fn turned_away_again(scene: &mut Scene, key: &DepositKey, request: &SignedRequest) {
    for operation in [Operation::Authorize { request: request.clone() }, sign(request, key)] {
        assert_eq!(scene.wire.ask(operation).await.unwrap_err().tag(), "auth.replayed");
        let entry = scene.last_entry();
        assert_eq!((entry.1.as_deref(), entry.2.as_str()), (Some("backend"), "auth.replayed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_replayed_to_the_next_boot_gets_the_same_signature_and_nothing_else() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let request = signing(&key, 5);
    let first = scene.wire.ask(sign(&request, &key)).await.unwrap();
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    assert_eq!(scene.wire.ask(sign(&request, &key)).await.unwrap(), first);
    turned_away_again(&mut scene, &key, &request).await;
}

/// A client of each role alone.
const ROLES: [Client; 6] = [
    Client { id: "maker", seed: 21, roles: &["address.create"] },
    Client { id: "sweeper", seed: 22, roles: &["sign.sweep"] },
    Client { id: "trader", seed: 23, roles: &["sign.secondary"] },
    Client { id: "reader", seed: 24, roles: &["keys.read"] },
    Client { id: "auditor", seed: 25, roles: &["audit.read"] },
    Client { id: "guard", seed: 26, roles: &["order.submit"] },
];

/// Which of [`ROLES`] may do it, and what the log calls it.
type Expected = (&'static str, &'static str, &'static [&'static str], &'static str);

const ROUTES: [Expected; 16] = [
    ("POST", "/v1/addresses", &["maker"], "address.create"),
    ("POST", "/v1/addresses/batch", &["maker"], "address.create"),
    ("GET", "/v1/keys?user=alice", &["reader"], "keys.read"),
    ("GET", "/v1/keys?address=0x1", &["reader", "auditor"], "keys.read"),
    ("GET", "/v1/keys", &["auditor"], "audit.read"),
    ("GET", "/v1/keys/{id}", &["reader"], "keys.read"),
    ("POST", "/v1/keys/{id}/check", &["reader"], "key.check"),
    ("POST", "/v1/keys/{id}/replace", &["guard"], "key.replace"),
    ("POST", "/v1/signatures", &["sweeper", "trader"], "transaction.sign"),
    ("POST", "/v1/signatures/batch", &["sweeper", "trader"], "transaction.sign"),
    ("POST", "/v1/signatures/explain", &["sweeper", "trader"], "transaction.explain"),
    ("GET", "/v1/policy", &["auditor"], "audit.read"),
    ("POST", "/v1/orders", &["guard"], "order.submit"),
    ("GET", "/v1/orders", &["auditor"], "audit.read"),
    ("GET", "/v1/log", &["auditor"], "audit.read"),
    ("GET", "/v1/log/checkpoint", &["auditor"], "audit.read"),
];

/// The operations that are for a route, by their places among all.
fn places(path: &str) -> &'static [usize] {
    match path {
        "/v1/orders" => &[1],
        path if path.ends_with("/replace") => &[1, 3, 4],
        path if path.ends_with("/check") => &[4],
        path if path.starts_with("/v1/signatures") => &[2],
        path if path.starts_with("/v1/addresses") => &[3, 4],
        _ => &[0],
    }
}

fn operations(request: &SignedRequest) -> [Operation; 5] {
    let request = || request.clone();
    [
        Operation::Authorize { request: request() },
        Operation::SubmitOrder { request: request() },
        Operation::Sign { request: request(), records: Vec::new() },
        Operation::Create { request: request(), positions: vec![0] },
        Operation::Confirm { request: request(), records: Vec::new() },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_takes_its_own_role_and_no_other() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    scene.put_policy(2, |policy| policy["clients"] = ROLES.iter().map(Client::in_policy).collect()).await;
    for (method, path, may, operation) in ROUTES {
        let path = path.replace("{id}", &key.id.to_string());
        let places = if method == "GET" { &[0] } else { places(&path) };
        for (client, at) in ROLES.iter().flat_map(|client| places.iter().map(move |at| (client, *at))) {
            // The body is none: who may ask is told so, who may not is not.
            let asked = operations(&request(client, method, &path, "x"))[at].clone();
            let answer = scene.wire.ask(asked).await;
            let tag = answer.err().map(|refusal| refusal.tag().to_owned());
            if may.contains(&client.id) {
                assert_ne!(tag.as_deref(), Some("auth.role"), "{method} {path} {}", client.id);
            } else {
                assert_eq!(tag.as_deref(), Some("auth.role"), "{method} {path} {}", client.id);
                let expected = (operation.into(), Some(client.id.into()), "auth.role".into());
                assert_eq!(scene.last_entry(), expected);
            }
        }
    }
    // What is no route is nobody's.
    for (method, path) in
        [("GET", "/v1/keys/all"), ("DELETE", "/v1/keys"), ("POST", "/v2/addresses"), ("GET", "/")]
    {
        for client in ROLES {
            let refused = authorize(&mut scene.wire, &request(&client, method, path, "")).await.unwrap_err();
            assert_eq!(refused.tag(), "auth.role");
            assert_eq!(scene.last_entry(), ("request".into(), Some(client.id.into()), "auth.role".into()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_one_route_does_nothing_when_it_is_carried_to_another_operation() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let state = scene.wire.ask(Operation::State).await;
    let freeze = String::from_utf8(authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll)).unwrap();
    let address = json!({ "user": "bob", "chain": "evm" }).to_string();
    let check = format!("/v1/keys/{}/check", key.id);
    let signature =
        signature_body(Chain::Evm, std::slice::from_ref(&key.record), &sweep(&key, 5)).to_string();
    for (client, method, path, body, operation) in [
        (BACKEND, "POST", "/v1/addresses", &address, "address.create"),
        (BACKEND, "POST", &check, &String::new(), "key.check"),
        (BACKEND, "GET", "/v1/keys?user=alice", &String::new(), "keys.read"),
        (BACKEND, "POST", "/v1/signatures", &signature, "transaction.sign"),
        (BACKEND, "POST", "/v1/signatures/explain", &signature, "transaction.explain"),
        (DESK, "POST", "/v1/orders", &freeze, "order.submit"),
        (AUDITOR, "GET", "/v1/log", &String::new(), "audit.read"),
    ] {
        for at in (0..5).filter(|at| !places(path).contains(at)) {
            let request = request(&client, method, path, body);
            let mut asked = operations(&request)[at].clone();
            if let Operation::Sign { records, .. } | Operation::Confirm { records, .. } = &mut asked {
                records.push(ByteBuf::from(key.record.clone()));
            }
            let refused = scene.wire.ask(asked).await.unwrap_err();
            assert_eq!(refused.tag(), "request.malformed", "{path} {at}");
            let expected = (operation.into(), Some(client.id.into()), "request.malformed".into());
            assert_eq!(scene.last_entry(), expected);
        }
    }
    assert_eq!(scene.wire.ask(Operation::State).await, state, "nothing is frozen");
    scene.serves(&key, 6).await;
    let made = scene.entries();
    let created = made.iter().filter(|entry| entry.event.operation.as_str() == "address.create");
    assert_eq!(created.filter(|entry| entry.event.result.is_some()).count(), 1, "bob's was not made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_has_made_and_shown_what_it_names_and_nothing_else_however_often_it_comes() {
    let mut scene = Scene::new().await;
    let (key, other) = (scene.key("alice", Chain::Evm).await, scene.key("bob", Chain::Evm).await);
    let making = request(&BACKEND, "POST", "/v1/addresses", r#"{"user":"carol","chain":"evm"}"#);
    let create = |positions| Operation::Create { request: making.clone(), positions };
    for positions in [vec![1], vec![0, 0], vec![0, 1], vec![u32::MAX], vec![]] {
        let refused = scene.wire.ask(create(positions.clone())).await.unwrap_err();
        assert_eq!(refused.tag(), "request.malformed", "{positions:?}");
        let expected = ("address.create".into(), Some("backend".into()), "request.malformed".into());
        assert_eq!(scene.last_entry(), expected);
    }
    // Two keys of one name; which one it is the store decides.
    let mut made = Vec::new();
    for _ in 0..2 {
        let Ok(Answer::Records(records)) = scene.wire.ask(create(vec![0])).await else { panic!() };
        made.push(DepositKey::of(records[0].to_vec()));
    }
    assert_ne!(made[0].address, made[1].address);
    for key in &made {
        let shown = scene.wire.confirm(&making, &[&key.record]).await.unwrap();
        assert_eq!(shown[0].as_deref(), Ok(Record::parse(&key.record).unwrap().certificate()));
        let entry = scene.entries().pop().unwrap().event;
        assert_eq!((entry.operation.as_str(), entry.keys.as_slice()), ("address.confirm", &[key.id][..]));
    }
    // Of each key one record, and none of another: what is wrong with one is that one's.
    let junk = made[0].record[1..].to_vec();
    let records = [&made[0].record, &made[1].record, &key.record, &junk].map(Vec::as_slice);
    let shown = scene.wire.confirm(&making, &records).await.unwrap();
    let tags = shown.iter().map(|shown| shown.as_ref().err().map(|refusal| refusal.tag()));
    let identity = Some("record.identity");
    assert_eq!(tags.collect::<Vec<_>>(), [None, identity, identity, Some("record.malformed")]);
    // A check is of its own key.
    let checking = request(&BACKEND, "POST", &format!("/v1/keys/{}/check", key.id), "");
    for _ in 0..2 {
        let shown =
            scene.wire.confirm(&checking, &[&key.record, &other.record, &made[0].record]).await.unwrap();
        let claims = verifier::unverified::<PossessionClaims>(shown[0].as_ref().unwrap()).unwrap();
        assert_eq!((claims.key_id, claims.record), (key.id, ContentHash::of(&key.record)));
        assert!(shown[1..].iter().all(|shown| shown.as_ref().unwrap_err().tag() == "record.identity"));
    }
    // Without a record it is said who asks, and no more.
    let before = scene.wire.log.len();
    assert_eq!(scene.wire.confirm(&checking, &[]).await, Ok(Vec::new()));
    assert_eq!(scene.wire.log.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_lost_its_role_between_making_and_showing_is_shown_nothing() {
    let mut scene = Scene::new().await;
    let bob = [new_key("bob", Chain::Evm, 0)];
    let making = addresses(DEPLOYMENT, &bob);
    let creation = || Operation::Create { request: making.clone(), positions: vec![0] };
    let Ok(Answer::Records(made)) = scene.wire.ask(creation()).await else { panic!() };
    let without_role = Client { roles: &["keys.read"], ..BACKEND };
    let with_another_key = Client { seed: 61, ..BACKEND };
    for (version, client, tag) in [
        (2, Some(without_role), "auth.role"),
        (3, Some(with_another_key), "auth.signature"),
        (4, None, "auth.client"),
    ] {
        scene
            .put_policy(version, |policy| {
                policy["clients"] = client.iter().chain([&DESK]).map(Client::in_policy).collect();
            })
            .await;
        assert_eq!(scene.wire.confirm(&making, &[&made[0]]).await.unwrap_err().tag(), tag);
        assert_eq!(scene.wire.ask(creation()).await.unwrap_err().tag(), tag);
    }
    scene.put_policy(5, |_| {}).await;
    assert!(scene.wire.confirm(&making, &[&made[0]]).await.unwrap()[0].is_ok());
}

/// Headers as a client of other people signs them.
fn signed_by(command: &mut Command, requests: &Value) -> Vec<SignedHeaders> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(requests.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}");
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let headers = |answer: &Value| SignedHeaders {
        signature_input: text(&answer["Signature-Input"]),
        signature: text(&answer["Signature"]),
        content_digest: text(&answer["Content-Digest"]),
    };
    answers.iter().map(headers).collect()
}

async fn takes_requests_of(scene: &mut Scene, key: &DepositKey, command: &mut Command) {
    let body = signature_body(Chain::Evm, std::slice::from_ref(&key.record), &sweep(key, 5)).to_string();
    let address = json!({ "user": "bob", "chain": "solana" }).to_string();
    let described = |client: &Client, method: &str, url: &str, body: &str| {
        json!({
            "method": method, "url": url, "body": BASE64.encode(body.as_bytes()), "keyid": client.id,
            "seed": HEXLOWER.encode(&[client.seed; 32]), "tag": "cofferdam:laptop",
        })
    };
    let mut expired = described(&BACKEND, "GET", "/v1/keys", "");
    expired["created"] = json!(authority::now() - 10);
    expired["expires"] = json!(authority::now() - 5);
    let mut lasting = described(&BACKEND, "GET", "/v1/keys?user=alice&after=", "");
    lasting["expires"] = json!(authority::now() + 300);
    let requests = json!([
        described(&BACKEND, "POST", "/v1/signatures", &body),
        described(&BACKEND, "POST", "/v1/addresses", &address),
        described(&AUDITOR, "GET", "/v1/log?from=1", ""),
        lasting,
        expired,
    ]);
    let mut signed = signed_by(command, &requests).into_iter();
    let mut next = |method: &str, path: &str, query: Option<&str>, body: &str| SignedRequest {
        query: query.map(str::to_owned),
        ..forwarded(method, path, signed.next().unwrap(), body.as_bytes())
    };
    let answer = scene.wire.ask(sign(&next("POST", "/v1/signatures", None, &body), key)).await;
    assert!(matches!(answer, Ok(Answer::Signatures(signed)) if signed[0].is_ok()));
    let making = next("POST", "/v1/addresses", None, &address);
    scene.wire.ask(Operation::Create { request: making, positions: vec![0] }).await.unwrap();
    let mut log = next("GET", "/v1/log", Some("from=1"), "");
    log.query = Some("from=2".into());
    assert_eq!(authorize(&mut scene.wire, &log).await.unwrap_err().tag(), "auth.signature");
    log.query = Some("from=1".into());
    authorize(&mut scene.wire, &log).await.unwrap();
    let lasting = next("GET", "/v1/keys", Some("user=alice&after="), "");
    authorize(&mut scene.wire, &lasting).await.unwrap();
    assert_eq!(authorize(&mut scene.wire, &lasting).await.unwrap_err().tag(), "auth.replayed");
    let expired = next("GET", "/v1/keys", None, "");
    assert_eq!(authorize(&mut scene.wire, &expired).await.unwrap_err().tag(), "auth.expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_other_people_in_python_and_javascript_sign_requests_that_are_taken() {
    let packages = ["http-message-signatures==3.0.0", "http-sf==1.5.0", "cryptography==50.0.2"];
    let venv = tools::python_venv(&[&["http-signatures"][..], &packages].concat());
    let packages = ["http-signatures", "http-message-signatures@1.0.6", "structured-headers@2.0.3"];
    let folder = tools::node_tool(&packages);
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let mut python = Command::new(venv.join("bin/python"));
    takes_requests_of(&mut scene, &key, python.arg("-B").arg(tools::script("sign_request.py"))).await;
    let mut node = Command::new("node");
    takes_requests_of(&mut scene, &key, node.arg(tools::script("sign_request.mjs")).arg(folder)).await;
    let expired = entries(&scene.wire);
    let expired = expired.iter().filter(|entry| entry.event.outcome.tag().as_str() == "auth.expired");
    assert_eq!(expired.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_on_the_log_where_it_is_refused_and_not_where_it_is_granted() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    for (path, reader, stranger, operation) in [
        ("/v1/keys?user=alice".to_owned(), &BACKEND, &AUDITOR, "keys.read"),
        ("/v1/keys?address=0x1".to_owned(), &BACKEND, &DESK, "keys.read"),
        ("/v1/keys".to_owned(), &AUDITOR, &BACKEND, "audit.read"),
        (format!("/v1/keys/{}", key.id), &BACKEND, &AUDITOR, "keys.read"),
        ("/v1/policy".to_owned(), &AUDITOR, &BACKEND, "audit.read"),
        ("/v1/orders".to_owned(), &AUDITOR, &BACKEND, "audit.read"),
        ("/v1/log".to_owned(), &AUDITOR, &BACKEND, "audit.read"),
        ("/v1/log/checkpoint".to_owned(), &AUDITOR, &BACKEND, "audit.read"),
    ] {
        let before = scene.wire.log.last().unwrap().seq;
        let authorize = |client| Operation::Authorize { request: request(client, "GET", &path, "") };
        let granted = scene.wire.ask(authorize(reader)).await;
        assert!(matches!(granted, Ok(Answer::Authorized(_))), "{path}: {granted:?}");
        // Neither with the answer nor beside it.
        let kept = scene.wire.ask(Operation::ReadLog { from: before + 1 }).await;
        assert_eq!(kept, Ok(Answer::LogLines(vec![])), "{path}");
        assert_eq!(tag(scene.wire.ask(authorize(stranger)).await), "auth.role");
        let entry = (operation.to_owned(), Some(stranger.id.to_owned()), "auth.role".to_owned());
        assert_eq!((scene.last_entry(), scene.wire.log.last().unwrap().seq), (entry, before + 1), "{path}");
    }
}
