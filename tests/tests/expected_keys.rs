//! A host that kept two records of one name shows the address of the one and has the other used. A
//! client that says which address or public key it means is refused then, and everybody sees it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, KEEPER},
    scene::{DEPLOYMENT, DepositKey, Scene, request, tag},
    transactions::sweep,
    wire::{new_key, signature_body},
};
use data_encoding::HEXLOWER;
use protocol::{PossessionClaims, Record, log::Entry};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal, Rewrapping, SignedTransaction};

/// Two keys of one name, both made and certified: the one that was shown, and the one in its place.
async fn twins(scene: &mut Scene, chain: Chain) -> (DepositKey, DepositKey) {
    let key = new_key("alice", chain, 0);
    let shown = scene.keys(std::slice::from_ref(&key)).await.remove(0);
    let other = scene.keys(&[key]).await.remove(0);
    assert_eq!(shown.id, other.id);
    assert_ne!(shown.address, other.address);
    (shown, other)
}

fn public_key(key: &DepositKey) -> String {
    HEXLOWER.encode(&Record::parse(&key.record).unwrap().header().public_key)
}

/// The two ways to say which key is meant, and the third on Bitcoin.
fn ways(key: &DepositKey) -> Vec<Value> {
    let taproot = key.taproot.iter().map(|address| json!({ "address": address }));
    [json!({ "address": key.address }), json!({ "public_key": public_key(key) })]
        .into_iter()
        .chain(taproot)
        .collect()
}

fn named(key: &DepositKey, expected: &Value) -> Value {
    let mut named = expected.clone();
    named["key_id"] = json!(key.id);
    json!([named])
}

fn last(scene: &Scene) -> Entry {
    scene.entries().pop().unwrap()
}

/// The refusal and the log say both keys.
fn told(scene: &Scene, refusal: &Refusal, shown: &DepositKey, other: &DepositKey) {
    assert_eq!(refusal.tag(), "record.expected");
    let said = |key: &DepositKey| {
        let taproot = key.taproot.clone().unwrap_or_default();
        [&key.address, &public_key(key), &taproot]
            .into_iter()
            .any(|text| !text.is_empty() && refusal.message.contains(text.as_str()))
    };
    assert!(said(shown) && said(other), "{refusal}");
    let entry = last(scene);
    assert_eq!(entry.event.outcome.tag().as_str(), "record.expected");
    assert_eq!(entry.event.keys.as_slice(), [shown.id]);
    assert_eq!(entry.event.detail.unwrap().to_value()["message"], refusal.message);
}

