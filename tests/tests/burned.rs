//! What whoever holds a client's key can burn under the example policy, alone and together with the host:
//! tried on an enclave with the dearest sweeps that it signs, and compared with the table in SECURITY.md.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::{BitcoinNetwork, Chain};
use cofferdam_tests::{
    authority::{BACKEND, KEEPER, now},
    scene::{DepositKey, Scene},
    transactions::{Coin, Evm, psbt, solana_priced, tron_token},
    wire::new_key,
};
use protocol::timestamp::Timestamp;
use serde_json::{Value, json};

const POLICY: &str = include_str!("../vectors/policy/policy.json");
const SECURITY: &str = include_str!("../../SECURITY.md");

/// The example policy, valid now, for the clients of all scenes.
fn example(policy: &mut Value) {
    let version = policy["version"].clone();
    *policy = serde_json::from_str(POLICY).unwrap();
    let moment = |seconds| Timestamp::from_seconds(seconds).unwrap().to_string();
    policy["version"] = version;
    policy["not_before"] = json!(moment(now() - 3600));
    policy["not_after"] = json!(moment(now() + 86_400));
    policy["clients"] = json!([BACKEND.in_policy(), KEEPER.in_policy()]);
    policy["frozen"] = json!({});
}

fn rules() -> Value {
    serde_json::from_str::<Value>(POLICY).unwrap()["rules"][0].clone()
}

fn amount(value: &Value) -> u128 {
    value.as_str().unwrap().parse().unwrap()
}

