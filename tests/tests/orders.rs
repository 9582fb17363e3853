//! Orders: operators restrict, at once. What an order does when its answer comes, who can give one,
//! what outlives a restart, and what a parent that drops orders achieves.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chains::Chain;
use cofferdam_tests::{
    authority::{self, BACKEND, DESK, envelope, signed_order},
    config::quorum,
    scene::{DEPLOYMENT, DepositKey, Scene, entries, request, tag},
    transactions::sweep,
    wire::new_key,
};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use protocol::{
    Index, KeyPath, NewKey, OrderId, Purpose, Record,
    dsse::{ORDER_TYPE, POLICY_TYPE},
    log::Decision,
    order::{MAX_ORDERS, Order, Restriction},
    request::SignedRequest,
    timestamp::Timestamp,
};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, OrderAccepted, Refusal, RefusalCode, State, message::MAX_REPLAYED};

async fn state(scene: &mut Scene) -> State {
    match scene.wire.ask(Operation::State).await {
        Ok(Answer::State(state)) => state,
        other => panic!("{other:?}"),
    }
}

fn accepted(answer: Result<Answer, Refusal>) -> OrderAccepted {
    match answer {
        Ok(Answer::OrderAccepted(accepted)) => accepted,
        other => panic!("{other:?}"),
    }
}

async fn order(scene: &mut Scene, restriction: &Restriction) -> OrderId {
    let accepted = accepted(scene.wire.order(DEPLOYMENT, restriction).await);
    assert!(accepted.new);
    accepted.order
}

async fn submit(scene: &mut Scene, envelope: &[u8]) -> Result<Answer, Refusal> {
    let request = DESK.request(DEPLOYMENT, "POST", "/v1/orders", envelope);
    scene.wire.ask(Operation::SubmitOrder { request }).await
}

