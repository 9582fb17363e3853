//! How much leaves in a day: bounds for each key and for all, for fees, on every chain; what counts
//! and what does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::Chain;
use cofferdam_tests::{
    authority::{ERC20, collection},
    scene::{DepositKey, Scene, tag},
    transactions::{Coin, Evm, payout, psbt, psbt_of, solana_transfers, spent, sweep, unit},
    wire::new_key,
};
use serde_json::{Value, json};
use wire::RefusalCode;

fn velocity(per_key: u64, all: u64) -> Value {
    json!({ "per_key_per_day": per_key.to_string(), "per_day": all.to_string() })
}

/// The bounds of a chain's own coin, in the units of [`sweep`].
fn coin(chain: Chain, per_key: u64, all: u64) -> Value {
    let mut bounds = velocity(per_key * unit(chain), all * unit(chain));
    if chain != Chain::Bitcoin {
        bounds["min_amount"] = json!("1");
        bounds["max_fee_permille"] = json!(1000);
    }
    bounds
}

/// Where a rule set says how much of the native asset may leave, and in fees.
fn native(rules: &mut Value, chain: Chain) -> &mut Value {
    match chain {
        Chain::Evm => &mut rules["evm"]["networks"][0]["native"],
        Chain::Bitcoin => &mut rules["bitcoin"]["velocity"],
        Chain::Solana => &mut rules["solana"]["native"],
        Chain::Tron => &mut rules["tron"]["native"],
    }
}

fn fees(rules: &mut Value, chain: Chain) -> &mut Value {
    match chain {
        Chain::Evm => &mut rules["evm"]["networks"][0]["fee"],
        _ => &mut rules[chain.as_str()]["fee"],
    }
}

/// A sweep that counts as so much: on Bitcoin with its share of the fee.
fn counting(key: &DepositKey, amount: u64) -> Vec<u8> {
    sweep(key, if key.chain == Chain::Bitcoin { amount - 1000 } else { amount })
}

