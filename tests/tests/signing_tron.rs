//! tronpy builds sweeps for keys of the enclave, reads what comes back, and recovers who signed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chains::Chain;
use cofferdam_tests::{
    authority::{self, TRC20, collection},
    machines::Tronpy,
    scene::{DepositKey, Scene, tag},
};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

fn described(key: &DepositKey, to: &str, amount: &str, token: bool) -> Value {
    let now = authority::now() * 1000;
    let mut described = json!({
        "from": key.address, "to": to, "amount": amount, "timestamp": now, "expiration": now + 60_000,
    });
    if token {
        described["contract"] = json!(TRC20);
        described["fee_limit"] = json!("30000000");
    }
    described
}

#[tokio::test(flavor = "multi_thread")]
async fn tronpy_recovers_the_deposit_address_from_every_sweep() {
    let mut client = Tronpy::start();
    let mut scene = Scene::new().await;
    let wallet = collection(Chain::Tron);
    for user in ["alice", "bob", "carol"] {
        let key = scene.key(user, Chain::Tron).await;
        for (amount, token) in
            [("1100000", false), ("123456789", false), ("1", true), ("340282366920938463", true)]
        {
            let raw = client.build(&described(&key, &wallet, amount, token));
            let signed = scene.sign(&key, &raw).await.unwrap();
            assert_eq!(signed.kind, if token { "tron.trc20" } else { "tron.trx" });
            let read = client.read(&signed.transaction);
            let expected = json!({
                "raw": HEXLOWER.encode(&raw), "txid": signed.id, "signer": key.address, "owner": key.address,
                "type": if token { "TriggerSmartContract" } else { "TransferContract" },
                "contract": if token { json!(TRC20) } else { Value::Null },
                "to": wallet, "amount": amount, "fee_limit": if token { "30000000" } else { "0" },
            });
            assert_eq!(read, expected);
            assert_eq!(scene.sign(&key, &raw).await.unwrap(), signed, "the same signature again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_tronpy_builds_is_signed_only_within_the_policy() {
    let mut client = Tronpy::start();
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Tron).await;
    let other = scene.key("bob", Chain::Tron).await;
    let wallet = collection(Chain::Tron);
    let native = described(&key, &wallet, "5000000", false);
    let token = described(&key, &wallet, "5", true);
    let with = |described: &Value, name: &str, value: Value| {
        let mut changed = described.clone();
        changed[name] = value;
        changed
    };
    let now = authority::now() * 1000;
    for (described, reason) in [
        (with(&native, "from", json!(other.address)), "transaction.tron.owner"),
        (with(&native, "to", json!(other.address)), "policy.tron.destination"),
        (with(&native, "expiration", json!(now + 2 * 3_600_000)), "policy.tron.expiration"),
        (with(&native, "timestamp", json!(now / 1000)), "policy.tron.timestamp"),
        (with(&token, "contract", json!(wallet)), "policy.tron.asset"),
        (with(&token, "to", json!(other.address)), "policy.tron.destination"),
        (with(&token, "fee_limit", json!("200000001")), "policy.tron.fee"),
    ] {
        let raw = client.build(&described);
        assert_eq!(tag(scene.sign(&key, &raw).await), reason);
    }
    for described in [native, token] {
        scene.sign(&key, &client.build(&described)).await.unwrap();
    }
}
