//! The enclave's log: everything that is done or refused is on it, in order, chained and signed; it
//! leaves with the answers, gaps are filled, boots are linked; and what cannot be logged does not
//! happen.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use attestation::{
    AttestationDoc, ExpectedPcrs, PcrIndex, TrustAnchor, Verified,
    verify::{Expectations, Freshness, Match, verify},
};
use chains::Chain;
use cofferdam_tests::{
    authority::{self, AUDITOR, BACKEND},
    deployment::Deployment,
    scene::{DEPLOYMENT, DepositKey, Scene, request},
    transactions::{sweep, sweep_to},
    wire::{Wire, addresses, creation, new_key, signature_body},
};
use protocol::{
    Purpose,
    log::{BootFacts, Checkpoint, ContentHash, Entry, EntryHash},
    order::Restriction,
    request::SignedRequest,
};
use serde_bytes::{ByteArray, ByteBuf};
use serde_json::json;
use verifier::log::{BootIdentity, LogFault, Verifier};
use wire::{Answer, Description, LogHead, LogLine, Operation, Refusal, RefusalCode};

async fn described(wire: &mut Wire) -> Box<Description> {
    match wire.ask(Operation::Describe).await {
        Ok(Answer::Description(description)) => description,
        other => panic!("{other:?}"),
    }
}

/// The boot's document, verified to the root of the deployment's NSM.
fn verified(deployment: &Deployment, document: &[u8]) -> Verified<AttestationDoc> {
    let root = std::fs::read_to_string(deployment.path().join("nsm-root.pem")).unwrap();
    let pcrs = ExpectedPcrs::new([(PcrIndex::IMAGE, deployment.pcr0())]).unwrap();
    let expected = Expectations {
        root: &TrustAnchor::from_pem(&root).unwrap(),
        pcrs: &pcrs,
        freshness: Freshness::Archived,
        nonce: Match::Anything,
        public_key: Match::Anything,
        user_data: Match::Anything,
    };
    verify(document, &expected).unwrap()
}

async fn verifier(scene: &mut Scene) -> Verifier {
    let document = described(&mut scene.wire).await.document;
    let identity = BootIdentity::of(&verified(&scene.deployment, &document)).unwrap();
    Verifier::new(identity, DEPLOYMENT.parse().unwrap())
}

