//! What ends a signature that is out: an order of the operators lets a key, frozen or not, sign the one
//! transaction that moves nothing and uses up what the other spends. Nothing else is let through.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::{Chain, Outpoint, Spends};
use cofferdam_tests::{
    authority::{DESK, collection, signed_order},
    scene::{DEPLOYMENT, DepositKey, Scene, tag},
    transactions::{Coin, Evm, psbt, solana_advance, solana_nonce_transfer, sweep, unit},
    wire::new_key,
};
use protocol::{
    OrderId,
    log::MAX_SIGN_DETAIL,
    order::{Order, Restriction},
};
use serde_json::{Value, json};
use wire::{Answer, Operation, Refusal, RefusalCode};

async fn order(scene: &mut Scene, restriction: &Restriction) -> OrderId {
    match scene.wire.order(DEPLOYMENT, restriction).await {
        Ok(Answer::OrderAccepted(accepted)) => accepted.order,
        other => panic!("{other:?}"),
    }
}

/// What the log says that the last signature spends.
fn spends(scene: &Scene) -> Value {
    scene.entries().pop().unwrap().event.detail.unwrap().to_value()["spends"].clone()
}

fn detail(scene: &Scene) -> Value {
    scene.entries().pop().unwrap().event.detail.unwrap().to_value()
}

/// A transaction that is out, the one that ends it, and such as would not.
struct Case {
    signed: Vec<u8>,
    ends: Vec<u8>,
    others: Vec<Vec<u8>>,
    spends: Value,
}

fn evm(key: &DepositKey) -> Case {
    let home = collection(Chain::Evm);
    let cancel = |nonce, to: &str| Evm { nonce, value: 0, max_fee: 2_000, ..Evm::native(to) };
    Case {
        signed: Evm { nonce: 7, ..Evm::native(&home) }.typed(),
        ends: cancel(7, &key.address).typed(),
        others: vec![
            cancel(8, &key.address).typed(),
            Evm { chain_id: 137, ..cancel(7, &key.address) }.typed(),
            Evm { nonce: 7, ..Evm::native(&home) }.typed(),
        ],
        spends: json!({ "chain_id": 1, "nonce": 7 }),
    }
}

fn bitcoin(key: &DepositKey) -> Case {
    let coins = [Coin::of(key, 50_000), Coin::taproot(key, 60_000)];
    let signed = psbt(&coins, &collection(Chain::Bitcoin), 1000);
    let outpoints = bitcoin::Psbt::deserialize(&signed).unwrap().unsigned_tx.input;
    let mut outpoints: Vec<String> =
        outpoints.iter().map(|input| input.previous_output.to_string()).collect();
    outpoints.sort();
    Case {
        signed: signed.clone(),
        ends: psbt(&coins, &key.address, 2000),
        others: vec![
            psbt(&[Coin::of(key, 50_001)], &key.address, 2000),
            psbt(&[coins[0].clone(), coins[1].clone(), Coin::of(key, 70_000)], &key.address, 2000),
            signed,
        ],
        spends: json!({ "outpoints": outpoints }),
    }
}

