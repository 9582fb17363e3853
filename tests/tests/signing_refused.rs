//! Bad faith through the whole enclave: every kind of transaction that is no sweep, by name; keys and
//! records of others; digests; secondary wallets with the wrong role. Each is refused with its tag, on the
//! log, and nothing is signed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use bitcoin::{Psbt, TxOut, psbt::PsbtSighashType};
use chains::{Chain, Curve};
use cofferdam_tests::{
    authority::{BACKEND, Client, collection},
    scene::{DEPLOYMENT, DepositKey, Scene, api_key, request, tag},
    transactions::{Coin, Evm, psbt, script, sweep, sweep_to},
    wire::{new_key, signature_body},
};
use data_encoding::{BASE64, HEXLOWER};
use protocol::{KeyId, NewKey, Purpose, Record};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wire::{Answer, Operation, Refusal, RefusalCode};

/// Foreign vectors: a name, the bytes, the tag of the refusal.
type Case = (String, Vec<u8>, String);

/// Asks for all of them at once; every one is refused with its tag, and so it is on the log. Explaining
/// says the same.
async fn refused_by_name(scene: &mut Scene, key: &DepositKey, cases: &[Case]) {
    for cases in cases.chunks(200) {
        let items: Vec<_> = cases.iter().map(|(_, bytes, _)| (key, bytes.clone())).collect();
        let before = scene.wire.log.len();
        let results = scene.sign_batch(&items).await;
        assert_eq!((results.len(), scene.wire.log.len()), (cases.len(), before + cases.len()));
        let entries = scene.entries().split_off(before);
        for (((name, _, expected), result), entry) in cases.iter().zip(results).zip(entries) {
            let refused = result.expect_err(name);
            assert_eq!(
                (refused.code, refused.tag()),
                (RefusalCode::TransactionRefused, expected.as_str()),
                "{name}"
            );
            assert_eq!(entry.event.outcome.tag().as_str(), expected, "{name}");
            assert_eq!((entry.event.keys.as_slice(), entry.event.result), (&[key.id][..], None), "{name}");
        }
    }
    let (_, bytes, expected) = &cases[0];
    let explained = scene.explain(key, bytes).await;
    assert_eq!(explained["denial"]["tag"], json!(expected));
    assert_eq!((&explained["allowed"], &explained["signing"]), (&json!(false), &Value::Null));
    scene.serves(key, 50_000).await;
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_on_evm_that_eth_account_writes_and_is_no_sweep_is_refused_by_name() {
    let cases = include_str!("../vectors/evm/refused.jsonl").lines().map(|line| {
        let case: Value = serde_json::from_str(line).unwrap();
        let bytes = HEXLOWER.decode(text(&case["bytes"]).as_bytes()).unwrap();
        (text(&case["name"]), bytes, text(&case["tag"]))
    });
    let cases: Vec<Case> = cases.collect();
    assert_eq!(cases.len(), 183);
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Evm).await;
    refused_by_name(&mut scene, &key, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_instruction_on_solana_that_is_no_sweep_is_refused_by_name() {
    let all: Vec<Value> = serde_json::from_str(include_str!("../vectors/solana/refused.json")).unwrap();
    let seed = |case: &Value| text(&case["seeds"][0]);
    // What takes two keys no request can ask for.
    let single: Vec<&Value> =
        all.iter().filter(|case| case["seeds"].as_array().unwrap().len() == 1).collect();
    assert_eq!((all.len(), single.len()), (191, 186));
    let mut seeds: Vec<String> = single.iter().map(|case| seed(case)).collect();
    seeds.sort();
    seeds.dedup();
    let secret = |seed: &String| HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
    let mut scene = Scene::with_secrets(seeds.iter().map(secret).collect()).await;
    for (number, of) in seeds.iter().enumerate() {
        let key = scene.key(&format!("user-{number}"), Chain::Solana).await;
        let cases = single.iter().filter(|case| seed(case) == *of).map(|case| {
            let bytes = BASE64.decode(text(&case["unsigned"]).as_bytes()).unwrap();
            (text(&case["name"]), bytes, text(&case["tag"]))
        });
        refused_by_name(&mut scene, &key, &cases.collect::<Vec<_>>()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_contract_on_tron_that_tronweb_makes_and_is_no_sweep_is_refused_by_name() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/tron/tronweb.json")).unwrap();
    let cases = vectors["refused"].as_array().unwrap().iter().map(|case| {
        let tag = match case["name"].as_str().unwrap() {
            "approve" | "transferFrom" | "prefixedRecipient" => "call",
            "withCallValue" => "call_value",
            "withTokenValue" => "call_token",
            "tokenAmountFrom2To128" => "amount",
            "trxByPermission" | "tokenByPermission" => "permission",
            "memo" => "memo",
            _ => "type",
        };
        let raw = HEXLOWER.decode(text(&case["raw"]).as_bytes()).unwrap();
        (text(&case["name"]), raw, format!("transaction.tron.{tag}"))
    });
    let secret = Sha256::digest("cofferdam tronweb refused").into();
    let mut scene = Scene::with_secrets(vec![secret]).await;
    let key = scene.key("alice", Chain::Tron).await;
    assert_eq!(json!(key.address), vectors["refused"][0]["owner"]);
    refused_by_name(&mut scene, &key, &cases.collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_psbt_that_is_no_sweep_is_refused_by_name() {
    let mut scene = Scene::new().await;
    let key = scene.key("alice", Chain::Bitcoin).await;
    let other = scene.key("bob", Chain::Bitcoin).await;
    let wallet = collection(Chain::Bitcoin);
    let coins = [Coin::of(&key, 50_000), Coin::taproot(&key, 60_000)];
    let changed = |change: &dyn Fn(&mut Psbt)| {
        let mut psbt = Psbt::deserialize(&psbt(&coins, &wallet, 1000)).unwrap();
        change(&mut psbt);
        psbt.serialize()
    };
    let sighash = |input: usize, kind: u32| {
        changed(&|psbt| psbt.inputs[input].sighash_type = Some(PsbtSighashType::from_u32(kind)))
    };
    let foreign = psbt(&[Coin::of(&key, 50_000), Coin::of(&other, 60_000)], &wallet, 1000);
    let wrapped = Coin { script: script(&key.address).to_p2sh(), amount: 60_000 };
    let output = changed(&|psbt| {
        let own = TxOut { script_pubkey: coins[0].script.clone(), ..psbt.unsigned_tx.output[0].clone() };
        psbt.unsigned_tx.output[0] = own;
    });
    let cases: Vec<Case> = [
        ("an input of another user", foreign, "owner"),
        ("P2SH around the own script", psbt(&[wrapped], &wallet, 1000), "owner"),
        ("NONE", sighash(0, 2), "sighash"),
        ("SINGLE", sighash(1, 3), "sighash"),
        ("ALL and ANYONECANPAY", sighash(0, 0x81), "sighash"),
        ("SINGLE and ANYONECANPAY on P2TR", sighash(1, 0x83), "sighash"),
        ("no previous transaction", changed(&|psbt| psbt.inputs[0].non_witness_utxo = None), "utxo"),
        (
            "another previous transaction",
            changed(&|psbt| {
                psbt.inputs[0].non_witness_utxo = psbt.inputs[1].non_witness_utxo.clone();
            }),
            "utxo",
        ),
        (
            "another amount",
            changed(&|psbt| {
                psbt.inputs[0].witness_utxo.as_mut().unwrap().value = bitcoin::Amount::from_sat(49_999);
            }),
            "utxo",
        ),
        (
            "a redeem script",
            changed(&|psbt| psbt.inputs[0].redeem_script = Some(coins[0].script.clone())),
            "script",
        ),
        (
            "a final witness",
            changed(&|psbt| {
                psbt.inputs[0].final_script_witness = Some(bitcoin::Witness::from_slice(&[vec![1]]));
            }),
            "signed",
        ),
        ("bytes after it", [changed(&|_| {}), vec![0]].concat(), "encoding"),
    ]
    .into_iter()
    .map(|(name, bytes, tag)| (name.to_owned(), bytes, format!("transaction.bitcoin.{tag}")))
    .collect();
    refused_by_name(&mut scene, &key, &cases).await;
    assert_eq!(tag(scene.sign(&key, &output).await), "policy.void", "change to itself");
    scene.sign(&key, &changed(&|_| {})).await.unwrap();

    // The PSBTs of BIP-174, 370 and 371, valid or not, are nobody's here.
    let bips: Value = serde_json::from_str(include_str!("../vectors/bitcoin/psbt-bips.json")).unwrap();
    let mut found = Vec::new();
    collect(&bips, &mut found);
    assert!(found.len() > 50, "{}", found.len());
    let items: Vec<_> = found.into_iter().map(|bytes| (&key, bytes)).collect();
    for result in scene.sign_batch(&items).await {
        let refused = result.unwrap_err();
        assert!(refused.tag().starts_with("transaction.bitcoin."), "{refused}");
    }
}

/// Every text in base64 that begins like a PSBT.
fn collect(value: &Value, found: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            found.extend(BASE64.decode(text.as_bytes()).ok().filter(|bytes| bytes.starts_with(b"psbt")));
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_is_a_digest_or_a_message_is_signed_on_any_chain() {
    let mut scene = Scene::new().await;
    let keys = Chain::ALL.map(|chain| new_key("alice", chain, 0));
    for key in scene.keys(&keys).await {
        // What the key would sign for a good transaction, and what wallets sign for logins.
        let explained = scene.explain(&key, &sweep(&key, 5_000)).await;
        let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let told = [
            "allowed",
            "checks",
            "denial",
            "near_limit",
            "policy",
            "public_keys",
            "rules",
            "signing",
            "spends",
            "summary",
            "void",
        ];
        assert_eq!(fields(&explained), told, "no signature among them");
        assert_eq!(fields(&explained["signing"][0]), ["key_id", "message", "scheme"]);
        let message = HEXLOWER.decode(text(&explained["signing"][0]["message"]).as_bytes()).unwrap();
        let login = b"\x19Ethereum Signed Message:\n5hello".to_vec();
        for bytes in [message, Sha256::digest("anything").to_vec(), vec![0; 32], login, Vec::new()] {
            // A Solana message is all of a transaction but its signatures: no digest.
            let refused = scene.sign(&key, &bytes).await.unwrap_err();
            assert_eq!(refused.code, RefusalCode::TransactionRefused);
            assert!(refused.tag().starts_with("transaction."), "{refused}");
        }
        scene.serves(&key, 5_000).await;
    }
}

async fn sign_as(
    scene: &mut Scene,
    client: &Client,
    chain: Chain,
    named: &[&DepositKey],
    records: &[&[u8]],
    transaction: &[u8],
) -> Result<(), Refusal> {
    let named: Vec<_> = named.iter().map(|key| key.record.clone()).collect();
    let body = signature_body(chain, &named, transaction).to_string();
    let request = request(client, "POST", "/v1/signatures", &body);
    let records = records.iter().map(|record| ByteBuf::from(record.to_vec())).collect();
    match scene.wire.ask(Operation::Sign { request, records }).await? {
        Answer::Signatures(mut signed) => signed.remove(0).map(drop),
        other => panic!("{other:?}"),
    }
}

/// The record of a key with another header around the same ciphertext; its key id is right.
fn forged(record: &[u8], change: impl FnOnce(&mut protocol::RecordHeader)) -> Vec<u8> {
    let parsed = Record::parse(record).unwrap();
    let mut header = parsed.header().clone();
    change(&mut header);
    let path = header.path();
    header.key_id = KeyId::derive(&header.deployment, &path);
    let sealed = Record::seal::<protocol::RecordError>(header, parsed.certificate().into(), |_| {
        Ok(parsed.ciphertext().to_vec())
    });
    sealed.unwrap().encode().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_signs_only_with_its_own_record_and_on_its_own_chain() {
    let mut scene = Scene::new().await;
    let alice = scene.key("alice", Chain::Evm).await;
    let bob = scene.key("bob", Chain::Evm).await;
    let tron = scene.key("alice", Chain::Tron).await;
    let mut flipped = alice.record.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let evm = sweep(&alice, 5);
    for (records, expected) in [
        (vec![], "record.identity"),
        (vec![bob.record.as_slice()], "record.identity"),
        (vec![&tron.record], "record.identity"),
        (vec![&alice.record[1..]], "record.identity"),
        (vec![&[]], "record.identity"),
        (vec![&flipped], "record.tampered"),
        // The first record of a key counts.
        (vec![&flipped, &alice.record], "record.tampered"),
    ] {
        let refused = sign_as(&mut scene, &BACKEND, Chain::Evm, &[&alice], &records, &evm).await.unwrap_err();
        assert_eq!(refused.tag(), expected);
        assert_eq!(scene.last_entry(), ("transaction.sign".into(), Some("backend".into()), expected.into()));
        assert_eq!(scene.entries().pop().unwrap().event.keys.as_slice(), [alice.id]);
    }
    // The same curve, another chain: neither by the request's word nor by a changed header.
    assert_eq!(Chain::Tron.curve(), Curve::Secp256k1);
    let to_tron = sweep(&tron, 5);
    let refused = sign_as(&mut scene, &BACKEND, Chain::Tron, &[&alice], &[&alice.record], &to_tron).await;
    assert_eq!(tag(refused), "key.chain");
    let refused = sign_as(&mut scene, &BACKEND, Chain::Evm, &[&tron], &[&tron.record], &evm).await;
    assert_eq!(tag(refused), "key.chain");
    for record in [
        forged(&alice.record, |header| header.chain = Chain::Tron),
        forged(&alice.record, |header| header.user = "mallory".parse().unwrap()),
        forged(&alice.record, |header| header.index = protocol::Index::try_from(7).unwrap()),
    ] {
        let header = Record::parse(&record).unwrap().header().clone();
        let named =
            DepositKey { id: header.key_id, chain: header.chain, record: record.clone(), ..alice.clone() };
        let transaction = if header.chain == Chain::Tron { to_tron.clone() } else { evm.clone() };
        let refused = sign_as(&mut scene, &BACKEND, header.chain, &[&named], &[&record], &transaction).await;
        assert_eq!(tag(refused), "record.tampered");
    }
    let purpose = forged(&alice.record, |header| {
        header.purpose = Purpose::Secondary;
        header.user = "desk".parse().unwrap();
    });
    let named = DepositKey { record: purpose.clone(), ..alice.clone() };
    // KMS does not open the data key of one purpose for another.
    let refused = sign_as(&mut scene, &BACKEND, Chain::Evm, &[&named], &[&purpose], &evm).await;
    assert!(["record.tampered", "kms.denied"].contains(&tag(refused).as_str()));
    // Two keys on a chain where one signs.
    let both = [alice.record.as_slice(), &bob.record];
    let refused = sign_as(&mut scene, &BACKEND, Chain::Evm, &[&alice, &bob], &both, &evm).await.unwrap_err();
    assert_eq!((refused.code, refused.tag()), (RefusalCode::RequestMalformed, "request.body"));
    scene.serves(&alice, 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_256_signs_what_is_right_and_refuses_the_rest_each_with_its_reason() {
    let mut scene = Scene::new().await;
    let keys: Vec<NewKey> =
        (0..64).map(|n| new_key(&format!("user-{n}"), Chain::ALL[n % 4], n as u64)).collect();
    let keys = scene.keys(&keys).await;
    let expected = |number: usize, key: &DepositKey| match number % 5 {
        0 => Some(format!("policy.{}.destination", key.chain)),
        1 => Some("transaction".into()),
        _ => None,
    };
    let item = |number: usize| {
        let key = &keys[number % 64];
        let bytes = match number % 5 {
            // Another user of the same chain.
            0 => sweep_to(key, 5_000 + number as u64, &keys[(number + 4) % 64].address),
            1 => vec![number as u8; 40],
            _ => sweep(key, 5_000 + number as u64),
        };
        (key, bytes)
    };
    let items: Vec<_> = (0..256).map(item).collect();
    let mut explained = Vec::new();
    for (key, bytes) in &items[..20] {
        explained.push(scene.explain(key, bytes).await);
    }
    let before = scene.wire.log.len();
    let results = scene.sign_batch(&items).await;
    let entries = scene.entries().split_off(before);
    assert_eq!((results.len(), entries.len()), (256, 256));
    let asked = entries[0].event.request;
    for (number, (result, entry)) in results.iter().zip(&entries).enumerate() {
        let key = items[number].0;
        assert_eq!((entry.event.request, entry.event.keys.as_slice()), (asked, &[key.id][..]));
        match expected(number, key) {
            None => assert!(result.is_ok(), "{number}: {result:?}"),
            Some(expected) => {
                let refused = result.as_ref().unwrap_err();
                assert!(refused.tag().starts_with(&expected), "{number}: {refused}");
                assert_eq!(refused.tag(), entry.event.outcome.tag().as_str());
            }
        }
        if let Some(explained) = explained.get(number) {
            assert_eq!(explained["allowed"], result.is_ok(), "explaining decides as signing does");
            let tag = result.as_ref().err().map(Refusal::tag);
            assert_eq!(explained["denial"]["tag"].as_str(), tag);
        }
    }
    // One more is none at all.
    let signatures: Vec<Value> = (0..257)
        .map(|n| signature_body(keys[0].chain, std::slice::from_ref(&keys[0].record), &sweep(&keys[0], n)))
        .collect();
    let body = json!({ "signatures": signatures }).to_string();
    let request = request(&BACKEND, "POST", "/v1/signatures/batch", &body);
    let records = vec![ByteBuf::from(keys[0].record.clone())];
    assert_eq!(tag(scene.wire.ask(Operation::Sign { request, records }).await), "request.body");
}

#[tokio::test(flavor = "multi_thread")]
async fn api_wallets_have_a_label_rules_of_their_own_and_a_role_of_their_own() {
    let mut scene = Scene::new().await;
    let key = scene.key("desk", Chain::Evm).await;
    let unlabelled = NewKey { label: None, ..api_key(Chain::Evm, 0) };
    assert_eq!(tag(scene.wire.create(DEPLOYMENT, &[unlabelled]).await), "request.body");
    let wallet = scene.api_key(Chain::Evm).await;
    let market = Evm::native(&key.address);
    scene
        .put_policy(2, |policy| {
            policy["rules"][1]["evm"]["networks"][0]["destinations"] = json!([key.address]);
            let clients = policy["clients"].as_array_mut().unwrap();
            clients.extend([SWEEPER, TRADER].map(|client| client.in_policy()));
        })
        .await;
    let to_market = |nonce: u64| Evm { nonce, ..market.clone() }.typed();
    let home = |nonce: u64| Evm { nonce, ..Evm::native(&collection(Chain::Evm)) }.typed();
    for (client, of, transaction, expected) in [
        (TRADER, &wallet, to_market(0), None),
        (SWEEPER, &key, home(0), None),
        (SWEEPER, &wallet, to_market(1), Some("auth.role")),
        (TRADER, &key, home(1), Some("auth.role")),
        (TRADER, &wallet, home(1), Some("policy.evm.destination")),
        (SWEEPER, &key, to_market(1), Some("policy.evm.destination")),
    ] {
        let signed = sign_as(&mut scene, &client, Chain::Evm, &[of], &[&of.record], &transaction).await;
        assert_eq!(signed.err().map(|refusal| refusal.tag().to_owned()).as_deref(), expected);
    }
    // An owner for whom there are no rules has a wallet that signs nothing.
    let lone = NewKey { user: "nobody".parse().unwrap(), ..api_key(Chain::Evm, 0) };
    let lone = scene.keys(&[lone]).await.remove(0);
    assert_eq!(tag(scene.sign(&lone, &to_market(2)).await), "policy.rules");
}

const SWEEPER: Client = Client { id: "sweeper", seed: 31, roles: &["sign.sweep"] };
const TRADER: Client = Client { id: "trader", seed: 32, roles: &["sign.secondary"] };
