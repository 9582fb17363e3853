//! What decides in the enclave: a policy that the operators' threshold signed, in its window, in the
//! newest version; with activation by quorum also their word for this very boot. Without all that
//! nothing is signed and no address is made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::time::Duration;

use attestation::DocumentHash;
use chains::Chain;
use cofferdam_tests::{
    authority::{self, AUDITOR, BACKEND, Client, DESK, collection, envelope, now},
    config::quorum,
    scene::{DEPLOYMENT, DepositKey, Scene, api_key, request, tag},
    transactions::{sweep, sweep_to},
    wire::{addresses, new_key, signature_body},
};
use ed25519_dalek::SigningKey;
use protocol::{
    Purpose, SessionBinding,
    dsse::{ACTIVATION_TYPE, ORDER_TYPE, POLICY_TYPE},
    order::Restriction,
    timestamp::Timestamp,
};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal, RefusalCode};

/// BIP-173's example on testnet.
const TESTNET: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";

fn operator(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[40 + number; 32])
}

/// Two of these three sign policies, one of the next two freezes.
async fn board() -> Scene {
    Scene::ungoverned(|config| {
        config.policy = quorum(2, &[operator(1), operator(2), operator(3)]);
        config.freeze = quorum(1, &[operator(4), operator(5)]);
    })
    .await
}

async fn put(scene: &mut Scene, envelope: &[u8]) -> Result<Answer, Refusal> {
    scene.wire.ask(Operation::PutPolicy { envelope: ByteBuf::from(envelope) }).await
}

/// Signed by operators 1 and 2.
async fn put_signed(scene: &mut Scene, policy: &Value) -> Result<Answer, Refusal> {
    let signed = envelope(POLICY_TYPE, policy.to_string().as_bytes(), &[operator(1), operator(2)]);
    put(scene, &signed).await
}

fn moment(seconds: u64) -> Value {
    json!(Timestamp::from_seconds(seconds).unwrap().to_string())
}

