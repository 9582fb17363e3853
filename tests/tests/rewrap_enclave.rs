//! Re-sealing inside the enclave: which records it takes, what it gives back, and what a host that lies
//! about records, requests and KMS gets out of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, KEEPER},
    deployment::Deployment,
    scene::{DEPLOYMENT, DepositKey, Scene, api_key, request, tag},
    transactions::sweep,
    wire::new_key,
};
use protocol::{KeyId, Record, RecordHeader, log::Decision, order::Restriction};
use serde_bytes::ByteBuf;
use serde_json::json;
use simulator::kms::{Fault, FaultRule};
use wire::{Answer, Operation, Refusal, RefusalCode, Rewrapping};

/// An enclave with a new KMS key, and sweep keys that were made under the old one.
async fn scene(keys: usize) -> (Scene, Vec<DepositKey>, String) {
    scene_with(keys, "").await
}

async fn scene_with(keys: usize, limits: &str) -> (Scene, Vec<DepositKey>, String) {
    let mut scene = Scene::with(|config| config.limits = limits.into()).await;
    let new: Vec<_> = (0..keys).map(|n| new_key("alice", Chain::ALL[n % 4], n as u64)).collect();
    let made = scene.keys(&new).await;
    let kms_key = scene.deployment.add_key();
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    (scene, made, kms_key)
}

type Outcomes = Vec<Result<Rewrapping, Refusal>>;

async fn rewrap(scene: &mut Scene, ids: &[KeyId], records: &[Vec<u8>]) -> Outcomes {
    scene.wire.rewrap(DEPLOYMENT, ids, records).await.unwrap().keys
}

/// What became of one key whose record is said to be this.
async fn one(scene: &mut Scene, id: KeyId, record: &[u8]) -> Result<Rewrapping, Refusal> {
    rewrap(scene, &[id], &[record.to_vec()]).await.remove(0)
}

fn ids(keys: &[DepositKey]) -> Vec<KeyId> {
    keys.iter().map(|key| key.id).collect()
}

fn records(keys: &[DepositKey]) -> Vec<Vec<u8>> {
    keys.iter().map(|key| key.record.clone()).collect()
}

/// That the key's record is under the first KMS key.
fn current(key: &DepositKey) -> Result<Rewrapping, Refusal> {
    let public_key = Record::parse(&key.record).unwrap().header().public_key.clone();
    Ok(Rewrapping::Current { public_key })
}

