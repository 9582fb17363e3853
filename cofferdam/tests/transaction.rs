//! `cofferdam transaction inspect`: transactions of other implementations are shown as they were
//! meant, and what the signer would not sign is refused by name.

mod common;

use std::fs;

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use serde_json::{Value, json};

fn inspect(chain: &str, transaction: &str, more: &[&str]) -> Said {
    cofferdam(&[&["--json", "transaction", "inspect", "--chain", chain, transaction], more].concat())
}

/// What is shown of a transaction that is not refused.
fn shown(chain: &str, transaction: &str, more: &[&str]) -> Value {
    let said = inspect(chain, transaction, more);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    said.json()
}

fn json_vectors(name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(vector(name)).unwrap()).unwrap()
}

fn json_lines(name: &str) -> Vec<Value> {
    fs::read_to_string(vector(name))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text<'v>(vector: &'v Value, field: &str) -> &'v str {
    vector[field].as_str().unwrap()
}

/// The one digest that is signed.
fn digest(view: &Value) -> &str {
    assert_eq!(view["signing"].as_array().unwrap().len(), 1);
    text(&view["signing"][0], "message")
}

#[test]
fn evm_transactions_of_eth_account_are_shown_as_they_were_made() {
    for vector in json_lines("evm/eth-account.jsonl").iter().step_by(7) {
        let view = shown("evm", text(vector, "unsigned"), &[]);
        let summary = &view["summary"];
        for field in ["kind", "network", "fee"] {
            assert_eq!(summary[field], vector[field], "{vector}");
        }
        let transfer = json!({
            "asset": vector["asset"], "amount": vector["amount"], "destination": vector["destination"],
        });
        assert_eq!(summary["transfers"], json!([transfer]));
        assert_eq!(digest(&view), text(vector, "digest"));
        assert_eq!((&view["keys_from"], &view["keys"]), (&"nobody".into(), &json!([])));
    }
}