/// Whatever a client asks is refused for want of a policy, with this tag.
async fn nothing_is_done(scene: &mut Scene, key: &DepositKey, expected: &str) {
    let refused = |refusal: Refusal| {
        assert_eq!((refusal.code, refusal.tag()), (RefusalCode::PolicyInactive, expected));
    };
    refused(scene.wire.create(DEPLOYMENT, &[new_key("mallory", Chain::Evm, 0)]).await.unwrap_err());
    refused(scene.sign(key, &sweep(key, 1)).await.unwrap_err());
    refused(scene.wire.check(DEPLOYMENT, key.id, &key.record).await.unwrap_err());
    refused(scene.wire.order(DEPLOYMENT, &Restriction::FreezeAll).await.unwrap_err());
    let reading = request(&AUDITOR, "GET", "/v1/log", "");
    refused(scene.wire.ask(Operation::Authorize { request: reading }).await.unwrap_err());
    assert_eq!(scene.last_entry(), ("request".into(), None, expected.into()));
    let Ok(Answer::State(state)) = scene.wire.ask(Operation::State).await else { panic!() };
    assert!(!state.active && state.crediting.iter().all(|(_, credited)| !credited));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_policy_nothing_is_signed_and_no_address_is_made() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let mut scene = scene.reboot().await;
    nothing_is_done(&mut scene, &key, "policy.none").await;
    assert!(scene.entries().iter().all(|entry| entry.event.policy.is_none()));
    scene.put_policy(1, |_| {}).await;
    scene.serves(&key, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_takes_the_threshold_of_distinct_operators_over_this_payload() {
    let mut scene = board().await;
    let policy = authority::policy(DEPLOYMENT, 1).to_string();
    let payload = policy.as_bytes();
    let [one, two, three, freezer, stranger] = [1, 2, 3, 4, 9].map(operator);
    let signed = |signers: &[&SigningKey]| {
        let signers: Vec<SigningKey> = signers.iter().map(|key| (*key).clone()).collect();
        envelope(POLICY_TYPE, payload, &signers)
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let change = |bytes: Vec<u8>, change: &dyn Fn(&mut Value)| {
        let mut value = json(&bytes);
        change(&mut value);
        value.to_string().into_bytes()
    };
    let both = || signed(&[&one, &two]);
    let widened = policy.replace("\"per_day\":\"1", "\"per_day\":\"9");
    let duplicate = change(signed(&[&one]), &|value| {
        let again = value["signatures"][0].clone();
        value["signatures"].as_array_mut().unwrap().push(again);
    });
    let order = authority::signed_order(DEPLOYMENT, &Restriction::FreezeAll);
    let order_payload = data_encoding::BASE64.decode(json(&order)["payload"].as_str().unwrap().as_bytes());
    let signers = [one.clone(), two.clone()];
    for (bytes, expected) in [
        (signed(&[]), "dsse.too_few"),
        (signed(&[&one]), "dsse.too_few"),
        (duplicate, "dsse.duplicate"),
        (signed(&[&one, &stranger]), "dsse.unknown"),
        (signed(&[&one, &two, &stranger]), "dsse.unknown"),
        (signed(&[&one, &freezer]), "dsse.unknown"),
        (
            change(both(), &|value| {
                value["payload"] = json!(data_encoding::BASE64.encode(widened.as_bytes()))
            }),
            "dsse.invalid",
        ),
        (
            change(both(), &|value| value["signatures"][0]["sig"] = value["signatures"][1]["sig"].clone()),
            "dsse.invalid",
        ),
        // An order is no policy, by its type, nor under another type.
        (order.clone(), "dsse.type"),
        (change(order, &|value| value["payloadType"] = json!(POLICY_TYPE)), "dsse.unknown"),
        (
            change(envelope(ORDER_TYPE, payload, &signers), &|value| {
                value["payloadType"] = json!(POLICY_TYPE)
            }),
            "dsse.invalid",
        ),
        (envelope(POLICY_TYPE, &order_payload.unwrap(), &signers), "policy.malformed"),
        // What is no envelope, or more than one.
        (Vec::new(), "dsse.malformed"),
        (b"{}".to_vec(), "dsse.malformed"),
        (payload.to_vec(), "dsse.malformed"),
        ([both(), b"{}".to_vec()].concat(), "dsse.malformed"),
        (change(both(), &|value| value["more"] = json!(1)), "dsse.malformed"),
        (vec![b' '; 400_000], "dsse.malformed"),
    ] {
        let refused = put(&mut scene, &bytes).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::PolicyRefused, expected));
        assert_eq!(scene.last_entry(), ("policy.put".into(), None, expected.into()));
        assert_eq!(tag(scene.wire.create(DEPLOYMENT, &[new_key("a", Chain::Evm, 0)]).await), "policy.none");
    }
    put(&mut scene, &signed(&[&three, &one, &two])).await.unwrap();
    let key = scene.key("alice", Chain::Evm).await;
    scene.serves(&key, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_older_or_of_another_time_or_deployment_changes_nothing() {
    let mut scene = board().await;
    let policy = |version: u64| authority::policy(DEPLOYMENT, version);
    let with = |version: u64, change: &dyn Fn(&mut Value)| {
        let mut policy = policy(version);
        change(&mut policy);
        policy
    };
    let second = policy(2);
    let accepted = put_signed(&mut scene, &second).await.unwrap();
    let key = scene.key("alice", Chain::Evm).await;
    let impostor = |number: u8| Client { id: "impostor", seed: 40 + number, roles: &["sign.sweep"] };
    let with_client = |client: Client| {
        with(3, &|policy| policy["clients"].as_array_mut().unwrap().push(client.in_policy()))
    };
    for (policy, expected) in [
        (policy(1), "policy.version"),
        (with(2, &|policy| policy["crediting"]["evm"] = json!("paused")), "policy.version"),
        (with(0, &|_| {}), "policy.value"),
        (authority::policy("other", 3), "policy.deployment"),
        (with(3, &|policy| policy["not_after"] = moment(now() - 1)), "policy.expired"),
        (with(3, &|policy| policy["not_before"] = moment(now() + 60)), "policy.not_yet"),
        (with(3, &|policy| policy["not_after"] = moment(now() + 401 * 86_400)), "policy.value"),
        (with(3, &|policy| policy["not_after"] = policy["not_before"].clone()), "policy.value"),
        // Who decides does not ask: neither who signs policies nor who freezes.
        (with_client(impostor(1)), "policy.client_key"),
        (with_client(impostor(3)), "policy.client_key"),
        (with_client(impostor(5)), "policy.client_key"),
        (with_client(Client { id: "backend", seed: 70, roles: &[] }), "policy.value"),
        (with_client(Client { id: "another", ..BACKEND }), "policy.value"),
        (with_client(Client { id: "x", seed: 70, roles: &["root"] }), "policy.malformed"),
        // Rules that say two things, or nothing that is known.
        (with(3, &|policy| policy["rules"][1]["name"] = json!("deposits")), "policy.value"),
        (with(3, &|policy| policy["rules"][1]["purpose"] = json!("other")), "policy.malformed"),
        (with(3, &|policy| policy["rules"][1]["users"] = json!([])), "policy.value"),
        (with(3, &|policy| _ = policy["rules"][1].as_object_mut().unwrap().remove("users")), "policy.value"),
        (with(3, &|policy| policy["rules"][0]["evm"]["approve"] = json!(true)), "policy.malformed"),
        (with(3, &|policy| policy["unsigned"] = json!(true)), "policy.malformed"),
        (
            with(3, &|policy| policy["rules"][0]["bitcoin"]["destinations"] = json!([TESTNET])),
            "policy.bitcoin.network",
        ),
        (
            with(3, &|policy| policy["clients"][0]["roles"] = json!(["sign.sweep", "sign.sweep"])),
            "policy.malformed",
        ),
        (json!(null), "policy.malformed"),
    ] {
        let refused = put_signed(&mut scene, &policy).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::PolicyRefused, expected), "{refused}");
        assert_eq!(scene.last_entry(), ("policy.put".into(), None, expected.into()));
        let entry = scene.entries().pop().unwrap();
        assert_eq!(entry.event.policy.unwrap().version, 2, "the log names what is in force");
    }
    let twice = policy(3).to_string().replacen("\"v\":1", "\"v\":1,\"v\":1", 1);
    let twice = envelope(POLICY_TYPE, twice.as_bytes(), &[operator(1), operator(2)]);
    assert_eq!(tag(put(&mut scene, &twice).await), "policy.malformed");
    // The same once more is nothing new, and not on the log.
    let before = scene.wire.log.len();
    assert_eq!(put_signed(&mut scene, &second).await.unwrap(), accepted);
    assert_eq!(scene.wire.log.len(), before);
    scene.serves(&key, 1).await;
    put_signed(&mut scene, &policy(3)).await.unwrap();
    scene.serves(&key, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_expires_while_the_enclave_runs_stops_everything_until_the_next() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Solana).await;
    let ends = now() + 3;
    scene.put_policy(2, |policy| policy["not_after"] = moment(ends)).await;
    scene.serves(&key, 1).await;
    // Made while it was in force, shown when it no longer is.
    let bob = addresses(DEPLOYMENT, &[new_key("bob", Chain::Evm, 0)]);
    let made = Operation::Create { request: bob.clone(), positions: vec![0] };
    let Ok(Answer::Records(made)) = scene.wire.ask(made).await else { panic!() };
    scene.wire.confirm(&bob, &[&made[0]]).await.unwrap()[0].as_ref().unwrap();
    while now() < ends {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The enclave's clock is the NSM's.
    tokio::time::sleep(Duration::from_millis(50)).await;
    nothing_is_done(&mut scene, &key, "policy.expired").await;
    assert_eq!(scene.wire.confirm(&bob, &[&made[0]]).await.unwrap_err().tag(), "policy.expired");
    assert_eq!(scene.last_entry(), ("request".into(), None, "policy.expired".into()));
    let Ok(Answer::Description(description)) = scene.wire.ask(Operation::Describe).await else { panic!() };
    assert!(!description.active);
    // An older one does not come back.
    let first = authority::policy(DEPLOYMENT, 1);
    assert_eq!(tag(scene.wire.put_policy(&first).await), "policy.version");
    scene.put_policy(3, |_| {}).await;
    scene.serves(&key, 2).await;
}

fn statement(deployment: &str, boot: DocumentHash, least: Option<u64>) -> Vec<u8> {
    let mut statement =
        json!({ "v": 1, "deployment": deployment, "boot": boot.to_string(), "issued_at": moment(now()) });
    if let Some(least) = least {
        statement["policy_version"] = json!(least);
    }
    statement.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_activation_by_quorum_nothing_is_signed_before_the_operators_word_for_this_boot() {
    let mut scene = Scene::ungoverned(|config| {
        config.activation = "quorum";
        config.policy = quorum(2, &[operator(1), operator(2), operator(3)]);
    })
    .await;
    let boot = |answer| match answer {
        Ok(Answer::Description(description)) => description.document_hash,
        other => panic!("{other:?}"),
    };
    let this = boot(scene.wire.ask(Operation::Describe).await);
    let both = [operator(1), operator(2)];
    let activate = |payload: &[u8], signers: &[SigningKey]| Operation::Activate {
        envelope: ByteBuf::from(envelope(ACTIVATION_TYPE, payload, signers)),
    };
    let right = statement(DEPLOYMENT, this, None);
    put_signed(&mut scene, &authority::policy(DEPLOYMENT, 1)).await.unwrap();
    let policy_as_word = envelope(POLICY_TYPE, &right, &both);
    for (operation, expected) in [
        (activate(&right, &both[..1]), "dsse.too_few"),
        (activate(&right, &[operator(1), operator(9)]), "dsse.unknown"),
        (activate(&statement(DEPLOYMENT, DocumentHash::of(b"another boot"), None), &both), "activation.boot"),
        (activate(&statement("other", this, None), &both), "activation.boot"),
        (activate(b"{}", &both), "policy.malformed"),
        (Operation::Activate { envelope: ByteBuf::from(policy_as_word) }, "dsse.type"),
    ] {
        assert_eq!(tag(scene.wire.ask(operation).await), expected);
        assert_eq!(scene.last_entry(), ("activation.put".into(), None, expected.into()));
        let refused = scene.wire.create(DEPLOYMENT, &[new_key("alice", Chain::Evm, 0)]).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::PolicyInactive, "policy.activation"));
    }
    assert_eq!(scene.wire.ask(activate(&right, &both)).await, Ok(Answer::Activated));
    assert_eq!(scene.last_entry(), ("activation.put".into(), None, "ok".into()));
    let key = scene.key("alice", Chain::Evm).await;
    scene.serves(&key, 1).await;

    // The next boot is another one: the word for the last does not count for it.
    let mut scene = scene.reboot().await;
    put_signed(&mut scene, &authority::policy(DEPLOYMENT, 1)).await.unwrap();
    nothing_is_done(&mut scene, &key, "policy.activation").await;
    assert_eq!(tag(scene.wire.ask(activate(&right, &both)).await), "activation.boot");
    nothing_is_done(&mut scene, &key, "policy.activation").await;
    let next = boot(scene.wire.ask(Operation::Describe).await);
    // A word for a later policy than the one that the parent shows activates that later one.
    scene.wire.ask(activate(&statement(DEPLOYMENT, next, Some(2)), &both)).await.unwrap();
    nothing_is_done(&mut scene, &key, "policy.activation").await;
    put_signed(&mut scene, &authority::policy(DEPLOYMENT, 2)).await.unwrap();
    scene.serves(&key, 2).await;
    // And no other word asks for less.
    scene.wire.ask(activate(&statement(DEPLOYMENT, next, Some(1)), &both)).await.unwrap();
    scene.serves(&key, 3).await;
    scene.wire.ask(activate(&statement(DEPLOYMENT, next, Some(3)), &both)).await.unwrap();
    nothing_is_done(&mut scene, &key, "policy.activation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_under_the_rules_that_name_it_else_its_user_else_its_purpose() {
    let mut scene = Scene::new().await;
    let users = ["alice", "bob", "carol"];
    let keys = users.map(|user| new_key(user, Chain::Tron, 0));
    let [alice, bob, carol]: [DepositKey; 3] = scene.keys(&keys).await.try_into().unwrap();
    let wallets = [alice.address.clone(), bob.address.clone(), collection(Chain::Tron)];
    scene
        .put_policy(2, |policy| {
            let rules = |name: &str, to: &str, field: &str, of: Value| {
                let mut rules = policy["rules"][0].clone();
                rules["name"] = json!(name);
                rules["tron"]["destinations"] = json!([to]);
                rules[field] = of;
                rules
            };
            let by_key = rules("a key", &wallets[0], "keys", json!([bob.id.to_string()]));
            let by_user = rules("users", &wallets[1], "users", json!(["alice", "bob"]));
            policy["rules"].as_array_mut().unwrap().extend([by_user, by_key]);
        })
        .await;
    for (key, wallet, rules) in [(&alice, 1, "users"), (&bob, 0, "a key"), (&carol, 2, "deposits")] {
        for (number, to) in wallets.iter().enumerate() {
            let transaction = sweep_to(key, 5, to);
            let explained = scene.explain(key, &transaction).await;
            assert_eq!(
                (&explained["rules"], &explained["allowed"]),
                (&json!(rules), &json!(number == wallet))
            );
            let signed = scene.sign(key, &transaction).await;
            if number == wallet {
                signed.unwrap();
            } else {
                assert_eq!(tag(signed), "policy.tron.destination");
            }
        }
    }
    // A chain without rules, then a purpose without any: nothing.
    let remove = |value: &mut Value, name: &str| _ = value.as_object_mut().unwrap().remove(name);
    scene.put_policy(3, |policy| remove(&mut policy["rules"][0], "tron")).await;
    assert_eq!(tag(scene.sign(&carol, &sweep(&carol, 6)).await), "policy.chain");
    scene.put_policy(4, |policy| policy["rules"] = json!([])).await;
    assert_eq!(tag(scene.sign(&carol, &sweep(&carol, 7)).await), "policy.rules");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_policy_changes_clients_and_what_is_frozen_at_once_and_the_attestation_says_so() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let wallet = scene.api_key(Chain::Evm).await;
    // Another key of the same client; the desk is no client any more.
    let rotated = Client { seed: 61, ..BACKEND };
    scene.put_policy(2, |policy| policy["clients"] = json!([rotated.in_policy(), AUDITOR.in_policy()])).await;
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 1)).await), "auth.signature");
    let order = request(&DESK, "POST", "/v1/orders", "");
    assert_eq!(tag(scene.wire.ask(Operation::SubmitOrder { request: order }).await), "auth.client");
    let body = signature_body(Chain::Evm, std::slice::from_ref(&key.record), &sweep(&key, 1)).to_string();
    let request = request(&rotated, "POST", "/v1/signatures", &body);
    let records = vec![ByteBuf::from(key.record.clone())];
    scene.wire.ask(Operation::Sign { request, records }).await.unwrap();

    for (version, frozen) in [
        (3, json!({ "all": true })),
        (4, json!({ "chains": ["evm"] })),
        (5, json!({ "users": ["alice", "desk"] })),
        (6, json!({ "keys": [key.id.to_string(), wallet.id.to_string()] })),
    ] {
        scene.put_policy(version, |policy| policy["frozen"] = frozen).await;
        for frozen in [&key, &wallet] {
            let refused = scene.sign(frozen, &sweep(frozen, 2)).await.unwrap_err();
            assert_eq!((refused.code, refused.order), (RefusalCode::Frozen, None));
        }
    }
    scene.put_policy(7, |_| {}).await;
    scene.serves(&key, 3).await;
    let made = scene.keys(&[api_key(Chain::Evm, 1)]).await;
    assert_eq!(protocol::Record::parse(&made[0].record).unwrap().header().purpose, Purpose::Secondary);

    let Ok(Answer::PolicyAccepted(reference)) =
        scene.wire.put_policy(&authority::policy(DEPLOYMENT, 8)).await
    else {
        panic!()
    };
    let nonce = ByteBuf::from("who are you?");
    let Ok(Answer::Document(document)) = scene.wire.ask(Operation::Attest { nonce }).await else { panic!() };
    let document = attestation::AttestationDoc::parse(&document).unwrap();
    let binding = SessionBinding::decode(document.user_data().unwrap()).unwrap();
    assert_eq!((reference.version, binding.policy), (8, Some(reference)));
}