fn record(outcome: &Result<Rewrapping, Refusal>) -> Vec<u8> {
    match outcome {
        Ok(Rewrapping::Record { record, .. }) => record.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_keys_are_sealed_under_the_first_kms_key_and_sign_the_same() {
    let (mut scene, made, kms_key) = scene(8).await;
    let before = scene.entries().len();
    let rewrapped = scene.wire.rewrap(DEPLOYMENT, &ids(&made), &records(&made)).await.unwrap();
    assert_eq!(rewrapped.kms_key, kms_key);
    let entries = scene.entries().split_off(before);
    assert_eq!(entries.len(), made.len(), "one entry for each record");
    for ((key, outcome), entry) in made.iter().zip(&rewrapped.keys).zip(entries) {
        let (old, new) = (Record::parse(&key.record).unwrap(), Record::parse(&record(outcome)).unwrap());
        let sealed_otherwise = RecordHeader {
            kms_key: kms_key.clone(),
            data_key: new.header().data_key.clone(),
            nonce: new.header().nonce,
            ..old.header().clone()
        };
        assert_eq!(*new.header(), sealed_otherwise);
        assert_ne!(old.header().kms_key, kms_key);
        assert_ne!(new.header().nonce, old.header().nonce);
        assert_ne!(new.header().data_key, old.header().data_key);
        assert_eq!(new.certificate(), old.certificate(), "the address' proof stays");
        let detail = entry.event.detail.unwrap().to_value();
        assert_eq!(entry.event.operation.as_str(), "key.rewrap");
        assert_eq!(entry.event.client.unwrap().as_str(), "keeper");
        assert_eq!(entry.event.keys.as_slice(), [key.id]);
        assert_eq!(entry.event.result, Some(protocol::log::ContentHash::of(&record(outcome))));
        let public_key = data_encoding::HEXLOWER.encode(&old.header().public_key);
        let expected = json!({"kms_key": kms_key, "state": "rewrapped", "public_keys": [public_key]});
        assert_eq!(detail, expected);
        let again = DepositKey { record: record(outcome), ..key.clone() };
        let (by_old, by_new) = (
            scene.sign(key, &sweep(key, 5_000)).await.unwrap(),
            scene.sign(&again, &sweep(key, 5_000)).await.unwrap(),
        );
        assert_eq!(by_old, by_new);
    }
    // What is under the first key is opened, and left.
    let new: Vec<Vec<u8>> = rewrapped.keys.iter().map(record).collect();
    assert_eq!(rewrap(&mut scene, &ids(&made), &new).await, made.iter().map(current).collect::<Vec<_>>());
    let entry = scene.entries().pop().unwrap();
    assert_eq!(
        (entry.event.keys.as_slice(), entry.event.outcome.decision()),
        (&*ids(&made), Decision::Allow)
    );
    // The old key is not asked any more.
    scene.deployment.kms.set_enabled(&scene.deployment.key, false).unwrap();
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    for (key, record) in made.iter().zip(new) {
        scene.serves(&DepositKey { record, ..key.clone() }, 7_000).await;
        assert_eq!(scene.sign(key, &sweep(key, 7_000)).await.unwrap_err().code, RefusalCode::KmsDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_purpose_has_data_keys_of_its_own_within_their_bound() {
    let limits = "data_key_records = 2";
    let mut scene = Scene::with(|config| config.limits = limits.into()).await;
    let mut made = Vec::new();
    for index in 0..3 {
        made.extend(scene.keys(&[new_key("alice", Chain::Evm, index)]).await);
        made.extend(scene.keys(&[api_key(Chain::Solana, index)]).await);
    }
    scene.deployment.add_key();
    let mut scene = scene.reboot().await;
    scene.put_policy(1, |_| {}).await;
    let before = scene.deployment.calls("GenerateDataKey");
    let new = rewrap(&mut scene, &ids(&made), &records(&made)).await;
    assert_eq!(scene.deployment.calls("GenerateDataKey") - before, 4, "3 of each purpose, 2 to a data key");
    let new: Vec<Vec<u8>> = new.iter().map(record).collect();
    assert!(rewrap(&mut scene, &ids(&made), &new).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_current_opens_with_a_data_key_that_kms_gives_now() {
    let (mut scene, made, kms_key) = scene(1).await;
    let new = record(&one(&mut scene, made[0].id, &made[0].record).await);
    // The data key is in memory: it signs, and proves nothing of KMS.
    scene.deployment.kms.set_enabled(&kms_key, false).unwrap();
    scene.serves(&DepositKey { record: new.clone(), ..made[0].clone() }, 1).await;
    let refused = one(&mut scene, made[0].id, &new).await.unwrap_err();
    assert_eq!(refused.code, RefusalCode::KmsDenied);
    scene.deployment.kms.set_enabled(&kms_key, true).unwrap();
    assert_eq!(one(&mut scene, made[0].id, &new).await, current(&made[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_twice_gives_two_records_that_both_open() {
    let (mut scene, made, _) = scene(1).await;
    let (first, second) = (
        record(&one(&mut scene, made[0].id, &made[0].record).await),
        record(&one(&mut scene, made[0].id, &made[0].record).await),
    );
    assert_ne!(first, second);
    for new in [first, second] {
        assert_eq!(one(&mut scene, made[0].id, &new).await, current(&made[0]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_changed_in_any_byte_is_not_sealed_anew() {
    let (mut scene, made, _) = scene(1).await;
    let (id, record) = (made[0].id, made[0].record.clone());
    for at in 0..record.len() {
        let mut changed = record.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = one(&mut scene, id, &changed).await.expect_err(&format!("byte {at}"));
        let expected = ["record.identity", "record.kms_key", "record.tampered"];
        assert!(expected.contains(&refused.tag()), "byte {at}: {refused}");
    }
    one(&mut scene, id, &record).await.expect("the enclave goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_others_are_not_taken_for_those_that_were_asked_for() {
    let (mut scene, made, kms_key) = scene(2).await;
    // Another key's record, alone and beside the right one.
    assert_eq!(tag(one(&mut scene, made[0].id, &made[1].record).await), "record.identity");
    let both = [made[1].record.clone(), made[0].record.clone()];
    let mixed = rewrap(&mut scene, &[made[0].id], &both).await;
    assert_eq!(mixed.len(), 1);
    assert_eq!(Record::parse(&record(&mixed[0])).unwrap().header().key_id, made[0].id);
    // Another deployment's, of the same user.
    let theirs = Deployment::with(|config| config.deployment = "other".into());
    let enclave = theirs.boot();
    let key = new_key("alice", Chain::Evm, 0);
    let foreign = theirs.wire(&enclave).await.create("other", &[key]).await.unwrap().remove(0);
    let foreign_id = Record::parse(&foreign).unwrap().header().key_id;
    assert_eq!(tag(one(&mut scene, foreign_id, &foreign).await), "record.identity");
    // One that says it is under the new key, and is not: the data key is the old one's, which KMS says.
    let parsed = Record::parse(&made[0].record).unwrap();
    let header = RecordHeader { kms_key: kms_key.clone(), ..parsed.header().clone() };
    let claimed = Record::seal::<protocol::RecordError>(header, parsed.certificate().into(), |_| {
        Ok(parsed.ciphertext().to_vec())
    });
    let claimed = claimed.unwrap().encode().unwrap();
    assert_eq!(tag(one(&mut scene, made[0].id, &claimed).await), "record.kms_key");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_for_one_key_fails_for_it_alone() {
    let (mut scene, made, kms_key) = scene(4).await;
    let mut changed = made[2].record.clone();
    *changed.last_mut().unwrap() ^= 1;
    let given = [b"no record".to_vec(), made[1].record.clone(), changed, made[3].record.clone()];
    let before = scene.entries().len();
    let outcomes = rewrap(&mut scene, &ids(&made), &given).await;
    assert_eq!(outcomes[0].as_ref().unwrap_err().tag(), "record.identity");
    assert_eq!(outcomes[2].as_ref().unwrap_err().tag(), "record.tampered");
    for at in [1, 3] {
        assert_eq!(Record::parse(&record(&outcomes[at])).unwrap().header().kms_key, kms_key);
    }
    let entries = scene.entries().split_off(before);
    let tags: Vec<_> = entries.iter().map(|entry| entry.event.outcome.tag().as_str()).collect();
    assert_eq!(tags, ["ok", "ok", "record.identity", "record.tampered"]);
    assert_eq!(entries[3].event.keys.as_slice(), [made[2].id]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_kms_that_must_not_be_used_seals_and_opens_nothing() {
    for (operation, fault) in [
        ("GenerateDataKey", Fault::LeakPlaintext),
        ("Decrypt", Fault::LeakPlaintext),
        ("GenerateDataKey", Fault::SealForAnotherKey),
        ("Decrypt", Fault::OmitCiphertextForRecipient),
        ("GenerateDataKey", Fault::WrapAnotherDataKey),
    ] {
        let (mut scene, made, _) = scene(1).await;
        let rule = FaultRule { operation: Some(operation.into()), ..FaultRule::always(fault) };
        scene.deployment.kms.inject(rule);
        let refused = one(&mut scene, made[0].id, &made[0].record).await;
        let expected = if fault == Fault::WrapAnotherDataKey { "kms.data_key" } else { "kms.answer" };
        assert_eq!(tag(refused), expected, "{operation} {fault:?}");
        scene.deployment.kms.clear_faults();
        one(&mut scene, made[0].id, &made[0].record).await.expect("the enclave goes on");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_client_with_the_role_is_heard_and_each_request_once() {
    let (mut scene, made, _) = scene(1).await;
    let body = json!({ "keys": ids(&made) }).to_string();
    let records = vec![ByteBuf::from(made[0].record.clone())];
    let ask = |request| Operation::Rewrap { request, records: records.clone() };
    let asked = scene.wire.ask(ask(request(&BACKEND, "POST", "/v1/keys/rewrap", &body))).await;
    assert_eq!(asked.unwrap_err().code, RefusalCode::Forbidden);
    let right = request(&KEEPER, "POST", "/v1/keys/rewrap", &body);
    assert!(matches!(scene.wire.ask(ask(right.clone())).await, Ok(Answer::Rewrapped(_))));
    assert_eq!(tag(scene.wire.ask(ask(right.clone())).await), "auth.replayed");
    let mut other = right;
    other.body = ByteBuf::from(body.replace("key_", "key_a"));
    assert!(tag(scene.wire.ask(ask(other)).await).starts_with("auth."));
    // Another route's request, and this route's under another operation.
    let check = format!("/v1/keys/{}/check", made[0].id);
    let asked = scene.wire.ask(ask(request(&BACKEND, "POST", &check, ""))).await;
    assert_eq!(asked.unwrap_err().code, RefusalCode::RequestMalformed);
    let authorize = Operation::Authorize { request: request(&KEEPER, "POST", "/v1/keys/rewrap", &body) };
    assert_eq!(scene.wire.ask(authorize).await.unwrap_err().code, RefusalCode::RequestMalformed);
    // The keeper may do nothing else.
    let transaction = json!({"chain": "evm", "keys": ids(&made), "transaction": "0x"}).to_string();
    let sign = request(&KEEPER, "POST", "/v1/signatures", &transaction);
    let asked = scene.wire.ask(Operation::Sign { request: sign, records: records.clone() }).await;
    assert_eq!(asked.unwrap_err().code, RefusalCode::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_keys_fit_and_more_are_refused() {
    let (mut scene, made, _) = scene(101).await;
    let refused = scene.wire.rewrap(DEPLOYMENT, &ids(&made), &records(&made[..100])).await;
    assert_eq!(tag(refused), "request.body");
    let twice = [made[0].id, made[0].id];
    assert_eq!(tag(scene.wire.rewrap(DEPLOYMENT, &twice, &[]).await), "request.body");
    assert_eq!(tag(scene.wire.rewrap(DEPLOYMENT, &[], &[]).await), "request.body");
    let outcomes = rewrap(&mut scene, &ids(&made[..100]), &records(&made[..100])).await;
    assert!(outcomes.len() == 100 && outcomes.iter().all(|outcome| !record(outcome).is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_key_is_sealed_anew_and_stays_frozen() {
    let (mut scene, made, _) = scene(1).await;
    scene.wire.order(DEPLOYMENT, &Restriction::FreezeAll).await.unwrap();
    let new = record(&one(&mut scene, made[0].id, &made[0].record).await);
    let key = DepositKey { record: new, ..made[0].clone() };
    assert_eq!(scene.sign(&key, &sweep(&key, 1)).await.unwrap_err().code, RefusalCode::Frozen);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_kms_key_everything_is_current_and_no_data_key_is_made() {
    let mut scene = Scene::new().await;
    let made = scene.key("alice", Chain::Evm).await;
    let before = scene.deployment.calls("GenerateDataKey");
    assert_eq!(one(&mut scene, made.id, &made.record).await, current(&made));
    assert_eq!(scene.deployment.calls("GenerateDataKey"), before);
}