#[test]
fn the_sender_of_an_evm_transaction_is_known_by_its_key_alone() {
    // The public key of the private key 1.
    let generator = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
    let vector = &json_lines("evm/eth-account.jsonl")[0];
    let view = shown("evm", text(vector, "unsigned"), &["--public-key", generator]);
    assert_eq!(view["keys"][0]["address"], "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
    assert_eq!((&view["keys_from"], digest(&view)), (&"arguments".into(), text(vector, "digest")));
}

#[test]
fn what_the_signer_refuses_is_refused_by_its_tag() {
    for vector in json_lines("evm/refused.jsonl").iter().step_by(5) {
        let said = inspect("evm", text(vector, "bytes"), &[]);
        assert_eq!(said.code, NOT_VERIFIED, "{vector}: {}", said.out);
        let error = &said.json()["error"];
        assert_eq!((&error["kind"], &error["tag"]), (&"transaction".into(), &vector["tag"]), "{vector}");
        assert!(vector["found"].is_null() || error["found"] == vector["found"], "{vector}");
        assert!(!text(error, "allowed").is_empty());
    }
    let vector = &json_lines("evm/refused.jsonl")[0];
    let said = cofferdam(&["transaction", "inspect", "--chain", "evm", text(vector, "bytes")]);
    assert_eq!(said.code, NOT_VERIFIED);
    assert!(said.err.starts_with("✗ refused: transaction.evm.call: "), "{}", said.err);
    assert!(said.out.is_empty());
}

#[test]
fn tron_transactions_are_shown_by_their_account_when_the_key_is_not_known() {
    let (tronpy, tronweb) = (json_vectors("tron/tronpy.json"), json_vectors("tron/tronweb.json"));
    let sweeps = tronpy.as_array().unwrap().iter().chain(tronweb["sweeps"].as_array().unwrap());
    for vector in sweeps.step_by(3) {
        let view = shown("tron", text(vector, "raw"), &[]);
        assert_eq!(digest(&view), text(vector, "txid"), "the digest of the transaction itself");
        assert_eq!(
            (&view["keys_from"], &view["keys"]),
            (&"account".into(), &json!([{"address": vector["owner"]}]))
        );
        let transfer = &view["summary"]["transfers"][0];
        assert_eq!(
            (&transfer["destination"], &transfer["amount"]),
            (&vector["destination"], &vector["amount"])
        );
        assert_eq!(view["summary"]["kind"], vector["kind"]);
        // The same with the key, which the signer has.
        let with_key = shown("tron", text(vector, "raw"), &["--public-key", &public_key(vector)]);
        for field in ["summary", "signing", "details"] {
            assert_eq!(view[field], with_key[field]);
        }
        let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let said = inspect("tron", text(vector, "raw"), &["--public-key", other]);
        assert_eq!(
            (said.code, &said.json()["error"]["tag"]),
            (NOT_VERIFIED, &"transaction.tron.owner".into())
        );
    }
}

fn public_key(vector: &Value) -> String {
    use k256::elliptic_curve::sec1::ToSec1Point;
    let secret = data_encoding::HEXLOWER.decode(text(vector, "secret").as_bytes()).unwrap();
    let key = k256::SecretKey::from_slice(&secret).unwrap().public_key();
    data_encoding::HEXLOWER.encode(key.to_sec1_point(true).as_bytes())
}

#[test]
fn psbts_of_embit_and_bitcoinjs_are_shown_with_the_keys_that_are_given() {
    for name in ["bitcoin/psbt-embit.json", "bitcoin/psbt-bitcoinjs.json"] {
        for vector in json_vectors(name).as_array().unwrap() {
            let keys = vector["keys"].as_array().unwrap().iter();
            let options: Vec<&str> = keys.flat_map(|key| ["--public-key", key.as_str().unwrap()]).collect();
            if let Some(tag) = vector["refused"].as_str() {
                let said = inspect("bitcoin", text(vector, "psbt"), &options);
                assert_eq!((said.code, &said.json()["error"]["tag"]), (NOT_VERIFIED, &tag.into()));
                continue;
            }
            let view = shown("bitcoin", text(vector, "psbt"), &options);
            let fee = vector["fee"].as_u64().unwrap().to_string();
            assert_eq!(
                (&view["summary"]["fee"], &view["summary"]["kind"]),
                (&fee.into(), &"bitcoin.sweep".into())
            );
            let paid = view["summary"]["transfers"].as_array().unwrap().iter();
            let paid: Vec<Value> = paid.map(|to| json!([to["destination"], to["amount"]])).collect();
            let outputs = vector["outputs"].as_array().unwrap().iter();
            let outputs: Vec<Value> = outputs.map(|to| json!([to[0], to[1].to_string()])).collect();
            assert_eq!(paid, outputs);
            let inputs = vector["inputs"].as_array().unwrap();
            assert_eq!(view["signing"].as_array().unwrap().len(), inputs.len());
            let claimed = !inputs.iter().any(|input| input[1] == "p2wpkh");
            for (shown, input) in view["inputs"].as_array().unwrap().iter().zip(inputs) {
                let of = |field: &str| &shown[field];
                let key = &view["keys"][usize::try_from(input[0].as_u64().unwrap()).unwrap()];
                let own = if input[1] == "p2tr" { &key["taproot_address"] } else { &key["address"] };
                assert_eq!((of("address"), of("key")), (own, &input[0]), "under its own address");
                assert_eq!((of("amount"), of("proven")), (&input[2].to_string().into(), &(!claimed).into()));
            }
            let txid = view["details"].as_array().unwrap().iter().find(|detail| detail["name"] == "txid");
            assert_eq!(txid.unwrap()["value"], vector["txid"]);
        }
    }
}

#[test]
fn a_psbt_that_names_its_keys_is_shown_by_them_and_no_other_is() {
    let embit = json_vectors("bitcoin/psbt-embit.json");
    let named = &embit[0];
    let view = shown("bitcoin", text(named, "psbt"), &[]);
    assert_eq!(
        (&view["keys_from"], &view["keys"][0]["public_key"]),
        (&"transaction".into(), &named["keys"][0])
    );
    let key = named["keys"][0].as_str().unwrap();
    let given = shown("bitcoin", text(named, "psbt"), &["--public-key", key]);
    assert_eq!((&view["summary"], &view["signing"]), (&given["summary"], &given["signing"]));
    // Inputs of both kinds, the keys of the one by their x alone.
    let mixed = embit.as_array().unwrap().iter().find(|vector| vector["name"] == "version 2, mixed").unwrap();
    assert_eq!(shown("bitcoin", text(mixed, "psbt"), &[])["keys_from"], "transaction");
    // The same without PSBT_IN_BIP32_DERIVATION: its key, and 8 bytes of fingerprint and path.
    let (before, after) = text(named, "psbt").split_once(&format!("2206{key}08")).unwrap();
    let unnamed = format!("{before}{}", &after[16..]);
    let said = inspect("bitcoin", &unnamed, &[]);
    assert_eq!(said.code, UNUSABLE);
    assert!(text(&said.json()["error"], "message").contains("--public-key"), "{}", said.out);
}

#[test]
fn what_is_spent_is_shown_under_its_own_address_and_a_claim_as_a_claim() {
    let embit = json_vectors("bitcoin/psbt-embit.json");
    let named = |name: &str| embit.as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
    let people = |case: &Value| {
        let said = cofferdam(&["transaction", "inspect", "--chain", "bitcoin", text(case, "psbt")]);
        assert_eq!(said.code, VERIFIED, "{}", said.err);
        said.out
    };
    let taproot = people(named("version 0, all p2tr"));
    assert_eq!(taproot.matches(", as the PSBT claims").count(), 3, "{taproot}");
    assert!(taproot.contains("what is spent is a claim of the PSBT"), "{taproot}");
    // The destinations are one of each kind; what is spent and signed is P2TR alone.
    assert_eq!((taproot.matches("bc1q").count(), taproot.matches("bc1p").count()), (1, 7), "{taproot}");
    let mixed = people(named("version 0, mixed"));
    assert!(!mixed.contains("claim"), "{mixed}");
    assert_eq!((mixed.matches("bc1q").count(), mixed.matches("bc1p").count()), (7, 5), "{mixed}");
}

#[test]
fn a_psbt_of_version_2_is_converted_and_inspected_as_that_of_version_0() {
    let embit = json_vectors("bitcoin/psbt-embit.json");
    let named = |name: &str| embit.as_array().unwrap().iter().find(|case| case["name"] == name).unwrap();
    let [zero, two] = ["version 0, mixed", "version 2, mixed"].map(|name| text(named(name), "psbt"));
    let convert = |psbt: &str| {
        let said = cofferdam(&["transaction", "convert", psbt]);
        assert_eq!(said.code, VERIFIED, "{}", said.err);
        said.out
    };
    let base64 =
        |hex: &str| data_encoding::BASE64.encode(&data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
    assert_eq!(convert(two).trim(), base64(zero));
    assert_eq!(convert(&base64(two)).trim(), base64(zero));
    assert_eq!(convert(zero).trim(), base64(zero), "it stays as it is");
    assert_eq!(shown("bitcoin", two, &[]), shown("bitcoin", zero, &[]));
    // What may still be changed has no one transaction: PSBT_GLOBAL_TX_MODIFIABLE with a flag.
    let modifiable = two.replacen("70736274ff", "70736274ff01060101", 1);
    let said = inspect("bitcoin", &modifiable, &[]);
    assert_eq!(said.json()["error"]["tag"], "transaction.bitcoin.modifiable", "{}", said.out);
}

#[test]
fn a_psbt_is_split_and_inspected_with_its_previous_transactions_beside() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("previous");
    let embit = json_vectors("bitcoin/psbt-embit.json");
    let mixed = embit.as_array().unwrap().iter().find(|case| case["name"] == "version 2, mixed").unwrap();
    let said = cofferdam(&["transaction", "split", text(mixed, "psbt")]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    let (psbt, previous) = said.out.split_once('\n').unwrap();
    assert_eq!(previous.lines().count(), 5);
    fs::write(&file, previous).unwrap();
    let beside = shown("bitcoin", psbt, &["--previous", file.to_str().unwrap()]);
    assert_eq!(beside, shown("bitcoin", text(mixed, "psbt"), &[]));
    let as_json = cofferdam(&["--json", "transaction", "split", text(mixed, "psbt")]).json();
    let lines: Vec<&str> = previous.lines().collect();
    assert_eq!(as_json, json!({"transaction": psbt, "previous_transactions": lines}));
    // Both at once, one missing, on another chain, no hexadecimal, no PSBT.
    let refused = |psbt: &str, tag: &str| {
        let said = inspect("bitcoin", psbt, &["--previous", file.to_str().unwrap()]);
        assert_eq!((said.code, &said.json()["error"]["tag"]), (NOT_VERIFIED, &tag.into()));
    };
    refused(text(mixed, "psbt"), "transaction.bitcoin.previous");
    fs::write(&file, lines[1..].join("\n")).unwrap();
    refused(psbt, "transaction.bitcoin.utxo");
    assert_eq!(inspect("evm", "0x02", &["--previous", file.to_str().unwrap()]).code, UNUSABLE);
    fs::write(&file, "zz").unwrap();
    assert_eq!(inspect("bitcoin", psbt, &["--previous", file.to_str().unwrap()]).code, UNUSABLE);
    assert_eq!(cofferdam(&["transaction", "split", "AAAA"]).code, UNUSABLE);
}

#[test]
fn solana_transactions_of_solders_are_shown_by_their_signers() {
    for vector in json_vectors("solana/sweeps.json").as_array().unwrap() {
        let view = shown("solana", text(vector, "unsigned"), &[]);
        assert_eq!(view["keys_from"], "transaction");
        for field in ["kind", "network", "transfers", "fee"] {
            assert_eq!(view["summary"][field], vector["summary"][field], "{}", vector["name"]);
        }
        for signing in view["signing"].as_array().unwrap() {
            assert_eq!((&signing["message"], &signing["scheme"]), (&vector["message"], &"ed25519".into()));
        }
        let fee_payer = &view["details"][0];
        assert_eq!(fee_payer["name"], "fee_payer");
        assert!(text(fee_payer, "value").starts_with(text(vector, "fee_payer")));
    }
}

#[test]
fn files_standard_input_and_other_spellings_are_read() {
    let vector = &json_lines("evm/eth-account.jsonl")[0];
    let unsigned = text(vector, "unsigned");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("transaction");
    fs::write(&file, format!("0x{unsigned}\n")).unwrap();
    for argument in [format!("0x{}", unsigned.to_uppercase()), format!("@{}", file.display())] {
        assert_eq!(digest(&shown("evm", &argument, &[])), text(vector, "digest"));
    }
    let args = ["--json", "transaction", "inspect", "--chain", "evm", "-"];
    assert_eq!(digest(&with_input(&args, unsigned.as_bytes()).json()), text(vector, "digest"));
    let embit = json_vectors("bitcoin/psbt-embit.json");
    let psbt = data_encoding::HEXLOWER.decode(text(&embit[0], "psbt").as_bytes()).unwrap();
    fs::write(&file, &psbt).unwrap();
    let view = shown("bitcoin", &format!("@{}", file.display()), &[]);
    let base64 = data_encoding::BASE64.encode(&psbt);
    assert_eq!(view, shown("bitcoin", &base64, &[]));
    for bad in ["", "zz", "@/nowhere/at/all"] {
        let said = inspect("evm", bad, &[]);
        assert!(said.code == UNUSABLE || said.code == NOT_VERIFIED, "{bad}");
    }
    assert_eq!(inspect("evm", unsigned, &["--public-key", "00"]).code, UNUSABLE);
    assert_eq!(inspect("bitcoin", &base64, &["--network", "moon"]).code, UNUSABLE);
}

#[test]
fn people_see_coins_and_the_smallest_unit() {
    let vector = &json_lines("evm/eth-account.jsonl")[0];
    let said = cofferdam(&["transaction", "inspect", "--chain", "evm", text(vector, "unsigned")]);
    assert!(said.out.contains("1 coins (1000000000000000000 wei)"), "{}", said.out);
    assert!(said.out.contains(text(vector, "destination")) && said.out.contains(text(vector, "digest")));
    assert!(said.out.contains("the signature will"), "{}", said.out);
}