async fn two_keys(scene: &mut Scene, chain: Chain) -> [DepositKey; 2] {
    scene.keys(&["alice", "bob"].map(|user| new_key(user, chain, 0))).await.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_all_keys_together_have_bounds_on_every_chain() {
    for chain in Chain::ALL {
        let mut scene = Scene::new().await;
        let [alice, bob] = two_keys(&mut scene, chain).await;
        let bounds =
            |policy: &mut Value| *native(&mut policy["rules"][0], chain) = coin(chain, 100_000, 150_000);
        scene.put_policy(2, bounds).await;
        let denied = format!("policy.{chain}.velocity");
        let first = counting(&alice, 60_000);
        let signed = scene.sign(&alice, &first).await.unwrap();
        // The same transaction again counts nothing, has the same signature; explaining counts nothing.
        for _ in 0..3 {
            assert_eq!(scene.sign(&alice, &first).await.unwrap(), signed);
            assert_eq!(scene.explain(&alice, &counting(&alice, 40_000)).await["allowed"], true);
        }
        let over = counting(&alice, 40_001);
        let refused = scene.sign(&alice, &over).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::Denied, denied.as_str()));
        for units in [100_000, 100_001] {
            assert!(refused.message.contains(&(units * unit(chain)).to_string()), "{refused}");
        }
        assert_eq!(scene.last_entry(), ("transaction.sign".into(), Some("backend".into()), denied.clone()));
        let explained = scene.explain(&alice, &over).await;
        assert_eq!((&explained["allowed"], &explained["denial"]["tag"]), (&json!(false), &json!(denied)));
        // What is refused counts nothing: exactly the rest is left, and then nothing.
        scene.sign(&alice, &counting(&alice, 40_000)).await.unwrap();
        let detail = scene.entries().pop().unwrap().event.detail.unwrap().to_value();
        let near = detail["near_limit"].as_array().unwrap();
        let of_key = |name: &Value| name.as_str().unwrap().ends_with("/key");
        assert!(near.len() == 1 && of_key(&near[0]), "the key's bound is near: {detail}");
        assert_eq!(tag(scene.sign(&alice, &counting(&alice, 2_001)).await), denied);
        assert_eq!(tag(scene.sign(&bob, &counting(&bob, 50_001)).await), denied, "of all keys");
        scene.sign(&bob, &counting(&bob, 50_000)).await.unwrap();
        assert_eq!(tag(scene.sign(&bob, &counting(&bob, 2_002)).await), denied);
        // What was counted once is signed again, also when the bound is reached.
        assert_eq!(scene.sign(&alice, &first).await.unwrap(), signed);
        // A policy that goes on with the rules' name goes on with the counts.
        scene.put_policy(3, bounds).await;
        assert_eq!(tag(scene.sign(&alice, &counting(&alice, 2_003)).await), denied);
        scene
            .put_policy(4, |policy| *native(&mut policy["rules"][0], chain) = coin(chain, 110_000, 200_000))
            .await;
        scene.sign(&alice, &counting(&alice, 10_000)).await.unwrap();
        assert_eq!(tag(scene.sign(&alice, &counting(&alice, 2_004)).await), denied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fees_have_a_bound_for_one_transaction_and_for_a_day_on_every_chain() {
    for chain in Chain::ALL {
        let mut scene = Scene::new().await;
        let [alice, bob] = two_keys(&mut scene, chain).await;
        let explained = scene.explain(&alice, &sweep(&alice, 10_000)).await;
        let fee: u64 = explained["summary"]["fee"].as_str().unwrap().parse().unwrap();
        let caps = |one: u64, day: u64| {
            let caps = json!({ "per_transaction": one.to_string(), "per_day": day.to_string() });
            move |policy: &mut Value| *fees(&mut policy["rules"][0], chain) = caps
        };
        let denied = format!("policy.{chain}.fee");
        scene.put_policy(2, caps(fee - 1, fee * 100)).await;
        assert_eq!(tag(scene.sign(&alice, &sweep(&alice, 10_000)).await), denied);
        scene.put_policy(3, caps(fee, fee * 5 / 2)).await;
        // One made later is another one where a transaction tells the time.
        let first = sweep(&alice, 10_000);
        scene.sign(&alice, &first).await.unwrap();
        scene.sign(&bob, &sweep(&bob, 10_001)).await.unwrap();
        for key in [&alice, &bob] {
            let refused = scene.sign(key, &sweep(key, 10_002)).await.unwrap_err();
            assert_eq!((refused.code, refused.tag()), (RefusalCode::Denied, denied.as_str()));
        }
        scene.sign(&alice, &first).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn assets_networks_and_rule_sets_are_counted_apart() {
    let mut scene = Scene::new().await;
    let [alice, bob] = two_keys(&mut scene, Chain::Evm).await;
    let wallet = scene.api_key(Chain::Evm).await;
    let to = collection(Chain::Evm);
    scene
        .put_policy(2, |policy| {
            for rules in [0, 1] {
                let networks = &mut policy["rules"][rules]["evm"]["networks"];
                networks[0]["native"] = coin(Chain::Evm, 10, 10);
                networks[0]["tokens"][0]["velocity"] = velocity(20, 20);
                let mut other = networks[0].clone();
                other["chain_id"] = json!(137);
                networks.as_array_mut().unwrap().push(other);
            }
        })
        .await;
    let native = |chain_id: u64, nonce: u64, units: u64| {
        let value = u128::from(units * unit(Chain::Evm));
        Evm { chain_id, nonce, value, ..Evm::native(&to) }.typed()
    };
    let token = |chain_id: u64, nonce: u64, amount: u128| {
        Evm { chain_id, nonce, ..Evm::token(ERC20, &to, amount) }.typed()
    };
    for key in [&alice, &wallet] {
        for chain_id in [1, 137] {
            scene.sign(key, &native(chain_id, 0, 10)).await.unwrap();
            scene.sign(key, &token(chain_id, 1, 20)).await.unwrap();
            assert_eq!(tag(scene.sign(key, &native(chain_id, 2, 1)).await), "policy.evm.velocity");
            assert_eq!(tag(scene.sign(key, &token(chain_id, 2, 1)).await), "policy.evm.velocity");
        }
    }
    // Nothing is left for another key of the same rules.
    assert_eq!(tag(scene.sign(&bob, &native(1, 0, 1)).await), "policy.evm.velocity");
    assert_eq!(tag(scene.sign(&bob, &token(137, 0, 1)).await), "policy.evm.velocity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_counts_item_by_item_and_many_keys_of_one_transaction_each_count_their_own() {
    let mut scene = Scene::new().await;
    let [alice, bob] = two_keys(&mut scene, Chain::Solana).await;
    scene
        .put_policy(2, |policy| {
            policy["rules"][0]["solana"]["native"] = coin(Chain::Solana, 100, 1000);
            policy["rules"][0]["bitcoin"]["velocity"] = coin(Chain::Bitcoin, 100_000, 1_000_000);
        })
        .await;
    let items: Vec<_> =
        (0..10).flat_map(|n| [(&alice, sweep(&alice, 30 + n)), (&bob, sweep(&bob, 20))]).collect();
    let signed = scene.sign_batch(&items).await;
    // 30 + 31 + 32 of alice's; bob's is one transaction, asked for ten times.
    for (number, result) in signed.iter().enumerate() {
        if number % 2 == 1 || number < 6 {
            assert!(result.is_ok(), "{number}");
        } else {
            assert_eq!(result.as_ref().unwrap_err().tag(), "policy.solana.velocity", "{number}");
        }
    }
    let [alice, bob] = two_keys(&mut scene, Chain::Bitcoin).await;
    let records = [alice.record.clone(), bob.record.clone()];
    let mut sign = async |coins: &[Coin]| {
        let psbt = psbt(coins, &collection(Chain::Bitcoin), 1000);
        scene.wire.sign("laptop", Chain::Bitcoin, &records, &psbt).await
    };
    // Two coins of one key are one sum.
    let coins = [Coin::of(&alice, 50_000), Coin::taproot(&alice, 50_001), Coin::of(&bob, 99_000)];
    assert_eq!(tag(sign(&coins).await), "policy.bitcoin.velocity");
    let coins = [Coin::of(&alice, 50_000), Coin::taproot(&alice, 50_000), Coin::of(&bob, 99_000)];
    sign(&coins).await.unwrap();
    let coins = [Coin::of(&alice, 1_001), Coin::of(&bob, 1_000)];
    assert_eq!(tag(sign(&coins).await), "policy.bitcoin.velocity");
}

/// The enclave has no disk: what a boot counted is gone with it. Who can restart enclaves, the host
/// above all, gets each day's bound once a boot; the destinations stay pinned, and every boot shows
/// in the log. `activation = "quorum"` is what stops it.
#[tokio::test(flavor = "multi_thread")]
async fn counts_are_one_boots_and_a_restart_begins_anew() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Tron).await;
    let bounds = |policy: &mut Value| policy["rules"][0]["tron"]["native"] = coin(Chain::Tron, 100, 100);
    scene.put_policy(2, bounds).await;
    scene.sign(&key, &sweep(&key, 100)).await.unwrap();
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 1)).await), "policy.tron.velocity");
    let mut scene = scene.reboot().await;
    scene.put_policy(2, bounds).await;
    scene.sign(&key, &sweep(&key, 99)).await.unwrap();
    assert_eq!(tag(scene.sign(&key, &sweep(&key, 2)).await), "policy.tron.velocity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_nothing_and_no_bound_is_passed_for_it() {
    let mut scene = Scene::with(|config| config.limits = "velocity_counts = 2".into()).await;
    let keys = scene.keys(&(0..8).map(|n| new_key("alice", Chain::Solana, n)).collect::<Vec<_>>()).await;
    scene.put_policy(2, |policy| policy["rules"][0]["solana"]["native"] = coin(Chain::Solana, 10, 40)).await;
    // One anchor and one key are remembered; the amounts of all stay.
    for key in &keys {
        scene.sign(key, &sweep(key, 5)).await.unwrap();
    }
    for key in &keys {
        assert_eq!(tag(scene.sign(key, &sweep(key, 6)).await), "policy.solana.velocity");
    }
    // What is forgotten by name counts anew: more, and never less.
    assert_eq!(tag(scene.sign(&keys[0], &sweep(&keys[0], 5)).await), "policy.solana.velocity");
}