/// Refused, with the order's id, in the answer, on the log and when it is explained.
async fn frozen(scene: &mut Scene, key: &DepositKey, order: OrderId) {
    let transaction = sweep(key, 77_777);
    let refused = scene.sign(key, &transaction).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.tag(), refused.order),
        (RefusalCode::Frozen, "order.frozen", Some(order))
    );
    let entry = scene.entries().pop().unwrap();
    assert_eq!(entry.event.detail.unwrap().to_value()["order"], order.to_string());
    assert_eq!(entry.event.outcome.tag().as_str(), "order.frozen");
    let explained = scene.explain(key, &transaction).await;
    assert_eq!(explained["denial"]["order_id"], order.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_freeze_of_a_key_a_user_a_chain_and_everything_stops_these_and_no_others() {
    let mut scene = Scene::new().await;
    let keys = [
        new_key("alice", Chain::Evm, 0),
        new_key("alice", Chain::Evm, 1),
        new_key("bob", Chain::Tron, 0),
        new_key("carol", Chain::Solana, 0),
        new_key("carol", Chain::Bitcoin, 0),
    ];
    let keys = scene.keys(&keys).await;
    let steps = [
        (Restriction::FreezeKey { key_id: keys[0].id }, 0),
        (Restriction::FreezeUser { user: "bob".parse().unwrap() }, 2),
        (Restriction::FreezeChain { chain: Chain::Solana }, 3),
    ];
    let mut stopped = Vec::new();
    for (restriction, at) in steps {
        let id = order(&mut scene, &restriction).await;
        assert_eq!(scene.last_entry(), ("order.submit".into(), Some("desk".into()), "ok".into()));
        stopped.push((at, id));
        for (number, key) in keys.iter().enumerate() {
            match stopped.iter().find(|(stopped, _)| *stopped == number) {
                Some((_, id)) => frozen(&mut scene, key, *id).await,
                None => scene.serves(key, 5_000).await,
            }
        }
    }
    let all = order(&mut scene, &Restriction::FreezeAll).await;
    for key in &keys {
        let refused = scene.sign(key, &sweep(key, 5_000)).await.unwrap_err();
        assert_eq!(refused.code, RefusalCode::Frozen, "also what was signed before");
    }
    frozen(&mut scene, &keys[1], all).await;
    // Addresses are still made and records still opened: a freeze stops money, not customers.
    let made = scene.key("dave", Chain::Evm).await;
    frozen(&mut scene, &made, all).await;
    let ids: Vec<OrderId> = state(&mut scene).await.orders;
    assert_eq!(ids.len(), 4);
    assert!(stopped.iter().all(|(_, id)| ids.contains(id)) && ids.contains(&all));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_signers_hammer_nothing_is_signed_after_the_orders_entry() {
    let mut scene = Scene::new().await;
    for round in 0..4u64 {
        let key = scene.keys(&[new_key("alice", Chain::Evm, round)]).await.remove(0);
        let stop = Arc::new(AtomicBool::new(false));
        let mut hammers = Vec::new();
        for hammer in 0..3u64 {
            let (key, stop) = (key.clone(), stop.clone());
            let mut wire = scene.enclave.wire().await;
            hammers.push(tokio::spawn(async move {
                let mut refused = 0;
                for amount in 1.. {
                    let transaction = sweep(&key, hammer * 1_000_000 + amount);
                    let records = std::slice::from_ref(&key.record);
                    match wire.sign(DEPLOYMENT, key.chain, records, &transaction).await {
                        Ok(_) => assert_eq!(refused, 0, "signed after a refusal"),
                        Err(refusal) => {
                            assert_eq!(refusal.code, RefusalCode::Frozen);
                            refused += 1;
                        }
                    }
                    if stop.load(Ordering::SeqCst) && refused > 2 {
                        break;
                    }
                }
                entries(&wire)
            }));
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let id = order(&mut scene, &Restriction::FreezeKey { key_id: key.id }).await;
        // From here on, on every connection.
        frozen(&mut scene, &key, id).await;
        stop.store(true, Ordering::SeqCst);
        let of_order = |entry: &&protocol::log::Entry| entry.event.operation.as_str() == "order.submit";
        let ordered = scene.entries().iter().rfind(of_order).unwrap().seq;
        let mut signed = 0;
        for hammer in hammers {
            for entry in hammer.await.unwrap() {
                let allowed = entry.event.outcome.decision() == Decision::Allow;
                assert_eq!(allowed, entry.seq < ordered, "entry {} and the order's {ordered}", entry.seq);
                signed += usize::from(allowed);
            }
        }
        assert!(signed > 0, "there was something to stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crediting_is_paused_on_a_chain_and_on_all_while_sweeps_go_on() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Tron).await;
    let credited = |state: State| {
        let chains = state.crediting.into_iter().filter(|(_, credited)| *credited);
        chains.map(|(chain, _)| chain).collect::<Vec<_>>()
    };
    assert_eq!(credited(state(&mut scene).await), Chain::ALL);
    order(&mut scene, &Restriction::PauseCrediting { chain: Some(Chain::Tron) }).await;
    assert_eq!(credited(state(&mut scene).await), [Chain::Evm, Chain::Bitcoin, Chain::Solana]);
    scene.serves(&key, 1).await;
    order(&mut scene, &Restriction::PauseCrediting { chain: None }).await;
    assert_eq!(credited(state(&mut scene).await), []);
    scene.serves(&key, 2).await;
    // A policy cannot be more lenient than an order that it does not lift.
    scene.put_policy(2, |_| {}).await;
    assert_eq!(credited(state(&mut scene).await), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_api_wallet_signs_no_more_and_a_retired_sweep_key_still_brings_deposits_home() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let wallet = scene.api_key(Chain::Evm).await;
    for retired in [&key, &wallet] {
        order(&mut scene, &Restriction::RetireKey { key_id: retired.id, replacement: None }).await;
    }
    scene.serves(&key, 1).await;
    let refused = scene.sign(&wallet, &sweep(&wallet, 1)).await.unwrap_err();
    assert_eq!((refused.code, refused.tag()), (RefusalCode::Frozen, "order.retired"));
    assert!(refused.order.is_some());
    let id = order(&mut scene, &Restriction::FreezeKey { key_id: key.id }).await;
    frozen(&mut scene, &key, id).await;
}

/// The order that replaces a key, as a client carries it: `change` is what somebody got wrong.
fn replacement(old: &DepositKey, change: impl FnOnce(&mut NewKey)) -> Restriction {
    let header = Record::parse(&old.record).unwrap().header().clone();
    let mut path = header.path();
    path.index = Index::try_from(u64::from(path.index) + 1).unwrap();
    let mut replacement = NewKey::new(path, header.label);
    change(&mut replacement);
    Restriction::RetireKey { key_id: old.id, replacement: Some(replacement) }
}

fn replacing(key: &DepositKey, order: &[u8]) -> SignedRequest {
    let path = format!("/v1/keys/{}/replace", key.id);
    request(&DESK, "POST", &path, &json!({ "order": BASE64.encode(order) }).to_string())
}

async fn replace(scene: &mut Scene, key: &DepositKey, restriction: &Restriction) -> Result<Answer, Refusal> {
    let request = replacing(key, &signed_order(DEPLOYMENT, restriction));
    scene.wire.ask(Operation::SubmitOrder { request }).await
}

/// Has the key made that takes a retired one's place.
async fn make(scene: &mut Scene, request: &SignedRequest) -> Result<Answer, Refusal> {
    scene.wire.ask(Operation::Create { request: request.clone(), positions: vec![0] }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_replaced_by_its_next_index_and_by_no_other_key() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Solana).await;
    let wallet = scene.api_key(Chain::Solana).await;
    let index = |index: u64| Index::try_from(index).unwrap();
    for (of, restriction, expected) in [
        (&key, replacement(&key, |next| next.index = index(2)), "order.replacement"),
        (&key, replacement(&key, |next| next.index = index(0)), "order.replacement"),
        (&key, replacement(&key, |next| next.user = "mallory".parse().unwrap()), "order.replacement"),
        (&key, replacement(&key, |next| next.chain = Chain::Evm), "order.replacement"),
        (&key, replacement(&key, |next| next.purpose = Purpose::Secondary), "order.replacement"),
        (&wallet, replacement(&wallet, |next| next.label = None), "order.replacement"),
        // The right order for another key, no replacement, another order.
        (&wallet, replacement(&key, |_| {}), "order.replacement"),
        (&key, Restriction::RetireKey { key_id: key.id, replacement: None }, "order.replacement"),
        (&key, Restriction::FreezeAll, "order.replacement"),
    ] {
        assert_eq!(tag(replace(&mut scene, of, &restriction).await), expected);
        assert_eq!(scene.last_entry(), ("key.replace".into(), Some("desk".into()), expected.into()));
    }
    assert_eq!(state(&mut scene).await.orders, []);
    for old in [&key, &wallet] {
        let order = signed_order(DEPLOYMENT, &replacement(old, |_| {}));
        // Nothing is made, and nothing shown, before the order is in force.
        let asked = replacing(old, &order);
        let refused = make(&mut scene, &asked).await.unwrap_err();
        assert_eq!(refused.tag(), "order.replacement");
        assert_eq!(scene.wire.confirm(&asked, &[]).await.unwrap_err().tag(), "order.replacement");
        let answer = accepted(scene.wire.ask(Operation::SubmitOrder { request: asked.clone() }).await);
        assert_eq!(refused.order, Some(answer.order));
        let entry = scene.entries().pop().unwrap();
        assert_eq!(
            (entry.event.operation.as_str(), entry.event.keys.as_slice()),
            ("key.replace", &[old.id][..])
        );
        let second = Operation::Create { request: asked.clone(), positions: vec![1] };
        assert_eq!(tag(scene.wire.ask(second).await), "request.malformed");
        let Ok(Answer::Records(made)) = make(&mut scene, &asked).await else { panic!() };
        let header = Record::parse(&old.record).unwrap().header().clone();
        let expected = NewKey::new(KeyPath { index: index(1), ..header.path() }, header.label);
        let made_header = Record::parse(&made[0]).unwrap().header().clone();
        assert_eq!(NewKey::new(made_header.path(), made_header.label), expected);
        // What is shown is the next key's record, and not the retired one's.
        let shown = scene.wire.confirm(&asked, &[&made[0], &old.record]).await.unwrap();
        assert_eq!(shown[0].as_deref(), Ok(Record::parse(&made[0]).unwrap().certificate()));
        assert_eq!(shown[1].as_ref().unwrap_err().tag(), "record.identity");
        let made = scene_key(&made[0]);
        scene.serves(&made, 1).await;
        // The same once more changes nothing, and can finish what was interrupted.
        let request = replacing(old, &order);
        let again = accepted(scene.wire.ask(Operation::SubmitOrder { request: request.clone() }).await);
        assert_eq!((again.new, again.order), (false, answer.order));
        assert!(make(&mut scene, &request).await.is_ok());
        // It is an order, and no request for the address of anything else.
        assert_eq!(tag(scene.wire.ask(Operation::SubmitOrder { request }).await), "auth.replayed");
    }
    scene.serves(&key, 2).await;
    assert_eq!(tag(scene.sign(&wallet, &sweep(&wallet, 2)).await), "order.retired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_lifted_has_no_key_made_and_none_shown_any_more() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let order = signed_order(DEPLOYMENT, &replacement(&key, |_| {}));
    let asked = replacing(&key, &order);
    let given = accepted(scene.wire.ask(Operation::SubmitOrder { request: asked.clone() }).await);
    let Ok(Answer::Records(made)) = make(&mut scene, &asked).await else { panic!() };
    assert!(scene.wire.confirm(&asked, &[&made[0]]).await.unwrap()[0].is_ok());
    scene.put_policy(2, |policy| policy["lifted_orders"] = json!([given.order.to_string()])).await;
    assert_eq!(tag(make(&mut scene, &asked).await), "order.replacement");
    let refused = scene.wire.confirm(&asked, &[&made[0]]).await.unwrap_err();
    assert_eq!((refused.tag(), refused.order), ("order.replacement", Some(given.order)));
    let expected = ("address.confirm".into(), Some("desk".into()), "order.replacement".into());
    assert_eq!(scene.last_entry(), expected);
}

fn scene_key(record: &[u8]) -> DepositKey {
    let header = Record::parse(record).unwrap().header().clone();
    DepositKey {
        id: header.key_id,
        chain: header.chain,
        address: header.address,
        taproot: header.taproot_address,
        record: record.to_vec(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_takes_the_threshold_of_those_who_may_freeze_over_this_payload() {
    let operator = |number: u8| SigningKey::from_bytes(&[50 + number; 32]);
    let mut scene =
        Scene::with(|config| config.freeze = quorum(2, &[operator(1), operator(2), operator(3)])).await;
    let key = scene.key("alice", Chain::Evm).await;
    let moment = Timestamp::from_seconds(authority::now()).unwrap();
    let payload_of = |deployment: &str| {
        let deployment = deployment.parse().unwrap();
        Order::payload(&deployment, &Restriction::FreezeAll, &"a drill".parse().unwrap(), moment)
    };
    let payload = payload_of(DEPLOYMENT);
    let both = [operator(1), operator(2)];
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut order: Value = serde_json::from_slice(&payload).unwrap();
        change(&mut order);
        envelope(ORDER_TYPE, order.to_string().as_bytes(), &both)
    };
    let envelope_changed = |change: &dyn Fn(&mut Value)| {
        let mut value = serde_json::from_slice(&envelope(ORDER_TYPE, &payload, &both)).unwrap();
        change(&mut value);
        value.to_string().into_bytes()
    };
    let other = BASE64.encode(&payload_of("other"));
    let policy = authority::policy(DEPLOYMENT, 2).to_string();
    for (bytes, expected) in [
        (envelope(ORDER_TYPE, &payload, &[]), "dsse.too_few"),
        (envelope(ORDER_TYPE, &payload, &both[..1]), "dsse.too_few"),
        (envelope(ORDER_TYPE, &payload, &[operator(1), operator(9)]), "dsse.unknown"),
        // Who signs policies may not freeze alone, nor beside one who may.
        (signed_order(DEPLOYMENT, &Restriction::FreezeAll), "dsse.unknown"),
        (envelope(ORDER_TYPE, &payload, &[operator(1), authority::operator()]), "dsse.unknown"),
        (
            envelope_changed(&|value| value["signatures"][1] = value["signatures"][0].clone()),
            "dsse.duplicate",
        ),
        (envelope_changed(&|value| value["payload"] = json!(other)), "dsse.invalid"),
        (envelope(ORDER_TYPE, &payload_of("other"), &both), "order.deployment"),
        // A policy is no order, whoever signed it.
        (authority::signed_policy(&authority::policy(DEPLOYMENT, 2)), "dsse.type"),
        (envelope(POLICY_TYPE, &payload, &both), "dsse.type"),
        (envelope(ORDER_TYPE, policy.as_bytes(), &both), "order.malformed"),
        (changed(&|order| order["type"] = json!("unfreeze_all")), "order.malformed"),
        (changed(&|order| order["type"] = json!("freeze_chain")), "order.malformed"),
        (changed(&|order| order["chain"] = json!("evm")), "order.malformed"),
        (changed(&|order| order["v"] = json!(2)), "order.malformed"),
        (changed(&|order| order["until"] = json!("tomorrow")), "order.malformed"),
        (changed(&|order| order["reason"] = json!("x".repeat(9000))), "order.malformed"),
        (b"freeze, please".to_vec(), "dsse.malformed"),
        (Vec::new(), "dsse.malformed"),
    ] {
        let refused = submit(&mut scene, &bytes).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::OrderRefused, expected), "{refused}");
        assert_eq!(scene.last_entry(), ("order.submit".into(), Some("desk".into()), expected.into()));
        let replayed = Operation::ReplayOrders { envelopes: vec![ByteBuf::from(bytes)] };
        assert_eq!(scene.wire.ask(replayed).await, Ok(Answer::OrdersReplayed(vec![])));
        assert_eq!(scene.last_entry(), ("order.replay".into(), None, expected.into()));
    }
    assert_eq!(state(&mut scene).await.orders, []);
    scene.serves(&key, 1).await;
    let good = String::from_utf8(envelope(ORDER_TYPE, &payload, &both)).unwrap();
    let without_role = request(&BACKEND, "POST", "/v1/orders", &good);
    assert_eq!(tag(scene.wire.ask(Operation::SubmitOrder { request: without_role }).await), "auth.role");
    scene.serves(&key, 2).await;
    let id = accepted(submit(&mut scene, good.as_bytes()).await).order;
    frozen(&mut scene, &key, id).await;
    assert!(!accepted(submit(&mut scene, good.as_bytes()).await).new, "twice is once");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_the_parent_stored_are_in_force_again_after_a_restart() {
    let mut scene = Scene::new().await;
    let keys = ["alice", "bob", "carol"].map(|user| new_key(user, Chain::Evm, 0));
    let keys = scene.keys(&keys).await;
    let (mut ids, mut envelopes) = (Vec::new(), Vec::new());
    for restriction in [
        Restriction::FreezeUser { user: "alice".parse().unwrap() },
        Restriction::FreezeKey { key_id: keys[1].id },
        Restriction::PauseCrediting { chain: None },
    ] {
        let envelope = signed_order(DEPLOYMENT, &restriction);
        ids.push(accepted(submit(&mut scene, &envelope).await).order);
        envelopes.push(ByteBuf::from(envelope));
    }
    let mut scene = scene.reboot().await;
    // One that does not count any more stops none of the others; it needs no policy either.
    envelopes.insert(1, ByteBuf::from("{}"));
    let replay = Operation::ReplayOrders { envelopes: envelopes.clone() };
    assert_eq!(scene.wire.ask(replay.clone()).await, Ok(Answer::OrdersReplayed(ids.clone())));
    let replayed: Vec<_> =
        scene.entries().iter().map(|entry| entry.event.outcome.tag().to_string()).collect();
    assert_eq!(replayed, ["ok", "dsse.malformed", "ok", "ok"]);
    scene.put_policy(1, |_| {}).await;
    frozen(&mut scene, &keys[0], ids[0]).await;
    frozen(&mut scene, &keys[1], ids[1]).await;
    scene.serves(&keys[2], 1).await;
    let standing = state(&mut scene).await;
    assert!(standing.orders.len() == 3 && standing.crediting.iter().all(|(_, credited)| !credited));
    // Again: nothing new but the refusal.
    let before = scene.wire.log.len();
    assert_eq!(scene.wire.ask(replay).await, Ok(Answer::OrdersReplayed(ids)));
    assert_eq!(scene.wire.log.len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_beyond_the_room_are_replayed_and_those_that_a_policy_lifts_leave_theirs() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    // Earlier boots took them, when a policy lifted some. This one has none yet.
    let mut scene = scene.reboot().await;
    let user = |number: usize| Restriction::FreezeUser { user: format!("user {number}").parse().unwrap() };
    let last = Restriction::FreezeKey { key_id: key.id };
    let before = (0..MAX_ORDERS).map(user).chain([last]);
    let envelopes: Vec<ByteBuf> =
        before.map(|restriction| ByteBuf::from(signed_order(DEPLOYMENT, &restriction))).collect();
    let mut ids = Vec::new();
    for envelopes in envelopes.chunks(MAX_REPLAYED) {
        let replay = Operation::ReplayOrders { envelopes: envelopes.to_vec() };
        let Ok(Answer::OrdersReplayed(taken)) = scene.wire.ask(replay).await else { panic!() };
        ids.extend(taken);
    }
    assert_eq!(ids.len(), MAX_ORDERS + 1);
    scene.put_policy(1, |_| {}).await;
    frozen(&mut scene, &key, ids[MAX_ORDERS]).await;
    // Nothing more is taken of those that are given now, until a policy lifts some; a retirement is.
    let more = signed_order(DEPLOYMENT, &Restriction::FreezeChain { chain: Chain::Tron });
    assert_eq!(tag(submit(&mut scene, &more).await), "order.too_many");
    order(&mut scene, &Restriction::RetireKey { key_id: key.id, replacement: None }).await;
    let lifted: Vec<String> = ids[..2].iter().map(ToString::to_string).collect();
    scene.put_policy(2, |policy| policy["lifted_orders"] = json!(lifted)).await;
    assert!(accepted(submit(&mut scene, &more).await).new);
    let again = signed_order(DEPLOYMENT, &Restriction::FreezeChain { chain: Chain::Evm });
    assert_eq!(tag(submit(&mut scene, &again).await), "order.too_many");
    order(&mut scene, &Restriction::FreezeAll).await;
}

/// The most that a parent achieves which drops orders: it restarts the enclave and shows none. Within
/// one boot no order can be taken back. After the restart keys sign again, to the pinned destinations
/// and within the bounds of the policy; the new boot, and that no order was replayed in it, is on the
/// log that a witness reads. What must hold against such a parent goes into the policy (`frozen`), and
/// `activation = "quorum"` lets operators look before a boot signs.
#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_drops_orders_and_restarts_gets_sweeps_to_pinned_addresses_and_shows_in_the_log() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let freeze = signed_order(DEPLOYMENT, &Restriction::FreezeAll);
    let dropped = accepted(submit(&mut scene, &freeze).await);
    frozen(&mut scene, &key, dropped.order).await;
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    assert_eq!(state(&mut scene).await.orders, []);
    scene.serves(&key, 1).await;
    let thief = "0x00000000000000000000000000000000DeaDBeef";
    let stolen = cofferdam_tests::transactions::sweep_to(&key, 1, thief);
    assert_eq!(tag(scene.sign(&key, &stolen).await), "policy.evm.destination");
    assert!(scene.entries().iter().all(|entry| entry.event.operation.as_str() != "order.replay"));
    // Whoever has the order can show it, without a client and at any time.
    let replay = Operation::ReplayOrders { envelopes: vec![ByteBuf::from(freeze)] };
    scene.wire.ask(replay).await.unwrap();
    frozen(&mut scene, &key, dropped.order).await;
    // In a policy it holds in every boot that has this policy.
    let mut scene = scene.reboot().await;
    scene.put_policy(2, |policy| policy["frozen"] = json!({ "users": ["alice"] })).await;
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 3)).await), "order.frozen");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_policy_lifts_an_order_and_only_the_orders_that_it_names() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let lifted = order(&mut scene, &Restriction::FreezeUser { user: "alice".parse().unwrap() }).await;
    let freeze = signed_order(DEPLOYMENT, &Restriction::FreezeKey { key_id: key.id });
    let kept = accepted(submit(&mut scene, &freeze).await).order;
    scene.put_policy(2, |_| {}).await;
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 1)).await), "order.frozen");
    scene.put_policy(3, |policy| policy["lifted_orders"] = json!([lifted.to_string()])).await;
    frozen(&mut scene, &key, kept).await;
    assert_eq!(state(&mut scene).await.orders, [kept]);
    let both = json!([lifted.to_string(), kept.to_string()]);
    scene.put_policy(4, |policy| policy["lifted_orders"] = both.clone()).await;
    scene.serves(&key, 1).await;
    assert_eq!(state(&mut scene).await.orders, []);
    // What is lifted cannot be given once more, or who gives it would think that it holds.
    let refused = submit(&mut scene, &freeze).await.unwrap_err();
    assert_eq!((refused.tag(), refused.order), ("order.lifted", Some(kept)));
    scene.serves(&key, 1).await;
    // A new order, of another moment or reason, is another one, and stops it again.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let again = order(&mut scene, &Restriction::FreezeKey { key_id: key.id }).await;
    assert_ne!(again, kept);
    frozen(&mut scene, &key, again).await;
    // Left out of the next policy, the lifted ones are in force again.
    scene.put_policy(5, |policy| policy["lifted_orders"] = json!([again.to_string()])).await;
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 2)).await), "order.frozen");
}
