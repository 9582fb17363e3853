//! Bitcoin Core's script verification (libbitcoinconsensus) takes what the enclave signs: one
//! transaction sweeps many deposit keys. The crate `bitcoin` writes the PSBTs and reads the result.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{os::unix::fs::PermissionsExt, process::Command};

use bitcoin::{Amount, ScriptBuf, Transaction, TxOut, consensus::encode::deserialize};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, collection},
    programs::program,
    scene::{DEPLOYMENT, DepositKey, Scene},
    stack::{Node, Stack},
    transactions::{Coin, moved_out, payout, psbt, psbt_of, script, spent},
    wire::{new_key, signature_body},
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use wire::{Refusal, SignedTransaction};

/// Whether Bitcoin Core lets each input of the transaction spend its output.
fn verdicts(transaction: &[u8], coins: &[Coin]) -> Vec<bool> {
    verdicts_of(transaction, &spent(coins))
}

fn verdicts_of(transaction: &[u8], spent: &[TxOut]) -> Vec<bool> {
    let utxos: Vec<Utxo> = spent
        .iter()
        .map(|output| Utxo {
            script_pubkey: output.script_pubkey.as_bytes().as_ptr(),
            script_pubkey_len: u32::try_from(output.script_pubkey.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
    let verify = |index: usize| {
        let output = &spent[index];
        let script = output.script_pubkey.as_bytes();
        verify_with_flags(script, output.value.to_sat(), transaction, Some(&utxos), index, flags).is_ok()
    };
    (0..spent.len()).map(verify).collect()
}

/// One key of each of so many users.
async fn users(scene: &mut Scene, count: usize) -> Vec<DepositKey> {
    let keys: Vec<_> = (0..count).map(|user| new_key(&format!("user-{user}"), Chain::Bitcoin, 0)).collect();
    scene.keys(&keys).await
}

/// A coin of each key, of one kind and the other by turns.
fn coins(keys: &[DepositKey]) -> Vec<Coin> {
    let coin = |(number, key): (usize, &DepositKey)| {
        let amount = 50_000 + number as u64;
        if number % 2 == 0 { Coin::of(key, amount) } else { Coin::taproot(key, amount) }
    };
    keys.iter().enumerate().map(coin).collect()
}

async fn sign(scene: &mut Scene, keys: &[DepositKey], psbt: &[u8]) -> Result<SignedTransaction, Refusal> {
    let records: Vec<_> = keys.iter().map(|key| key.record.clone()).collect();
    scene.wire.sign(DEPLOYMENT, Chain::Bitcoin, &records, psbt).await
}

async fn swept(count: usize, fee: u64) {
    let mut scene = Scene::new().await;
    let keys = users(&mut scene, count).await;
    // Every third key was paid a second time, at its other address.
    let mut coins = coins(&keys);
    coins.extend(keys.iter().step_by(3).take(100 - count.min(100)).map(|key| Coin::taproot(key, 70_000)));
    let wallet = collection(Chain::Bitcoin);
    let signed = sign(&mut scene, &keys, &psbt(&coins, &wallet, fee)).await.unwrap();
    assert_eq!((signed.kind.as_str(), signed.network.as_str()), ("bitcoin.sweep", "bitcoin:mainnet"));
    assert_eq!(verdicts(&signed.transaction, &coins), vec![true; coins.len()]);
    let transaction: Transaction = deserialize(&signed.transaction).unwrap();
    assert_eq!(transaction.compute_txid().to_string(), signed.id);
    let total: u64 = coins.iter().map(|coin| coin.amount).sum();
    assert_eq!(transaction.output.len(), 1);
    assert_eq!(transaction.output[0].script_pubkey, script(&wallet));
    assert_eq!(transaction.output[0].value.to_sat(), total - fee);
    let entry = scene.entries().pop().unwrap();
    assert_eq!(entry.event.keys.as_slice().len(), count, "all of them are on the log");
    assert_eq!(
        scene.deployment.calls("Decrypt"),
        1,
        "the data key that sealed them was opened once, and is still there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_sweeps_the_keys_of_twelve_users() {
    swept(12, 5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_sweeps_a_hundred_keys() {
    swept(100, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_input_of_a_user_who_is_not_in_the_request_stops_the_whole_transaction() {
    let mut scene = Scene::new().await;
    let keys = users(&mut scene, 3).await;
    let wallet = collection(Chain::Bitcoin);
    let all = psbt(&coins(&keys), &wallet, 5_000);
    for left_out in 0..3 {
        let mut named = keys.clone();
        named.remove(left_out);
        let refused = sign(&mut scene, &named, &all).await.unwrap_err();
        assert_eq!(refused.tag(), "transaction.bitcoin.owner");
    }
    // A key without an input has nothing to sign.
    let some = psbt(&coins(&keys[..2]), &wallet, 5_000);
    assert_eq!(sign(&mut scene, &keys, &some).await.unwrap_err().tag(), "transaction.bitcoin.keys");
    let signed = sign(&mut scene, &keys, &all).await.unwrap();
    assert_eq!(verdicts(&signed.transaction, &coins(&keys)), [true; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_transactions_beside_a_psbt_are_signed_as_those_inside() {
    let mut scene = Scene::new().await;
    let keys = users(&mut scene, 3).await;
    let records: Vec<_> = keys.iter().map(|key| key.record.clone()).collect();
    let coins = coins(&keys);
    // One transaction paid two of them.
    let (both, third) = (payout(0, &coins[..2], 500), payout(1, &coins[2..], 500));
    let whole = psbt_of(&[(both.clone(), 0), (both, 1), (third, 0)], &collection(Chain::Bitcoin), 5_000);
    let (without, previous) = moved_out(whole.clone());
    assert_eq!(previous.len(), 2);
    let body = |previous: &[String]| {
        let mut body = signature_body(Chain::Bitcoin, &records, &without);
        body["previous_transactions"] = json!(previous);
        body
    };
    let beside = scene.wire.sign_body(DEPLOYMENT, &body(&previous), &records).await.unwrap();
    assert_eq!(verdicts(&beside.transaction, &coins), [true; 3]);
    assert_eq!(beside, sign(&mut scene, &keys, &whole.serialize()).await.unwrap());

    let upper = previous.iter().map(|text| text.to_uppercase()).collect::<Vec<_>>();
    let twice = [&previous[..], &previous[..1]].concat();
    for (previous, tag) in [
        (&previous[..1], "transaction.bitcoin.utxo"),
        (&[], "transaction.bitcoin.utxo"),
        (&twice, "transaction.bitcoin.previous"),
        (&upper, "transaction.encoding"),
    ] {
        let refused = scene.wire.sign_body(DEPLOYMENT, &body(previous), &records).await.unwrap_err();
        assert_eq!(refused.tag(), tag);
    }
}

/// New Bitcoin addresses, one of each of so many users, through the API.
async fn addresses(node: &Node, count: usize) -> Vec<Value> {
    let wanted: Vec<Value> =
        (0..count).map(|user| json!({"user": format!("user-{user}"), "chain": "bitcoin"})).collect();
    let (status, made) = node.post("/v1/addresses/batch", &json!({ "addresses": wanted })).await;
    assert_eq!(status, 200, "{made}");
    made["addresses"].as_array().unwrap().clone()
}

fn coin(address: &Value, amount: u64) -> Coin {
    Coin { script: script(address["address"].as_str().unwrap()), amount }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_hidden_in_several_psbts_is_refused_through_the_api() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let address = &addresses(&node, 1).await[0];
    let taproot = script(address["taproot_address"].as_str().unwrap());
    // Two coins of one key. Each PSBT is true for one, and says that the other is P2TR and worthless.
    let coins = [coin(address, 40_000_000), coin(address, 40_000_000)];
    let paid = payout(0, &coins, 300);
    let honest = psbt_of(&[(paid.clone(), 0), (paid, 1)], &collection(Chain::Bitcoin), 40_100_000);
    for claimed in [0, 1, 330] {
        for input in 0..2 {
            let mut psbt = honest.clone();
            let script_pubkey: ScriptBuf = taproot.clone();
            psbt.inputs[input].witness_utxo = Some(TxOut { value: Amount::from_sat(claimed), script_pubkey });
            psbt.inputs[input].non_witness_utxo = None;
            let body = json!({
                "chain": "bitcoin", "keys": [address["key_id"]], "transaction": BASE64.encode(&psbt.serialize()),
            });
            let (status, problem) = node.post("/v1/signatures", &body).await;
            let tag = if claimed == 0 { "transaction.bitcoin.amount" } else { "transaction.bitcoin.utxo" };
            assert_eq!((status.as_u16(), &problem["code"]), (422, &tag.into()), "{problem}");
        }
    }
    // Told as it is, the fee is what the policy denies.
    let body = json!({
        "chain": "bitcoin", "keys": [address["key_id"]], "transaction": BASE64.encode(&honest.serialize()),
    });
    let (status, problem) = node.post("/v1/signatures", &body).await;
    assert_eq!(
        (status.as_u16(), &problem["code"]),
        (403, &"policy.bitcoin.max_fee_permille".into()),
        "{problem}"
    );
}

/// Has `cofferdam sign` sign the PSBT of a file.
fn sign_with_cofferdam(stack: &Stack, node: &Node, keys: &[Value], psbt: &[u8]) -> Vec<u8> {
    let file = |name: &str, contents: &[u8]| {
        let path = stack.dir().join(name);
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let mut command = Command::new(program("cofferdam"));
    command.args(["--json", "sign", "--url", &node.url, "--deployment", &node.deployment]);
    command.args([
        "--client-id",
        BACKEND.id,
        "--client-key",
        &file("client.pem", BACKEND.key_file().as_bytes()),
    ]);
    for key in keys {
        command.args(["--key-id", key["key_id"].as_str().unwrap()]);
    }
    let argument = format!("@{}", file("psbt", BASE64.encode(psbt).as_bytes()));
    let output = command.args(["--chain", "bitcoin", &argument]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let signed: Value = serde_json::from_str(&said).unwrap();
    HEXLOWER.decode(signed["transaction"].as_str().unwrap().as_bytes()).unwrap()
}

/// What docs/transactions.md says fits, out of payouts of 9 kB: 60 inputs with a payout of their own
/// inside, 100 out of 40 payouts beside.
#[tokio::test(flavor = "multi_thread")]
async fn payouts_of_nine_kilobytes_fit_as_the_page_says() {
    let stack = Stack::on_files();
    let node = stack.node("node").ready().await;
    let keys = addresses(&node, 100).await;
    let wallet = collection(Chain::Bitcoin);
    let coins: Vec<Coin> = keys.iter().map(|key| coin(key, 20_000)).collect();

    let own: Vec<_> = (0..60).map(|at| (payout(at, &coins[at..=at], 9_000), 0)).collect();
    let whole = psbt_of(&own, &wallet, 20_000).serialize();
    assert!(whole.len() > 537_000, "{}", whole.len());
    let signed = sign_with_cofferdam(&stack, &node, &keys[..60], &whole);
    assert_eq!(verdicts(&signed, &coins[..60]), [true; 60]);

    let shared: Vec<_> = (0..40).map(|at| (at * 5 / 2)..((at + 1) * 5 / 2)).collect();
    let shared: Vec<_> = shared
        .into_iter()
        .enumerate()
        .flat_map(|(number, own)| {
            let paid = payout(100 + number, &coins[own.clone()], 9_000);
            (0..).zip(own).map(move |(index, _)| (paid.clone(), index)).collect::<Vec<_>>()
        })
        .collect();
    let whole = psbt_of(&shared, &wallet, 20_000);
    assert_eq!((whole.inputs.len(), moved_out(whole.clone()).1.len()), (100, 40));
    assert!(whole.serialize().len() > 890_000, "far more than a request has room for");
    let signed = sign_with_cofferdam(&stack, &node, &keys, &whole.serialize());
    assert_eq!(verdicts(&signed, &coins), [true; 100]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_taproot_addresses_are_swept_without_previous_transactions() {
    let mut scene = Scene::new().await;
    let keys = users(&mut scene, 100).await;
    let coins: Vec<Coin> = keys.iter().map(|key| Coin::taproot(key, 20_000)).collect();
    let paid: Vec<_> = (0..100).map(|at| (payout(at, &coins[at..=at], 9_000), 0)).collect();
    let (psbt, _) = moved_out(psbt_of(&paid, &collection(Chain::Bitcoin), 20_000));
    assert!(psbt.len() < 10_000, "{}", psbt.len());
    let signed = sign(&mut scene, &keys, &psbt).await.unwrap();
    assert_eq!(verdicts(&signed.transaction, &coins), [true; 100]);
}
