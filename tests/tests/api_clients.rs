//! Clients that were written from docs/api.md alone, in Python and in TypeScript, against the whole system:
//! they make addresses on four chains, sweep each, list what they have, and do with a problem what its
//! `retryable` says. What they get is verified here, without them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    time::Duration,
};

use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};
use chains::Chain;
use cofferdam_tests::{
    authority::{BACKEND, collection},
    stack::{Node, Stack},
    tools::{node_project, python_venv, script},
    transactions::script as script_of,
};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, VerifyingKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sha3::Keccak256;

const FOREIGN: &str = "0x1111111111111111111111111111111111111111";

/// Starts a client with its task.
fn start(mut command: Command, node: &Node) -> Child {
    let destinations: serde_json::Map<String, Value> =
        Chain::ALL.into_iter().map(|chain| (chain.to_string(), collection(chain).into())).collect();
    let task = json!({
        "url": node.url, "deployment": node.deployment, "client": BACKEND.id,
        "seed": HEXLOWER.encode(&[BACKEND.seed; 32]), "destinations": destinations, "foreign": FOREIGN,
    });
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(task.to_string().as_bytes()).unwrap();
    child
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a string was expected, found {value}"))
}

/// The signed transaction is the one that was asked for, under its network's id, by the key of the address.
fn verify(chain: &str, swept: &Value, address: &Value) {
    let (unsigned, signed) = (text(&swept["unsigned"]), &swept["signed"]);
    let (transaction, id) = (text(&signed["transaction"]), text(&signed["id"]));
    assert_eq!(signed["public_keys"], json!([address["public_key"]]), "{chain}");
    let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
    match chain {
        "evm" => {
            let bytes = hex(transaction.trim_start_matches("0x"));
            assert_eq!(id, format!("0x{}", HEXLOWER.encode(&Keccak256::digest(&bytes))));
            // Chain id to access list, without the head of the list, then parity, r and s.
            let asked = hex(unsigned.trim_start_matches("0x"));
            assert!(bytes.len() > asked.len() + 60 && bytes[3..].starts_with(&asked[2..]), "{transaction}");
        }
        "bitcoin" => {
            let bytes = hex(transaction);
            let transaction: bitcoin::Transaction = bitcoin::consensus::deserialize(&bytes).unwrap();
            assert_eq!(id, transaction.compute_txid().to_string());
            let paid = &transaction.output[0];
            assert_eq!(
                (paid.value.to_sat(), &paid.script_pubkey),
                (49_000, &script_of(&collection(Chain::Bitcoin)))
            );
            let script = script_of(text(&address["taproot_address"]));
            let spent = Utxo {
                script_pubkey: script.as_bytes().as_ptr(),
                script_pubkey_len: u32::try_from(script.len()).unwrap(),
                value: 50_000,
            };
            let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
            verify_with_flags(script.as_bytes(), 50_000, &bytes, Some(&[spent]), 0, flags).unwrap();
        }
        "solana" => {
            let (bytes, asked) = (BASE64.decode(transaction.as_bytes()), BASE64.decode(unsigned.as_bytes()));
            let (bytes, asked) = (bytes.unwrap(), asked.unwrap());
            assert!(bytes[0] == 1 && bytes[65..] == asked[65..], "{transaction}");
            let key =
                VerifyingKey::from_bytes(&hex(text(&address["public_key"])).try_into().unwrap()).unwrap();
            let signature = Signature::from_slice(&bytes[1..65]).unwrap();
            key.verify_strict(&bytes[65..], &signature).unwrap();
            assert!((86..=88).contains(&id.len()), "{id}");
        }
        _ => {
            assert_eq!(id, HEXLOWER.encode(&Sha256::digest(hex(unsigned))));
            assert!(transaction.contains(unsigned), "{transaction}");
        }
    }
}

/// Runs a client while nothing is governed yet, governs it, and looks at what came of it.
async fn a_client_works(command: Command, user: &str) {
    let stack = Stack::on_files();
    let node = stack.node("node").serving().await;
    let client = start(command, &node);
    // Until then everything is refused for want of a policy, which passes.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let node = node.ready().await;
    let output = tokio::task::spawn_blocking(|| client.wait_with_output().unwrap()).await.unwrap();
    assert!(output.status.success());
    let came: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(came["repeated"].as_u64().unwrap() >= 1, "what passes is asked again: {came}");
    let made = came["made"].as_array().unwrap();
    assert_eq!(made.len(), 4);
    let log = node.get_bytes("/v1/log").await;
    let log = String::from_utf8(log).unwrap();
    for address in made {
        stack.verify_address(&node, address).await;
        let chain = text(&address["chain"]);
        assert_eq!((&address["user"], &address["created"]), (&json!(user), &json!(true)));
        let swept = &came["swept"][chain];
        verify(chain, swept, address);
        // By the header of its answer the request is found on the log.
        let of_request = format!("\"request\":\"{}\"", text(&swept["request"]));
        let mut entries = log.lines().filter(|line| line.contains(&of_request));
        let entry = entries.next().unwrap();
        assert!(entry.contains("\"operation\":\"transaction.sign\"") && entries.next().is_none(), "{entry}");
        assert!(entry.contains(text(&address["key_id"])), "{entry}");
    }
    let mut listed: Vec<&str> = came["listed"].as_array().unwrap().iter().map(text).collect();
    let mut ids: Vec<&str> = made.iter().map(|address| text(&address["key_id"])).collect();
    listed.sort_unstable();
    ids.sort_unstable();
    assert_eq!(listed, ids, "over two pages");
    assert_eq!((&came["same"], &came["repeated_in_vain"]), (&json!(true), &json!(0)));
    let problems = &came["problems"];
    for (name, code, field, item) in [
        ("foreign", "policy.evm.destination", json!(null), json!(null)),
        ("field", "request.invalid", json!("addresses[1].user"), json!(1)),
        ("unknown", "key.not_found", json!("signatures[1].keys[0]"), json!(1)),
    ] {
        let member = |member: &str| problems[name].get(member).cloned().unwrap_or_default();
        assert_eq!((member("code"), member("retryable")), (json!(code), json!(false)), "{name}");
        assert_eq!((member("field"), member("item")), (field, item), "{name}");
    }
    let foreign = &problems["foreign"];
    assert!(text(&foreign["found"]).to_ascii_lowercase().contains(FOREIGN), "{foreign}");
    assert!(text(&foreign["expected"]).contains(&collection(Chain::Evm)), "{foreign}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_python_works_on_four_chains() {
    let venv = python_venv(&["api-client", "cryptography==50.0.2"]);
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(script("../clients/python/sweep.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    a_client_works(command, "carol").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_typescript_works_on_four_chains() {
    let mut command = Command::new("node");
    command.arg(node_project("typescript").join("sweep.js"));
    a_client_works(command, "dave").await;
}