async fn sign(
    scene: &mut Scene,
    record: &DepositKey,
    expected: &Value,
    amount: u64,
) -> Result<SignedTransaction, Refusal> {
    let mut body = signature_body(record.chain, std::slice::from_ref(&record.record), &sweep(record, amount));
    body["expected"] = named(record, expected);
    scene.wire.sign_body(DEPLOYMENT, &body, std::slice::from_ref(&record.record)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_signed_with_another_key_than_the_one_that_was_expected() {
    let mut scene = Scene::new().await;
    for chain in Chain::ALL {
        let (shown, other) = twins(&mut scene, chain).await;
        for (number, way) in ways(&shown).iter().enumerate() {
            let signed = sign(&mut scene, &shown, way, 1000 + number as u64).await.unwrap();
            assert_eq!(signed.public_keys.len(), 1);
            assert_eq!(HEXLOWER.encode(&signed.public_keys[0]), public_key(&shown));
            let detail = last(&scene).event.detail.unwrap().to_value();
            assert_eq!(detail["public_keys"], json!([public_key(&shown)]));
            let refused = sign(&mut scene, &other, way, 2000).await.unwrap_err();
            told(&scene, &refused, &shown, &other);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_batch_the_key_that_is_another_is_refused_alone_and_a_dry_run_says_the_same() {
    let mut scene = Scene::new().await;
    let (shown, other) = twins(&mut scene, Chain::Evm).await;
    let bob = scene.key("bob", Chain::Evm).await;
    let mut bodies: Vec<Value> = [&other, &bob]
        .map(|key| signature_body(key.chain, std::slice::from_ref(&key.record), &sweep(key, 7)))
        .into();
    bodies[0]["expected"] = named(&shown, &json!({ "address": shown.address }));
    bodies[1]["expected"] = named(&bob, &json!({ "public_key": public_key(&bob) }));
    let records = vec![ByteBuf::from(other.record.clone()), ByteBuf::from(bob.record.clone())];
    let batch = json!({ "signatures": bodies }).to_string();
    let batch = request(&BACKEND, "POST", "/v1/signatures/batch", &batch);
    let asked = Operation::Sign { request: batch, records: records.clone() };
    let Ok(Answer::Signatures(mut signed)) = scene.wire.ask(asked).await else { panic!() };
    assert!(signed.pop().unwrap().is_ok());
    assert_eq!(tag(signed.pop().unwrap()), "record.expected");

    let dry = request(&BACKEND, "POST", "/v1/signatures/explain", &bodies[0].to_string());
    let asked = Operation::Sign { request: dry, records: records[..1].to_vec() };
    let Ok(Answer::Explanation(said)) = scene.wire.ask(asked).await else { panic!() };
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["allowed"], &said["denial"]["code"]), (&json!(false), &json!("record.expected")));
    let detail = last(&scene).event.detail.unwrap().to_value();
    assert_eq!(detail["message"], said["denial"]["detail"]);
    let dry = request(&BACKEND, "POST", "/v1/signatures/explain", &bodies[1].to_string());
    let asked = Operation::Sign { request: dry, records: records[1..].to_vec() };
    let Ok(Answer::Explanation(said)) = scene.wire.ask(asked).await else { panic!() };
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["allowed"], &said["public_keys"]), (&json!(true), &json!([public_key(&bob)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_is_made_of_another_key_than_the_one_that_was_expected() {
    let mut scene = Scene::new().await;
    let (shown, other) = twins(&mut scene, Chain::Bitcoin).await;
    for way in ways(&shown) {
        let mut check = async |record: &DepositKey, body: &str| {
            let path = format!("/v1/keys/{}/check", shown.id);
            let request = request(&BACKEND, "POST", &path, body);
            scene.wire.confirm(&request, &[&record.record]).await?.remove(0)
        };
        let statement = check(&shown, &way.to_string()).await.unwrap();
        assert_eq!(
            verifier::unverified::<PossessionClaims>(&statement).unwrap().public_key,
            public_key(&shown)
        );
        // What is asked for without an expectation is answered with whatever key it is.
        let statement = check(&other, "").await.unwrap();
        assert_eq!(
            verifier::unverified::<PossessionClaims>(&statement).unwrap().public_key,
            public_key(&other)
        );
        assert_eq!(check(&shown, r#"{"addresses":[]}"#).await.unwrap_err().tag(), "request.body");
        let refused = check(&other, &way.to_string()).await.unwrap_err();
        told(&scene, &refused, &shown, &other);
    }
    scene.wire.check(DEPLOYMENT, shown.id, &shown.record).await.unwrap();
    let detail = last(&scene).event.detail.unwrap().to_value();
    assert_eq!(detail, json!({ "public_key": public_key(&shown) }));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_key_than_the_one_that_was_expected_is_sealed_anew_or_called_current() {
    let mut scene = Scene::new().await;
    let (shown, other) = twins(&mut scene, Chain::Solana).await;
    // Under the first KMS key, then under one before it.
    for round in 0..2 {
        if round == 1 {
            scene.deployment.add_key();
            scene = scene.reboot().await;
            scene.put_policy(1, |_| {}).await;
        }
        for way in ways(&shown) {
            let mut rewrap = async |record: &DepositKey| {
                let body = json!({ "keys": [shown.id], "expected": named(&shown, &way) }).to_string();
                let request = request(&KEEPER, "POST", "/v1/keys/rewrap", &body);
                let records = vec![ByteBuf::from(record.record.clone())];
                match scene.wire.ask(Operation::Rewrap { request, records }).await {
                    Ok(Answer::Rewrapped(mut rewrapped)) => rewrapped.keys.remove(0),
                    other => panic!("{other:?}"),
                }
            };
            let refused = rewrap(&other).await.unwrap_err();
            let done = rewrap(&shown).await.unwrap();
            let (state, found) = match &done {
                Rewrapping::Current { public_key } => ("current", public_key),
                Rewrapping::Record { public_key, .. } => ("rewrapped", public_key),
            };
            assert_eq!(
                (state, HEXLOWER.encode(found)),
                (["current", "rewrapped"][round], public_key(&shown))
            );
            let detail = last(&scene).event.detail.unwrap().to_value();
            assert_eq!(
                (&detail["state"], &detail["public_keys"]),
                (&json!(state), &json!([public_key(&shown)]))
            );
            // The entry of the refusal is the one before.
            scene.wire.log.pop();
            told(&scene, &refused, &shown, &other);
        }
    }
}