/// A bump of a sweep that used most of the key's bound replaces it: the greatest counts, once, in
/// amounts and in fees.
#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_counts_once_with_what_it_replaces() {
    let mut scene = Scene::new().await;
    let [alice, _] = two_keys(&mut scene, Chain::Evm).await;
    let to = collection(Chain::Evm);
    let bounds = |policy: &mut Value| {
        let network = &mut policy["rules"][0]["evm"]["networks"][0];
        network["native"] = coin(Chain::Evm, 100, 150);
        // Three times the fee of the first.
        network["fee"] = json!({ "per_transaction": "90000000", "per_day": "63000000" });
    };
    scene.put_policy(2, bounds).await;
    let bump = |nonce: u64, units: u64, times: u128| {
        let value = u128::from(units * unit(Chain::Evm));
        Evm { nonce, value, max_fee: times * 1_000, ..Evm::native(&to) }.typed()
    };
    scene.sign(&alice, &bump(0, 60, 1)).await.unwrap();
    scene.sign(&alice, &bump(0, 60, 2)).await.unwrap();
    // All that is left of it after a dearer fee, as a wallet sweeps.
    scene.sign(&alice, &bump(0, 59, 3)).await.unwrap();
    assert_eq!(tag(scene.sign(&alice, &bump(0, 60, 4)).await), "policy.evm.fee", "more than a day's");
    assert_eq!(tag(scene.sign(&alice, &bump(0, 101, 3)).await), "policy.evm.velocity");
    assert_eq!(tag(scene.sign(&alice, &bump(1, 60, 1)).await), "policy.evm.velocity", "another nonce");
    assert_eq!(tag(scene.sign(&alice, &bump(1, 30, 1)).await), "policy.evm.fee");

    // On Bitcoin whatever spends one of the outputs again: each output counts once.
    let [alice, _] = two_keys(&mut scene, Chain::Bitcoin).await;
    scene
        .put_policy(3, |policy| {
            policy["rules"][0]["bitcoin"]["velocity"] = coin(Chain::Bitcoin, 100_000, 100_000)
        })
        .await;
    let (first, second) = (Coin::of(&alice, 60_000), Coin::taproot(&alice, 40_000));
    let to = collection(Chain::Bitcoin);
    let records = [alice.record.clone()];
    let mut sign = async |coins: &[Coin], fee: u64| {
        scene.wire.sign("laptop", Chain::Bitcoin, &records, &psbt(coins, &to, fee)).await
    };
    sign(std::slice::from_ref(&first), 1000).await.unwrap();
    sign(std::slice::from_ref(&first), 2000).await.unwrap();
    sign(&[first, second], 3000).await.unwrap();
    let other = Coin::of(&alice, 1_500);
    assert_eq!(tag(sign(&[other], 500).await), "policy.bitcoin.velocity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_answer_would_fit_no_frame_is_signed_as_far_as_it_fits() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Solana).await;
    let wallets: Vec<String> = scene
        .keys(&(0..16).map(|n| new_key("wallets", Chain::Solana, n)).collect::<Vec<_>>())
        .await
        .into_iter()
        .map(|key| key.address)
        .collect();
    scene.put_policy(2, |policy| policy["rules"][0]["solana"]["destinations"] = json!(wallets)).await;
    let transfers = |n: u64| -> Vec<_> { wallets.iter().map(|to| (to.as_str(), 1_000 + n)).collect() };
    let batch: Vec<_> = (0..256).map(|n| (&key, solana_transfers(&key.address, &transfers(n)))).collect();
    let results = scene.sign_batch(&batch).await;
    let signed = results.iter().take_while(|result| result.is_ok()).count();
    assert!((100..256).contains(&signed), "{signed}");
    for result in &results[signed..] {
        let refused = result.as_ref().unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::Overloaded, "request.answer_size"));
    }
    assert_eq!(scene.entries().len(), 1 + 1 + 16 + 1 + 256);
    // What was refused counted nothing, and is signed by another request.
    assert!(scene.sign_batch(&batch[signed..]).await.iter().all(Result::is_ok));
}