fn solana(key: &DepositKey) -> Case {
    let (account, value) = ([90; 32], [9; 32]);
    let text = |bytes: [u8; 32]| chains::solana::SolanaAddress::new(bytes).to_string();
    let pays = unit(Chain::Solana);
    let signed = solana_nonce_transfer(&key.address, account, value, &collection(Chain::Solana), pays);
    Case {
        ends: solana_advance(&key.address, account, value),
        others: vec![
            solana_advance(&key.address, account, [8; 32]),
            solana_advance(&key.address, [91; 32], value),
            signed.clone(),
        ],
        signed,
        spends: json!({ "nonce_account": text(account), "nonce_value": text(value) }),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_key_signs_what_an_order_voids_and_nothing_else() {
    for (chain, case) in
        [(Chain::Evm, evm as fn(&DepositKey) -> Case), (Chain::Bitcoin, bitcoin), (Chain::Solana, solana)]
    {
        let mut scene = Scene::new().await;
        let key = scene.key("alice", chain).await;
        let address = key.address.clone();
        let nonces = move |policy: &mut Value| {
            policy["rules"][0]["solana"]["nonce_authorities"] =
                if chain == Chain::Solana { json!([address]) } else { json!([]) };
            let mut other = policy["rules"][0]["evm"]["networks"][0].clone();
            other["chain_id"] = json!(137);
            policy["rules"][0]["evm"]["networks"].as_array_mut().unwrap().push(other);
        };
        scene.put_policy(2, &nonces).await;
        let Case { signed, ends, others, spends: expected } = case(&key);
        scene.sign(&key, &signed).await.unwrap();
        assert_eq!(spends(&scene), expected, "{chain}");
        // No rule allows it, also for a key that is not frozen.
        assert_eq!(tag(scene.sign(&key, &ends).await), "policy.void");
        let freeze = order(&mut scene, &Restriction::FreezeAll).await;
        for transaction in [&signed, &ends] {
            let refused = scene.sign(&key, transaction).await.unwrap_err();
            assert_eq!((refused.tag(), refused.order), ("order.frozen", Some(freeze)));
        }
        // An operator copies from the log what shall be used up.
        let spends: Spends = serde_json::from_value(expected.clone()).unwrap();
        let void = order(&mut scene, &Restriction::Void { key_id: key.id, spends: spends.clone() }).await;
        let explained = scene.explain(&key, &ends).await;
        assert_eq!((&explained["allowed"], &explained["void"]), (&json!(true), &json!(void.to_string())));
        assert_eq!(explained["spends"], expected);
        // What is told of it is nobody else's gain: nothing moves, or it moves to the key itself.
        let moves = explained["summary"]["transfers"].as_array().unwrap();
        assert!(moves.iter().all(|to| to["destination"] == key.address), "{moves:?}");
        let answer = scene.sign(&key, &ends).await.unwrap();
        let logged = detail(&scene);
        assert_eq!((&logged["void"], &logged["spends"]), (&json!(void.to_string()), &expected));
        assert_eq!(logged["id"], answer.id);
        for other in &others {
            let refused = scene.sign(&key, other).await.unwrap_err();
            assert_eq!((refused.code, refused.tag()), (RefusalCode::Frozen, "order.frozen"), "{chain}");
        }
        // Another key of the chain gets nothing from it.
        let bob = scene.key("bob", chain).await;
        let Case { ends: bobs, .. } = case(&bob);
        assert_eq!(tag(scene.sign(&bob, &bobs).await), "order.frozen");
        // A policy takes it back; freezing in the policy itself does not stand in its way before.
        scene
            .put_policy(3, |policy| {
                nonces(policy);
                policy["frozen"] = json!({ "all": true });
            })
            .await;
        scene.sign(&key, &ends).await.unwrap();
        scene
            .put_policy(4, |policy| {
                nonces(policy);
                policy["lifted_orders"] = json!([void.to_string()]);
            })
            .await;
        assert_eq!(tag(scene.sign(&key, &ends).await), "order.frozen");
        let both = [void.to_string(), freeze.to_string()];
        scene
            .put_policy(5, |policy| {
                nonces(policy);
                policy["lifted_orders"] = json!(both);
            })
            .await;
        assert_eq!(tag(scene.sign(&key, &ends).await), "policy.void");
        scene.sign(&key, &signed).await.unwrap();
    }
}

/// A thief who used up all fees of the day does not stand in the way, and every other bound of a fee
/// does.
#[tokio::test(flavor = "multi_thread")]
async fn what_voids_is_bound_by_the_fee_of_one_transaction_and_by_no_day() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let cap = |transaction: &'static str| {
        move |policy: &mut Value| {
            policy["rules"][0]["evm"]["networks"][0]["fee"] =
                json!({ "per_transaction": transaction, "per_day": "21000000" });
        }
    };
    scene.put_policy(2, cap("42000000")).await;
    scene.sign(&key, &sweep(&key, 7)).await.unwrap();
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 8)).await), "policy.evm.fee");
    let Case { ends, spends, .. } = evm(&key);
    let spends = serde_json::from_value(spends).unwrap();
    order(&mut scene, &Restriction::Void { key_id: key.id, spends }).await;
    scene.sign(&key, &ends).await.unwrap();
    scene.put_policy(3, cap("41999999")).await;
    assert_eq!(tag(scene.sign(&key, &ends).await), "policy.evm.fee");
    scene.put_policy(4, |policy| policy["rules"][0]["evm"]["networks"][0]["chain_id"] = json!(5)).await;
    assert_eq!(tag(scene.sign(&key, &ends).await), "policy.evm.network");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_voids_names_what_can_be_used_up() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Tron).await;
    scene.sign(&key, &sweep(&key, 5)).await.unwrap();
    assert!(spends(&scene)["expiration"].is_u64());
    let outpoint: Outpoint = format!("{}:0", "00".repeat(32)).parse().unwrap();
    let blockhash = chains::solana::SolanaAddress::new([1; 32]);
    for spends in [Spends::Expiration(1), Spends::Blockhash(blockhash)] {
        let envelope = signed_order(DEPLOYMENT, &Restriction::Void { key_id: key.id, spends });
        let request = DESK.request(DEPLOYMENT, "POST", "/v1/orders", &envelope);
        let refused: Refusal = scene.wire.ask(Operation::SubmitOrder { request }).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::OrderRefused, "order.malformed"));
        assert!(refused.message.contains("nothing else can be used up"), "{refused}");
    }
    // Whatever is named is on the log with the key, and in force after a restart.
    let spends = Spends::outpoints([outpoint]).unwrap();
    let restriction = Restriction::Void { key_id: key.id, spends };
    let void = order(&mut scene, &restriction).await;
    let entry = scene.entries().pop().unwrap();
    assert_eq!(entry.event.keys.as_slice(), [key.id]);
    let told = entry.event.detail.unwrap().to_value();
    assert_eq!((&told["type"], &told["order"]), (&json!("void"), &json!(void.to_string())));
    let payload = Order::payload(
        &DEPLOYMENT.parse().unwrap(),
        &restriction,
        &"a drill".parse().unwrap(),
        protocol::timestamp::Timestamp::from_seconds(1).unwrap(),
    );
    assert_eq!(Order::parse(&payload).unwrap().restriction(), &restriction);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_signature_of_a_hundred_keys_spends_is_never_left_out() {
    let mut scene = Scene::new().await;
    let new: Vec<_> = (0..100).map(|n| new_key("alice", Chain::Bitcoin, n)).collect();
    let keys = scene.keys(&new).await;
    let coins: Vec<Coin> = keys.iter().map(|key| Coin::taproot(key, 50_000)).collect();
    let records: Vec<Vec<u8>> = keys.iter().map(|key| key.record.clone()).collect();
    let swept = psbt(&coins, &collection(Chain::Bitcoin), 10_000);
    scene.wire.sign(DEPLOYMENT, Chain::Bitcoin, &records, &swept).await.unwrap();
    let entry = scene.entries().pop().unwrap();
    let detail = entry.event.detail.as_ref().unwrap();
    let told = detail.to_value();
    assert_eq!(told["spends"]["outpoints"].as_array().unwrap().len(), 100);
    assert_eq!(told["public_keys"].as_array().unwrap().len(), 100);
    assert_eq!(entry.event.keys.as_slice().len(), 100);
    // Fifteen more destinations, each of the longest address and amount, fit as well.
    let longest = json!({
        "asset": "native", "amount": "2100000000000000", "destination": "b".repeat(62),
    });
    assert!(detail.to_json().len() + 15 * (longest.to_string().len() + 1) < MAX_SIGN_DETAIL);
}
