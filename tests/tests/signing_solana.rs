//! Sweeps that the enclave signs execute in LiteSVM: solders builds them, sends them, and looks at
//! the accounts afterwards.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::str::FromStr;

use chains::{
    Chain,
    solana::{SolanaAddress, associated_token_account},
};
use cofferdam_tests::{
    authority::collection,
    machines::Solana,
    scene::{DepositKey, Scene, tag},
};
use ed25519_dalek::SigningKey;
use serde_json::{Value, json};

const SOL: u64 = 1_000_000_000;
/// Somebody who pays fees for deposit keys that hold no SOL.
const PAYER: [u8; 32] = [88; 32];

fn payer() -> String {
    SolanaAddress::new(SigningKey::from_bytes(&PAYER).verifying_key().to_bytes()).to_string()
}

fn purse(owner: &str, mint: &str) -> String {
    let address = |text| SolanaAddress::from_str(text).unwrap();
    associated_token_account(&address(owner), &address(mint)).unwrap().to_string()
}

fn transfer(from: &str, to: &str, lamports: u64) -> Value {
    json!({ "type": "system.transfer", "from_pubkey": from, "to_pubkey": to, "lamports": lamports })
}

fn token_transfer(from: &str, to: &str, mint: &str, amount: u64) -> Value {
    json!({
        "type": "token.transfer_checked", "source": purse(from, mint), "mint": mint, "dest": purse(to, mint),
        "owner": from, "amount": amount, "decimals": 6,
    })
}

fn create(payer: &str, owner: &str, mint: &str) -> Value {
    json!({ "type": "associated.create_idempotent", "payer": payer, "owner": owner, "mint": mint })
}

fn close(owner: &str, to: &str, mint: &str) -> Value {
    json!({ "type": "token.close", "account": purse(owner, mint), "dest": to, "owner": owner })
}

fn budget() -> [Value; 2] {
    [
        json!({ "type": "compute.limit", "units": 200_000 }),
        json!({ "type": "compute.price", "micro_lamports": 5 }),
    ]
}

/// An enclave with a key, under a policy that knows the token, the payer and the key's nonces.
async fn scene(mint: &str) -> (Scene, DepositKey) {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Solana).await;
    let address = key.address.clone();
    scene
        .put_policy(2, |policy| {
            let rules = &mut policy["rules"][0]["solana"];
            rules["tokens"][0]["mint"] = json!(mint);
            rules["fee_payers"] = json!(["self", payer()]);
            rules["nonce_authorities"] = json!([address]);
        })
        .await;
    (scene, key)
}