/// Without previous transactions a PSBT of P2TR inputs may say that an output is anybody's. A false one
/// is signed for nothing, and pays for nothing: the true owner's bound holds.
#[tokio::test(flavor = "multi_thread")]
async fn false_claims_of_whose_an_output_is_leave_the_bound_of_its_owner() {
    let mut scene = Scene::new().await;
    let [alice, bob] = two_keys(&mut scene, Chain::Bitcoin).await;
    scene
        .put_policy(2, |policy| {
            policy["rules"][0]["bitcoin"]["velocity"] = coin(Chain::Bitcoin, 100_000, 1_000_000);
        })
        .await;
    let to = collection(Chain::Bitcoin);
    let psbt = |output: u64, claimed: &DepositKey| {
        // Alice's, whatever is claimed of it.
        let deposit = payout(usize::try_from(output).unwrap(), &[Coin::taproot(&alice, 60_000)], 0);
        let mut psbt = psbt_of(&[(deposit, 0)], &to, 1000);
        psbt.inputs[0].non_witness_utxo = None;
        let claim = spent(&[Coin::taproot(claimed, 60_000)]).remove(0);
        psbt.inputs[0].witness_utxo = Some(claim);
        psbt.serialize()
    };
    scene.sign(&bob, &psbt(1, &bob)).await.unwrap();
    scene.sign(&alice, &psbt(0, &alice)).await.unwrap();
    let refused = scene.sign(&alice, &psbt(1, &alice)).await;
    assert_eq!(tag(refused), "policy.bitcoin.velocity", "what counts for bob pays for nothing of hers");
    // What she has signed before is signed again: it adds nothing.
    scene.sign(&alice, &psbt(0, &alice)).await.unwrap();
}
