//! Sweeps that the enclave signs are mined: by ganache, from transactions that ethers writes.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::Chain;
use cofferdam_tests::{
    authority::{self, collection},
    machines::EvmNode,
    scene::{Scene, tag},
    transactions::Evm,
};
use serde_json::{Value, json};
use wire::RefusalCode;

const NETWORK: u64 = 31_337;
const ETHER: u128 = 1_000_000_000_000_000_000;
const GWEI: u128 = 1_000_000_000;
/// More than a sweep of it costs.
const PAID: u128 = 1_000_000_000_000_000;

/// The policy of all tests, on the local network, with its token.
fn on_network(policy: &mut Value, token: &str) {
    let network = &mut policy["rules"][0]["evm"]["networks"][0];
    network["chain_id"] = json!(NETWORK);
    network["tokens"][0]["contract"] = json!(token);
}

/// As ethers takes it: of type 0 or 2, with the price of 20 gwei.
fn described(kind: u8, nonce: u64, gas: u64, to: &str, value: u128) -> Value {
    let mut described = json!({
        "type": kind, "chainId": NETWORK, "nonce": nonce, "gasLimit": gas, "to": to,
        "value": value.to_string(),
    });
    let price = (20 * GWEI).to_string();
    if kind == 0 {
        described["gasPrice"] = json!(price);
    } else {
        described["maxFeePerGas"] = json!(price);
        described["maxPriorityFeePerGas"] = json!(GWEI.to_string());
    }
    described
}

#[tokio::test(flavor = "multi_thread")]
async fn native_and_token_sweeps_of_both_types_are_mined_and_balances_are_right() {
    let mut node = EvmNode::start(NETWORK);
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    let wallet = collection(Chain::Evm);
    node.fund(&key.address, ETHER);
    let token = node.deploy(&key.address, 1000);
    scene.put_policy(2, |policy| on_network(policy, &token)).await;

    let (mut left, mut nonce) = (ETHER, 0);
    for kind in [0, 2] {
        let mut tokens = described(kind, nonce, 100_000, &token, 0);
        tokens["transfer"] = json!([wallet, "400"]);
        let native = described(kind, nonce + 1, 21_000, &wallet, PAID);
        for (described, template, value) in [(tokens, "evm.erc20", 0), (native, "evm.native", PAID)] {
            let unsigned = node.unsigned(&described);
            let explained = scene.explain(&key, &unsigned).await;
            let signed = scene.sign(&key, &unsigned).await.unwrap();
            assert_eq!((signed.kind.as_str(), signed.network.as_str()), (template, "evm:31337"));
            let mined = node.broadcast(&signed.transaction);
            assert_eq!(mined["status"], 1, "{mined}");
            assert_eq!(mined["id"], signed.id);
            assert!(mined["from"].as_str().unwrap().eq_ignore_ascii_case(&key.address), "{mined}");
            let amount = |value: &Value| value.as_str().unwrap().parse::<u128>().unwrap();
            assert!(amount(&mined["fee"]) <= amount(&explained["summary"]["fee"]), "the fee is a bound");
            left -= value + amount(&mined["fee"]);
            // The same once more: the same signature, for which there is no room on the network.
            // (But for nonce 0, which ganache 7.9.2 mines again and again: a fault of its own.)
            assert_eq!(scene.sign(&key, &unsigned).await.unwrap(), signed);
            if nonce > 0 {
                assert!(node.broadcast(&signed.transaction)["error"].as_str().unwrap().contains("nonce"));
            }
            nonce += 1;
        }
    }
    assert_eq!(node.balance(&key.address), left);
    assert_eq!(node.balance(&wallet), 2 * PAID);
    assert_eq!((node.tokens(&key.address, &token), node.tokens(&wallet, &token)), (200, 800));

    // Everything that is left, for the exact fee of a legacy transfer.
    let fee = 21_000 * 20 * GWEI;
    let unsigned = node.unsigned(&described(0, nonce, 21_000, &wallet, left - fee));
    let signed = scene.sign(&key, &unsigned).await.unwrap();
    assert_eq!(node.broadcast(&signed.transaction)["status"], 1);
    assert_eq!((node.balance(&key.address), node.balance(&wallet)), (0, 2 * PAID + left - fee));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ethers_writes_is_signed_only_within_the_policy() {
    let mut node = EvmNode::start(NETWORK);
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    scene.put_policy(2, |policy| on_network(policy, authority::ERC20)).await;
    let wallet = collection(Chain::Evm);
    let thief = "0x00000000000000000000000000000000deadbeef";
    let good = described(2, 0, 21_000, &wallet, ETHER);
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        changed
    };
    let mut other_token = described(2, 0, 100_000, thief, 0);
    other_token["transfer"] = json!([wallet, "1"]);
    let mut to_thief = described(2, 0, 100_000, authority::ERC20, 0);
    to_thief["transfer"] = json!([thief, "1"]);
    for (described, reason) in [
        (with("chainId", json!(1)), "policy.evm.network"),
        (with("to", json!(thief)), "policy.evm.destination"),
        (with("gasLimit", json!(6_000_000)), "policy.evm.fee"),
        (other_token, "policy.evm.asset"),
        (to_thief, "policy.evm.destination"),
    ] {
        let unsigned = node.unsigned(&described);
        let explained = scene.explain(&key, &unsigned).await;
        assert_eq!((&explained["allowed"], &explained["denial"]["tag"]), (&json!(false), &json!(reason)));
        let refused = scene.sign(&key, &unsigned).await.unwrap_err();
        assert_eq!((refused.code, refused.tag()), (RefusalCode::Denied, reason), "{refused}");
    }
    // Types that are not for sweeps: an access list (1), a delegation (4).
    let mut list = with("type", json!(1));
    for field in ["maxFeePerGas", "maxPriorityFeePerGas"] {
        list.as_object_mut().unwrap().remove(field);
    }
    list["gasPrice"] = json!("1");
    assert_eq!(tag(scene.sign(&key, &node.unsigned(&list)).await), "transaction.evm.type_1");
    let delegation = with("type", json!(4));
    assert_eq!(tag(scene.sign(&key, &node.unsigned(&delegation)).await), "transaction.evm.type_4");
    assert!(scene.sign(&key, &node.unsigned(&good)).await.is_ok());
}

#[test]
fn the_tests_own_writer_writes_what_ethers_writes() {
    let mut node = EvmNode::start(NETWORK);
    let wallet = collection(Chain::Evm);
    let native = Evm { value: 300, nonce: 200, ..Evm::native(&wallet) };
    let token = Evm::token(authority::ERC20, &wallet, 1 << 70);
    for ours in [native, token] {
        let to = format!("0x{}", data_encoding::HEXLOWER.encode(&ours.to));
        let mut described = json!({
            "type": 0, "chainId": 1, "nonce": ours.nonce, "gasLimit": ours.gas, "to": to,
            "value": ours.value.to_string(), "gasPrice": ours.max_fee.to_string(),
        });
        if !ours.data.is_empty() {
            described["transfer"] = json!([wallet, (1u128 << 70).to_string()]);
        }
        assert_eq!(node.unsigned(&described), ours.legacy());
        described.as_object_mut().unwrap().remove("gasPrice");
        described["type"] = json!(2);
        described["maxFeePerGas"] = json!(ours.max_fee.to_string());
        described["maxPriorityFeePerGas"] = json!("1");
        assert_eq!(node.unsigned(&described), ours.typed());
    }
}
