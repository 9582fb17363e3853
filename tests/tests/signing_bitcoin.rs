//! Bitcoin Core's script verification (libbitcoinconsensus) takes what the enclave signs: one
//! transaction sweeps many deposit keys. The crate `bitcoin` writes the PSBTs and reads the result.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bitcoin::{Transaction, consensus::encode::deserialize};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use chains::Chain;
use cofferdam_tests::{
    authority::collection,
    scene::{DEPLOYMENT, DepositKey, Scene},
    transactions::{Coin, psbt, script, spent},
    wire::new_key,
};
use protocol::{Refusal, SignedTransaction};

/// Whether Bitcoin Core lets each input of the transaction spend its output.
fn verdicts(transaction: &[u8], coins: &[Coin]) -> Vec<bool> {
    let spent = spent(coins);
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
    assert_eq!(scene.deployment.calls("Decrypt"), 0, "the data key that sealed them is still there");
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