#[tokio::test(flavor = "multi_thread")]
async fn sol_sweeps_execute_and_move_what_was_explained_to_the_lamport() {
    let mut machine = Solana::start();
    let (mut scene, key) = scene(&machine.mint()).await;
    let wallet = collection(Chain::Solana);
    for version in ["legacy", "v0"] {
        machine.airdrop(&key.address, 2 * SOL);
        let before = machine.lamports(&wallet);
        let [limit, price] = budget();
        // 5 µlamports × 200,000 units = 1 lamport, and 5,000 for the signature; all that is left.
        let amount = machine.lamports(&key.address) - 5_001;
        let instructions = json!([limit, price, transfer(&key.address, &wallet, amount)]);
        let unsigned = machine.build(version, &key.address, &instructions);
        let explained = scene.explain(&key, &unsigned).await;
        assert_eq!(explained["summary"]["fee"], "5001");
        let signed = scene.sign(&key, &unsigned).await.unwrap();
        assert_eq!(signed.kind, "solana.sol");
        assert_eq!(machine.send(&signed.transaction), None, "{version}");
        assert_eq!(machine.lamports(&key.address), 0);
        assert_eq!(machine.lamports(&wallet) - before, amount);
        assert!(machine.send(&signed.transaction).unwrap().contains("AlreadyProcessed"));
        machine.expire();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn token_sweeps_execute_with_another_ones_fee_whoever_signs_first() {
    let mut machine = Solana::start();
    let mint = machine.mint();
    let (mut scene, key) = scene(&mint).await;
    let (wallet, payer) = (collection(Chain::Solana), payer());
    machine.airdrop(&payer, SOL);
    machine.airdrop(&wallet, SOL);
    let mut swept = 0;
    for version in ["legacy", "v0"] {
        machine.give(&key.address, &mint, 500);
        let [limit, price] = budget();
        let instructions = json!([
            limit,
            price,
            create(&payer, &wallet, &mint),
            token_transfer(&key.address, &wallet, &mint, 500),
            close(&key.address, &wallet, &mint),
        ]);
        let unsigned = machine.build(version, &payer, &instructions);
        let half = scene.sign(&key, &unsigned).await.unwrap();
        assert_eq!((half.kind.as_str(), half.id.as_str()), ("solana.spl", ""), "the payer has yet to sign");
        assert!(machine.send(&half.transaction).is_some());
        let both = machine.sign(&half.transaction, &PAYER);
        // The payer first, then the enclave.
        let first = machine.sign(&unsigned, &PAYER);
        let complete = scene.sign(&key, &first).await.unwrap();
        assert_eq!(complete.transaction.to_vec(), both);
        assert_ne!(complete.id, "");
        assert_eq!(machine.send(&both), None, "{version}");
        swept += 500;
        assert_eq!(machine.held(&purse(&wallet, &mint)), swept);
        assert_eq!(machine.account(&purse(&key.address, &mint)), Value::Null, "closed");
        machine.expire();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_with_a_nonce_executes_long_after_it_was_signed_and_once() {
    let mut machine = Solana::start();
    let (mut scene, key) = scene(&machine.mint()).await;
    let wallet = collection(Chain::Solana);
    machine.airdrop(&key.address, 3 * SOL);
    machine.airdrop(&wallet, SOL);
    let nonce = machine.ask(&json!({ "nonce": { "authority": key.address } }));
    let (account, value) = (nonce["address"].as_str().unwrap(), nonce["blockhash"].as_str().unwrap());
    let advance = json!({
        "type": "system.advance_nonce", "nonce_pubkey": account, "authorized_pubkey": key.address,
    });
    let instructions = json!([advance, transfer(&key.address, &wallet, SOL)]);
    let unsigned = machine.build_with("v0", &key.address, value, &instructions);
    let signed = scene.sign(&key, &unsigned).await.unwrap();
    machine.expire();
    assert_eq!(machine.send(&signed.transaction), None);
    assert_eq!(machine.lamports(&wallet), 2 * SOL);
    machine.expire();
    assert!(machine.send(&signed.transaction).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_solders_builds_is_signed_only_within_the_policy() {
    let mut machine = Solana::start();
    let mint = machine.mint();
    let (mut scene, key) = scene(&mint).await;
    let other = scene.key("bob", Chain::Solana).await;
    let wallet = collection(Chain::Solana);
    let stranger =
        SolanaAddress::new(SigningKey::from_bytes(&[99; 32]).verifying_key().to_bytes()).to_string();
    let other_mint = machine.mint();
    let sol = transfer(&key.address, &wallet, 1_000_000);
    let dear = json!({ "type": "compute.price", "micro_lamports": 1_000_001 });
    let (fee_payer, account) = (payer(), machine.mint());
    let foreign_nonce = json!({
        "type": "system.advance_nonce", "nonce_pubkey": account, "authorized_pubkey": fee_payer,
    });
    for (payer, instructions, reason) in [
        (&key.address, json!([transfer(&key.address, &stranger, 1_000_000)]), "policy.solana.destination"),
        (
            &key.address,
            json!([token_transfer(&key.address, &stranger, &mint, 1)]),
            "policy.solana.destination",
        ),
        (&key.address, json!([token_transfer(&key.address, &wallet, &other_mint, 1)]), "policy.solana.asset"),
        (&stranger, json!([sol]), "policy.solana.fee_payer"),
        (&key.address, json!([dear, sol]), "policy.solana.compute"),
        (&fee_payer, json!([foreign_nonce, sol]), "policy.solana.nonce_authority"),
        // Another user's money, with this key or beside it.
        (&other.address, json!([transfer(&other.address, &wallet, 1_000_000)]), "transaction.solana.keys"),
        (&key.address, json!([sol, transfer(&other.address, &wallet, 1_000_000)]), "transaction.solana.keys"),
    ] {
        let unsigned = machine.build("v0", payer, &instructions);
        assert_eq!(tag(scene.sign(&key, &unsigned).await), reason, "{instructions}");
    }
    let unsigned = machine.build("v0", &key.address, &json!([sol]));
    scene.sign(&key, &unsigned).await.unwrap();
}