/// A whole number of coins, to three digits after the point as far as they are any.
fn coins(units: u128, decimals: u32) -> String {
    let one = 10_u128.pow(decimals);
    let text = format!("{}.{:03}", units / one, units % one * 1000 / one);
    assert_eq!(units % one * 1000 % one, 0, "{units}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Signs whatever comes until the fees of the day are used up; says how much they came to.
async fn burn(
    scene: &mut Scene,
    keys: &[DepositKey],
    mut dearest: impl FnMut(usize, &DepositKey) -> Vec<u8>,
) -> u128 {
    let mut burned = 0;
    for round in 0.. {
        let items: Vec<_> = (0..64)
            .map(|n| {
                let number = round * 64 + n;
                let key = &keys[number % keys.len()];
                (key, dearest(number, key))
            })
            .collect();
        let signed = scene.sign_batch(&items).await;
        for (result, (key, transaction)) in signed.iter().zip(&items) {
            match result {
                Ok(_) => burned += fee(key, transaction),
                Err(refusal) => {
                    assert_eq!(refusal.tag(), format!("policy.{}.fee", key.chain), "{refusal}");
                    return burned;
                }
            }
        }
    }
    unreachable!()
}

/// What it may cost, as `chains` bounds it; that this is never too little is shown in chains/tests.
fn fee(key: &DepositKey, transaction: &[u8]) -> u128 {
    let record = protocol::Record::parse(&key.record).unwrap();
    let header = record.header();
    let public = chains::PublicKey::from_bytes(header.chain.curve(), &header.public_key).unwrap();
    let transaction = chains::Transaction::parse(key.chain, transaction).unwrap();
    transaction.sweep(&[public], BitcoinNetwork::Mainnet).unwrap().summary().fee.get()
}

async fn scene() -> Scene {
    let mut scene = Scene::new().await;
    scene.put_policy(4, example).await;
    scene
}

async fn keys(scene: &mut Scene, chain: Chain) -> Vec<DepositKey> {
    scene.keys(&(0..4).map(|n| new_key("carol", chain, n)).collect::<Vec<_>>()).await
}

/// The dearest sweep of each network: it burns all that one transaction may, and moves the least for it.
fn dearest(network: &str) -> impl FnMut(usize, &DepositKey) -> Vec<u8> {
    let rules = rules();
    let wallet = |chain: &str| rules[chain]["destinations"][0].as_str().unwrap().to_owned();
    let (bitcoin, solana, tron) = (wallet("bitcoin"), wallet("solana"), wallet("tron"));
    let evm = rules["evm"]["networks"].clone();
    let usdt = rules["tron"]["tokens"][0]["contract"].as_str().unwrap().to_owned();
    let network = network.to_owned();
    move |number, key| {
        let nonce = u64::try_from(number / 4).unwrap();
        match network.as_str() {
            // Tokens: their fee is no share of anything.
            "Ethereum" => {
                let token = evm[0]["tokens"][0]["contract"].as_str().unwrap();
                let to = evm[0]["destinations"][0].as_str().unwrap();
                let call = Evm::token(token, to, 1_000_000);
                Evm { nonce, gas: 100_000, max_fee: 200_000_000_000, ..call }.typed()
            }
            // Coins: fifty times the fee.
            "Base" => {
                let to = evm[1]["destinations"][0].as_str().unwrap();
                let value = 50_000_000_000_000_000;
                let coin = Evm { chain_id: 8453, value, nonce, ..Evm::native(to) };
                Evm { gas: 100_000, max_fee: 10_000_000_000, ..coin }.typed()
            }
            "Bitcoin" => {
                let first = 1_000_000 + u64::try_from(number).unwrap() * 25;
                let coins: Vec<Coin> = (0..25).map(|n| Coin::of(key, first + n)).collect();
                psbt(&coins, &bitcoin, 500_000)
            }
            "Solana" => {
                let lamports = 10_000_000 + u64::try_from(number).unwrap();
                solana_priced(&key.address, &solana, lamports, 400_000, 1_000_000)
            }
            "Tron" => {
                let amount = 1_000_000 + u64::try_from(number).unwrap();
                tron_token(&key.address, &usdt, &tron, amount, 39_655_000)
            }
            other => panic!("{other}"),
        }
    }
}

/// Whatever a day's fees are cut into, they are within the bound of a day, and come near it.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_key_burns_a_days_fees_and_the_host_lets_it_do_so_again_with_every_boot() {
    let rules = rules();
    let mut rows = Vec::new();
    for (network, coin, decimals, fees) in [
        ("Ethereum", "ETH", 18, &rules["evm"]["networks"][0]["fee"]),
        ("Base", "ETH", 18, &rules["evm"]["networks"][1]["fee"]),
        ("Bitcoin", "BTC", 8, &rules["bitcoin"]["fee"]),
        ("Solana", "SOL", 9, &rules["solana"]["fee"]),
        ("Tron", "TRX", 6, &rules["tron"]["fee"]),
    ] {
        let chain = match network {
            "Ethereum" | "Base" => Chain::Evm,
            other => other.to_lowercase().parse().unwrap(),
        };
        let mut scene = scene().await;
        let keys = keys(&mut scene, chain).await;
        let day = amount(&fees["per_day"]);
        let burned = burn(&mut scene, &keys, dearest(network)).await;
        assert!(burned <= day && burned > day - amount(&fees["per_transaction"]), "{network}: {burned}");
        // Counts are a boot's: with the next one the same again, and no more than that either.
        if matches!(network, "Ethereum" | "Bitcoin") {
            let mut scene = scene.reboot().await;
            scene.put_policy(4, example).await;
            assert_eq!(burn(&mut scene, &keys, dearest(network)).await, burned);
        }
        rows.push(format!("| {network} | {} {coin} |", coins(day, decimals)));
    }
    let missing: Vec<&String> = rows.iter().filter(|row| !SECURITY.contains(row.as_str())).collect();
    assert!(missing.is_empty(), "SECURITY.md lacks {missing:#?}");
}

/// What needs no memory holds for every boot: on EVM so many nonces at so much each, on Bitcoin a share
/// of what is there.
#[tokio::test(flavor = "multi_thread")]
async fn with_the_host_a_clients_key_burns_of_one_deposit_key_what_needs_no_memory_to_bound() {
    let rules = rules();
    let mut scene = scene().await;
    let key = keys(&mut scene, Chain::Evm).await.remove(0);
    for (at, network) in ["Ethereum", "Base"].into_iter().enumerate() {
        let rules = &rules["evm"]["networks"][at];
        let last = rules["max_nonce"].as_u64().unwrap_or(1000);
        let most = amount(&rules["fee"]["per_transaction"]) * u128::from(last + 1);
        let mut dearest = dearest(network);
        let mut of_nonce = |nonce: u64| dearest(usize::try_from(nonce).unwrap() * 4, &key);
        scene.sign(&key, &of_nonce(last)).await.unwrap();
        let refused = scene.sign(&key, &of_nonce(last + 1)).await.unwrap_err();
        assert_eq!(refused.tag(), "policy.evm.max_nonce");
        let row = format!("| {} ETH: {} nonces |", coins(most, 18), last + 1);
        assert!(SECURITY.contains(&row), "SECURITY.md lacks {row}");
    }
    let key = keys(&mut scene, Chain::Bitcoin).await.remove(0);
    let share = rules["bitcoin"]["max_fee_permille"].as_u64().unwrap();
    let to = rules["bitcoin"]["destinations"][0].as_str().unwrap();
    let coins: Vec<Coin> = (0..25).map(|n| Coin::of(&key, 400_000 + n)).collect();
    let all: u64 = coins.iter().map(|coin| coin.amount).sum();
    // The fee is a share of what is paid: of all that is there it is a little less.
    let most = all * share / (1000 + share);
    scene.sign(&key, &psbt(&coins, to, most)).await.unwrap();
    let refused = scene.sign(&key, &psbt(&coins, to, most + 1)).await.unwrap_err();
    assert_eq!(refused.tag(), "policy.bitcoin.max_fee_permille");
    assert!(SECURITY.contains(&format!("| {share} ‰ of what is paid |")));
}