async fn checkpoint(wire: &mut Wire, stored: u64) -> Checkpoint {
    match wire.ask(Operation::Checkpoint { stored }).await {
        Ok(Answer::Checkpoint(json)) => Checkpoint::parse(json.as_bytes()).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn read(wire: &mut Wire, from: u64) -> Vec<LogLine> {
    match wire.ask(Operation::ReadLog { from }).await {
        Ok(Answer::LogLines(lines)) => lines,
        other => panic!("{other:?}"),
    }
}

async fn open(wire: &mut Wire, previous: Option<LogHead>) -> LogHead {
    match wire.ask(Operation::OpenLog { previous }).await {
        Ok(Answer::LogOpened(head)) => head,
        other => panic!("{other:?}"),
    }
}

/// Everything that waits, in order, page by page.
async fn read_all(wire: &mut Wire, mut from: u64) -> Vec<LogLine> {
    let mut all = Vec::new();
    loop {
        let page = read(wire, from).await;
        let Some(last) = page.last() else { return all };
        from = last.seq + 1;
        all.extend(page);
    }
}

fn explained(key: &DepositKey, transaction: &[u8]) -> (SignedRequest, Vec<ByteBuf>) {
    let body = signature_body(key.chain, std::slice::from_ref(&key.record), transaction);
    let request = request(&BACKEND, "POST", "/v1/signatures/explain", &body.to_string());
    (request, vec![ByteBuf::from(key.record.clone())])
}

/// One of everything that can happen; what the log must say of it, entry by entry.
async fn one_of_everything(scene: &mut Scene) -> Vec<(&'static str, Option<&'static str>, String)> {
    let mut expected = Vec::new();
    let mut expect = |operation, client, tag: &str| expected.push((operation, client, tag.to_owned()));
    let backend = Some("backend");
    expect("boot", None, "ok");
    let wire = &mut scene.wire;
    assert!(wire.create(DEPLOYMENT, &[new_key("alice", Chain::Evm, 0)]).await.is_err());
    expect("request", None, "policy.none");
    assert!(wire.put_policy(&authority::policy("other", 1)).await.is_err());
    expect("policy.put", None, "policy.deployment");
    scene.put_policy(1, |_| {}).await;
    expect("policy.put", None, "ok");
    let key = scene.key("alice", Chain::Evm).await;
    expect("address.create", backend, "ok");
    let wallet = scene.api_key(Chain::Tron).await;
    expect("address.create", backend, "ok");
    let two = scene.keys(&[new_key("bob", Chain::Solana, 0), new_key("bob", Chain::Bitcoin, 0)]).await;
    expect("address.create", backend, "ok");
    expect("address.create", backend, "ok");
    scene.wire.check(DEPLOYMENT, key.id, &key.record).await.unwrap();
    expect("key.check", backend, "ok");
    assert!(scene.wire.check(DEPLOYMENT, key.id, &two[0].record).await.is_err());
    expect("key.check", backend, "record.identity");
    let shown = addresses(DEPLOYMENT, &[new_key("alice", Chain::Evm, 0)]);
    scene.wire.confirm(&shown, &[&key.record, &two[0].record]).await.unwrap();
    expect("address.confirm", backend, "ok");
    expect("address.confirm", backend, "record.identity");
    scene.sign(&key, &sweep(&key, 1)).await.unwrap();
    expect("transaction.sign", backend, "ok");
    assert!(scene.sign(&key, &sweep_to(&key, 1, &key.address)).await.is_err());
    expect("transaction.sign", backend, "policy.evm.destination");
    assert!(scene.sign(&key, b"digest").await.is_err());
    expect("transaction.sign", backend, "transaction.evm.type");
    scene.explain(&key, &sweep(&key, 2)).await;
    expect("transaction.explain", backend, "ok");
    scene.explain(&key, &sweep_to(&key, 2, &key.address)).await;
    expect("transaction.explain", backend, "policy.evm.destination");
    let batch = [(&two[0], sweep(&two[0], 1)), (&two[1], vec![1]), (&wallet, sweep(&wallet, 1))];
    scene.sign_batch(&batch).await;
    for tag in ["ok", "transaction.bitcoin.encoding", "ok"] {
        expect("transaction.sign", backend, tag);
    }
    let forbidden = request(&AUDITOR, "POST", "/v1/addresses", "{}");
    assert!(scene.wire.ask(Operation::Authorize { request: forbidden }).await.is_err());
    expect("address.create", Some("auditor"), "auth.role");
    let mut unsigned = request(&AUDITOR, "GET", "/v1/log", "");
    unsigned.signature.clear();
    assert!(scene.wire.ask(Operation::Authorize { request: unsigned }).await.is_err());
    expect("request", None, "auth.missing");
    let freeze = authority::signed_order(DEPLOYMENT, &Restriction::FreezeKey { key_id: key.id });
    scene.wire.ask(order(&freeze)).await.unwrap();
    expect("order.submit", Some("desk"), "ok");
    assert!(scene.sign(&key, &sweep(&key, 3)).await.is_err());
    expect("transaction.sign", backend, "order.frozen");
    let all = authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll);
    let envelopes = vec![ByteBuf::from(freeze), ByteBuf::from(all)];
    scene.wire.ask(Operation::ReplayOrders { envelopes }).await.unwrap();
    expect("order.replay", None, "ok");
    assert!(scene.wire.ask(Operation::Activate { envelope: ByteBuf::new() }).await.is_err());
    expect("activation.put", None, "dsse.malformed");
    expected
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_happens_is_on_the_log_in_order_and_verifies_to_the_root() {
    let mut scene = Scene::ungoverned(|_| {}).await;
    let expected = one_of_everything(&mut scene).await;
    // The first line came with no answer; everything else came with its own, and is the same.
    let lines = read_all(&mut scene.wire, 1).await;
    assert_eq!(lines[1..], scene.wire.log);
    let entries: Vec<Entry> = lines.iter().map(|line| Entry::parse(line.line.as_bytes()).unwrap()).collect();
    let said = entries.iter().map(|entry| {
        let event = &entry.event;
        let client = event.client.as_ref().map(ToString::to_string);
        (event.operation.to_string(), client, event.outcome.tag().to_string())
    });
    let expected =
        expected.into_iter().map(|(operation, client, tag)| (operation.into(), client.map(Into::into), tag));
    assert_eq!(said.collect::<Vec<(String, Option<String>, String)>>(), expected.collect::<Vec<_>>());

    let mut verifier = verifier(&mut scene).await;
    for line in &lines {
        verifier.push(line.line.as_bytes()).unwrap();
    }
    assert_eq!(verifier.unsigned(), lines.len() as u64);
    let last = checkpoint(&mut scene.wire, 0).await;
    verifier.push(last.to_line().as_bytes()).unwrap();
    assert_eq!((verifier.unsigned(), verifier.signed()), (0, Some(last.head)));
    // Who the users are is nobody's business who reads the log.
    let text: String = lines.iter().map(|line| line.line.as_str()).collect();
    assert!(!text.contains("alice") && !text.contains("bob") && !text.contains("market maker"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_says_who_asked_what_with_which_key_under_which_policy_and_what_came_of_it() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let made = scene.entries().pop().unwrap().event;
    assert_eq!((made.keys.as_slice(), made.result), (&[key.id][..], Some(ContentHash::of(&key.record))));
    let transaction = sweep(&key, 9);
    let body = signature_body(key.chain, std::slice::from_ref(&key.record), &transaction).to_string();
    let asked = request(&BACKEND, "POST", "/v1/signatures", &body);
    let hash = asked.open().unwrap().hash();
    let records = vec![ByteBuf::from(key.record.clone())];
    let answer = scene.wire.ask(Operation::Sign { request: asked, records }).await;
    let Ok(Answer::Signatures(mut signed)) = answer else { panic!() };
    let signed = signed.remove(0).unwrap();
    let event = scene.entries().pop().unwrap().event;
    assert_eq!(event.request, Some(ContentHash::new(hash)));
    assert_eq!(event.result, Some(ContentHash::of(&signed.transaction)));
    assert_eq!(event.policy, described(&mut scene.wire).await.policy);
    let detail = event.detail.unwrap().to_value();
    let wallet = authority::collection(Chain::Evm);
    assert_eq!(
        detail["transfers"],
        json!([{ "asset": "native", "amount": "900000000", "destination": wallet }])
    );
    assert_eq!((&detail["id"], &detail["rules"]), (&json!(signed.id), &json!("deposits")));
    assert_eq!((&detail["kind"], &detail["network"]), (&json!("evm.native"), &json!("evm:1")));
    assert_eq!(detail["spends"], json!({ "chain_id": 1, "nonce": 9 }));
    let refused = scene.sign(&key, &sweep_to(&key, 9, &key.address)).await.unwrap_err();
    let event = scene.entries().pop().unwrap().event;
    assert_eq!((event.result, event.outcome.tag().as_str()), (None, refused.tag()));
    let detail = event.detail.unwrap().to_value();
    assert_eq!(detail["transfers"][0]["destination"], json!(key.address), "where it should have gone");
    assert_eq!(detail["message"], json!(refused.message));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_leave_one_chain_without_a_gap() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Solana).await;
    let mut tasks = Vec::new();
    for client in 0..4u64 {
        let (mut wire, key) = (scene.enclave.wire().await, key.clone());
        tasks.push(tokio::spawn(async move {
            for amount in 1..=15 {
                let transaction = sweep(&key, client * 100 + amount);
                wire.sign(DEPLOYMENT, key.chain, std::slice::from_ref(&key.record), &transaction)
                    .await
                    .unwrap();
            }
            wire.log
        }));
    }
    let mut checkpoints = Vec::new();
    for _ in 0..10 {
        checkpoints.push(checkpoint(&mut scene.wire, 0).await);
    }
    let mut lines = std::mem::take(&mut scene.wire.log);
    for task in tasks {
        let theirs = task.await.unwrap();
        assert!(theirs.is_sorted_by_key(|line| line.seq));
        lines.extend(theirs);
    }
    checkpoints.push(checkpoint(&mut scene.wire, 0).await);
    lines.sort_by_key(|line| line.seq);
    assert_eq!(lines[..], read_all(&mut scene.wire, 2).await);
    let mut verifier = verifier(&mut scene).await;
    let mut checkpoints = checkpoints.into_iter().peekable();
    for line in [&read(&mut scene.wire, 1).await[..1], &lines].concat() {
        verifier.push(line.line.as_bytes()).unwrap();
        while let Some(checkpoint) = checkpoints.next_if(|checkpoint| checkpoint.head.seq == line.seq) {
            verifier.push(checkpoint.to_line().as_bytes()).unwrap();
        }
    }
    assert!(checkpoints.next().is_none() && verifier.unsigned() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_left_out_changed_or_anothers_is_found() {
    let mut scene = Scene::ungoverned(|_| {}).await;
    one_of_everything(&mut scene).await;
    let mut lines: Vec<String> =
        read_all(&mut scene.wire, 1).await.into_iter().map(|line| line.line).collect();
    lines.push(checkpoint(&mut scene.wire, 0).await.to_line());
    let mut fresh = Vec::new();
    for _ in 0..lines.len() * 2 + 2 {
        fresh.push(verifier(&mut scene).await);
    }
    let mut fault = |lines: &[String]| {
        let mut verifier = fresh.pop().unwrap();
        lines.iter().find_map(|line| verifier.push(line.as_bytes()).err())
    };
    assert_eq!(fault(&lines), None);
    for at in 0..lines.len() - 1 {
        let mut without = lines.clone();
        without.remove(at);
        assert!(fault(&without).is_some(), "line {at}");
        let mut changed = lines.clone();
        changed[at] = changed[at].replace("\"time\":1", "\"time\":2");
        assert!(fault(&changed).is_some(), "line {at}");
    }
    let mut elsewhere = Scene::new().await;
    let theirs = read(&mut elsewhere.wire, 1).await.remove(0).line;
    assert!(matches!(fault(&[theirs]), Some(LogFault::OtherBoot { seq: 1, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_filled_until_its_lines_are_stored() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    // An answer that never arrived: the connection ended before it.
    let mut lost = scene.enclave.wire().await;
    let (request, records) = explained(&key, &sweep(&key, 1));
    lost.send(Operation::Sign { request, records }).await;
    assert!(lost.receive().await.is_some());
    drop(lost);
    scene.serves(&key, 2).await;
    let [.., before, after] = &scene.wire.log[..] else { panic!() };
    assert_eq!(after.seq, before.seq + 2);
    let (gap, after) = (before.seq + 1, after.seq);
    let filled = read(&mut scene.wire, gap).await;
    assert_eq!(filled.iter().map(|line| line.seq).collect::<Vec<_>>(), [gap, after]);
    assert!(filled[0].line.contains("transaction.explain"));
    // What is stored is forgotten; what is not stays.
    checkpoint(&mut scene.wire, gap).await;
    assert_eq!(read(&mut scene.wire, 1).await.iter().map(|line| line.seq).collect::<Vec<_>>(), [after]);
    // A parent that says more than there is forgets its own lines: the next checkpoint covers them.
    let last = checkpoint(&mut scene.wire, u64::MAX).await;
    assert_eq!((last.head.seq, read(&mut scene.wire, 1).await), (after, vec![]));
    scene.serves(&key, 3).await;
    assert_eq!(scene.wire.log.last().unwrap().seq, after + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_begins_once_and_names_the_head_that_the_parent_showed() {
    let mut scene = Scene::ungoverned(|_| {}).await;
    one_of_everything(&mut scene).await;
    let last = checkpoint(&mut scene.wire, 0).await;
    let head = LogHead {
        boot: last.head.boot,
        seq: last.head.seq,
        hash: ByteArray::new(*last.head.hash.as_bytes()),
    };
    // Again, whatever is shown: where it stands, and nothing more.
    for previous in [None, Some(head.clone())] {
        assert_eq!(open(&mut scene.wire, previous).await, head);
    }
    assert_eq!(checkpoint(&mut scene.wire, 0).await.head, last.head);

    let Scene { deployment, enclave, wire } = scene;
    drop(wire);
    enclave.stop().await;
    let enclave = deployment.boot();
    let mut wire = enclave.wire().await;
    let begun = open(&mut wire, Some(head.clone())).await;
    assert!(begun.boot != head.boot && begun.seq == 1);
    // Too late for another past.
    assert_eq!(open(&mut wire, None).await, begun);
    let first = read(&mut wire, 1).await.remove(0).line;
    assert_eq!(EntryHash::of(first.as_bytes()).as_bytes(), &*begun.hash);
    let facts = BootFacts::of(&Entry::parse(first.as_bytes()).unwrap()).unwrap();
    assert_eq!(facts.previous, Some(last.head));
    assert_eq!(facts.pcr0, deployment.pcr0());
    let mut scene = Scene { deployment, enclave, wire };
    let mut verifier = verifier(&mut scene).await;
    verifier.push(first.as_bytes()).unwrap();
    assert_eq!(verifier.identity().config, facts.config);
}

/// How many lines may wait, how many of them may be strangers', and how many what does not restrict.
const ALL: u64 = 65_536;
const HALF: u64 = ALL / 2;
const MOST: u64 = ALL - 2_048;

/// Whether it is an order or a policy of the operators'.
fn is_in_effect(operation: &Operation) -> bool {
    match operation {
        Operation::SubmitOrder { request } => request.body.len() > 100,
        Operation::ReplayOrders { envelopes } => envelopes[0].len() > 100,
        Operation::PutPolicy { .. } => true,
        _ => false,
    }
}

/// Asks so many times what is refused and leaves a line.
async fn fill(wire: &mut Wire, operation: &Operation, times: u64) {
    for _ in 0..times {
        let refusal = wire.ask(operation.clone()).await.unwrap_err();
        assert_eq!(refusal.code, RefusalCode::RequestMalformed);
    }
}

/// Gives so many orders, each of which leaves a line.
async fn restrict(wire: &mut Wire, mut times: u64) {
    while times > 0 {
        let some = times.min(100);
        for _ in 0..some {
            wire.send(order(&authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll))).await;
        }
        for _ in 0..some {
            assert!(wire.receive().await.unwrap().result.is_ok());
        }
        times -= some;
    }
}

/// What a client or the parent asks, all of which leaves an entry.
fn everything(key: &DepositKey) -> Vec<Operation> {
    let (request, records) = explained(key, &sweep(key, 1));
    let body = signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(key, 1)).to_string();
    let signing = cofferdam_tests::scene::request(&BACKEND, "POST", "/v1/signatures", &body);
    let reading = cofferdam_tests::scene::request(&BACKEND, "GET", "/v1/keys?user=alice", "");
    let order = authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll);
    let ordering = authority::DESK.request(DEPLOYMENT, "POST", "/v1/orders", &order);
    vec![
        Operation::Sign { request, records: records.clone() },
        Operation::Sign { request: signing, records },
        Operation::Authorize { request: reading },
        Operation::SubmitOrder { request: ordering },
        Operation::ReplayOrders { envelopes: vec![ByteBuf::from(order)] },
        Operation::PutPolicy {
            envelope: ByteBuf::from(authority::signed_policy(&authority::policy(DEPLOYMENT, 9))),
        },
        Operation::Activate { envelope: ByteBuf::new() },
        creation(DEPLOYMENT, &[new_key("alice", Chain::Evm, 0)]),
        Operation::Confirm { request: addresses(DEPLOYMENT, &[]), records: vec![ByteBuf::new()] },
    ]
}

fn put_policy(version: u64) -> Operation {
    let policy = authority::signed_policy(&authority::policy(DEPLOYMENT, version));
    Operation::PutPolicy { envelope: ByteBuf::from(policy) }
}

fn order(envelope: &[u8]) -> Operation {
    Operation::SubmitOrder { request: authority::DESK.request(DEPLOYMENT, "POST", "/v1/orders", envelope) }
}

fn unavailable(result: Result<Answer, Refusal>) {
    let refused = result.unwrap_err();
    assert_eq!((refused.code, refused.tag()), (RefusalCode::LogUnavailable, "log.unavailable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_log_has_begun_nothing_is_done() {
    let key = Scene::new().await.key("alice", Chain::Evm).await;
    let deployment = Deployment::new();
    let enclave = deployment.boot();
    let mut wire = enclave.wire().await;
    wire.ask(Operation::PutCredentials(deployment.credentials())).await.unwrap();
    assert!(!described(&mut wire).await.log_open);
    for operation in everything(&key) {
        unavailable(wire.ask(operation).await);
    }
    unavailable(wire.ask(Operation::Checkpoint { stored: 0 }).await);
    assert_eq!((wire.log.len(), read(&mut wire, 1).await), (0, vec![]));
    open(&mut wire, None).await;
    wire.put_policy(&authority::policy(DEPLOYMENT, 1)).await.unwrap();
    assert!(described(&mut wire).await.log_open);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_never_says_it_stored_the_log_gets_nothing_done_any_more() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let pending = creation(DEPLOYMENT, &[new_key("bob", Chain::Evm, 0)]);
    // Keys of two purposes at once: refused each time, however often it comes.
    let mut two = [new_key("dave", Chain::Evm, 0), new_key("desk", Chain::Evm, 0)];
    (two[1].purpose, two[1].label) = (Purpose::Secondary, Some("a desk".parse().unwrap()));
    // Orders that are none, which anybody can show, make up to 64 refusals a request.
    let refused = |lines: usize| Operation::ReplayOrders { envelopes: vec![ByteBuf::new(); lines] };
    let mut seq = scene.wire.log.last().unwrap().seq;
    while seq <= HALF {
        let times = (HALF + 1 - seq).min(100);
        fill(&mut scene.wire, &creation(DEPLOYMENT, &two), times).await;
        seq += times;
    }
    // Beyond half of the room nobody comes in.
    for operation in everything(&key).into_iter().chain([pending]) {
        // What operators restrict finds room. All else, and what only looks like an order, does not.
        match is_in_effect(&operation) {
            true => assert!(scene.wire.ask(operation).await.is_ok()),
            false => unavailable(scene.wire.ask(operation).await),
        }
    }
    seq += 2;
    let mut forged = authority::DESK.request(DEPLOYMENT, "POST", "/v1/orders", b"{}");
    forged.signature.replace_range(5..9, "AAAA");
    for stranger in [refused(64), put_policy(2), Operation::SubmitOrder { request: forged }] {
        unavailable(scene.wire.ask(stranger).await);
    }
    restrict(&mut scene.wire, MOST - 1 - seq).await;
    seq = MOST - 1;
    let is_no_policy = |operation: &Operation| !matches!(operation, Operation::PutPolicy { .. });
    let all = everything(&key).into_iter().filter(is_no_policy);
    for operation in all.chain([put_policy(10), creation(DEPLOYMENT, &two), refused(1), order(b"none")]) {
        match is_in_effect(&operation) {
            true => assert!(scene.wire.ask(operation).await.is_ok()),
            false => unavailable(scene.wire.ask(operation).await),
        }
    }
    seq += 2;
    let policy = described(&mut scene.wire).await.policy;
    assert_eq!(policy.as_ref().unwrap().version, 10);
    // Where even that is full, nothing takes effect any more.
    restrict(&mut scene.wire, ALL - seq).await;
    let later = || creation(DEPLOYMENT, &[new_key("carol", Chain::Evm, 0)]);
    for operation in everything(&key).into_iter().chain([put_policy(11), later()]) {
        unavailable(scene.wire.ask(operation).await);
    }
    assert_eq!(scene.wire.log.last().unwrap().seq, ALL);
    assert_eq!(described(&mut scene.wire).await.policy, policy);
    // Pages fit a frame; once they are stored, everything goes on where it stopped.
    let page = read(&mut scene.wire, 1).await;
    assert!(page[0].seq == 1 && page.len() > 500 && page.len() < 10_000);
    checkpoint(&mut scene.wire, 1).await;
    unavailable(scene.wire.ask(later()).await);
    assert!(
        scene.wire.ask(order(&authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll))).await.is_ok()
    );
    let last = checkpoint(&mut scene.wire, ALL + 1).await;
    assert_eq!((last.head.seq, read(&mut scene.wire, 1).await.len()), (ALL + 1, 0));
    assert!(matches!(scene.wire.ask(later()).await, Ok(Answer::Records(_))));
    let batch: Vec<(&DepositKey, Vec<u8>)> = (0..256).map(|n| (&key, sweep(&key, n + 1))).collect();
    let frozen = scene.sign_batch(&batch).await;
    assert!(frozen.iter().all(|signed| signed.as_ref().is_err_and(|e| e.code == RefusalCode::Frozen)));
    assert_eq!(scene.wire.log.last().unwrap().seq, ALL + 2 + 256);
}
