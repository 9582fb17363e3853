//! `cofferdam sign`, `explain` and `keys replace` against a parent that is asked, refuses, or lies.

mod common;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use std::fs;

use chains::Chain;
use common::{ClientKey, DEPLOYMENT, NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector};
use data_encoding::BASE64;
use parent::{Answer, Parent, Request};
use protocol::{
    Index, KeyId, KeyPath, Purpose,
    dsse::{Envelope, ORDER_TYPE},
    operators::Quorum,
    order::{Order, Restriction},
};
use serde_json::{Value, json};

const KEY: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
/// A type-2 transaction, as the API takes it.
const UNSIGNED: &str =
    "0x02ea827a6980843b9aca008504a817c800825208947b2e2b327088436e2ce9b35196705073d24862fe843b9aca0080c0";

fn signed(id: &str) -> Value {
    json!({"chain": "evm", "transaction": "0x02f8", "id": id, "kind": "evm.native", "network": "evm:31337",
        "public_keys": ["02".repeat(33)]})
}

fn run(parent: &Parent, command: &[&str], more: &[&str]) -> Said {
    let client = ClientKey::new();
    cofferdam(&[command, &["--url", &parent.url], &client.options(), more].concat())
}

fn path(index: u64) -> KeyPath {
    KeyPath {
        user: "alice".parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    }
}

fn id(index: u64) -> KeyId {
    KeyId::derive(&DEPLOYMENT.parse().unwrap(), &path(index))
}

/// Alice's EVM address of an index, as the API answers it.
fn address(index: u64) -> Value {
    let text = fs::read_to_string(vector("certificates/addresses.jsonl")).unwrap();
    let mut address: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    address["user"] = "alice".into();
    address["chain"] = "evm".into();
    address["index"] = index.into();
    address["key_id"] = id(index).to_string().into();
    address
}

#[test]
fn a_signed_transaction_is_printed_alone_and_whole_in_json() {
    let parent = Parent::start(|_| Answer::json(200, &signed("0xabc")));
    let args = ["sign", "--chain", "evm", "--key-id", KEY, UNSIGNED];
    let said = run(&parent, &args, &[]);
    assert_eq!((said.code, said.out.as_str()), (VERIFIED, "0x02f8\n"), "{}", said.err);
    assert_eq!(run(&parent, &args, &["--json"]).json(), signed("0xabc"));
    let asked = json!({"chain": "evm", "keys": [KEY], "transaction": UNSIGNED});
    for request in parent.seen() {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/v1/signatures"));
        assert_eq!(request.json(), asked);
        request.signed().open().unwrap();
    }
    // In another spelling the same is asked.
    let upper = UNSIGNED.trim_start_matches("0x").to_uppercase();
    run(&parent, &["sign", "--chain", "evm", "--key-id", KEY, &upper], &[]);
    assert_eq!(parent.seen()[2].json(), asked);
    for incomplete in
        [&["sign", "--chain", "evm", UNSIGNED][..], &["sign", "--key-id", KEY, UNSIGNED], &["sign"]]
    {
        assert_eq!(run(&parent, incomplete, &[]).code, UNUSABLE);
    }
}

#[test]
fn what_is_frozen_names_the_order() {
    let order = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
    let parent = Parent::start(move |_| {
        let problem = json!({"type": "urn:cofferdam:problem:order.frozen", "title": "It is frozen", "status": 423,
            "detail": "the key is frozen", "code": "order.frozen", "order_id": order,
            "request_id": "r1"});
        Answer::json(423, &problem)
    });
    let args = ["sign", "--chain", "evm", "--key-id", KEY, UNSIGNED];
    let said = run(&parent, &args, &[]);
    assert_eq!(said.code, NOT_VERIFIED);
    assert_eq!(
        said.err,
        format!("✗ the parent refused: order.frozen (HTTP 423): the key is frozen [{order}] [request r1]\n")
    );
    let error = &run(&parent, &args, &["--json"]).json()["error"];
    assert_eq!((&error["code"], &error["order_id"]), (&"order.frozen".into(), &order.into()));
    assert_eq!(parent.seen().len(), 2, "asked once each");
}

#[test]
fn what_a_key_is_expected_to_be_goes_with_the_request() {
    let parent = Parent::start(|request| match request.target.as_str() {
        "/v1/signatures" => Answer::json(200, &signed("0xabc")),
        _ => Answer::json(200, &json!({"signatures": [signed("0xabc")]})),
    });
    let (address, key) = ("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "02".repeat(33));
    let file = tempfile::NamedTempFile::new().unwrap();
    for (expected, member) in [
        (address, json!({"key_id": KEY, "address": address})),
        (&key, json!({"key_id": KEY, "public_key": key})),
    ] {
        let expect = format!("{KEY}={expected}");
        let args = ["sign", "--chain", "evm", "--key-id", KEY, "--expect", &expect, UNSIGNED];
        assert_eq!(run(&parent, &args, &[]).code, VERIFIED);
        let request = json!({"chain": "evm", "keys": [KEY], "transaction": UNSIGNED, "expected": [member]});
        assert_eq!(parent.seen().pop().unwrap().json(), request);
        fs::write(file.path(), request.to_string()).unwrap();
        assert_eq!(run(&parent, &["sign", "--batch", file.path().to_str().unwrap()], &[]).code, VERIFIED);
        assert_eq!(parent.seen().pop().unwrap().json(), json!({"signatures": [request]}));
    }
    let before = parent.seen().len();
    for bad in [address.to_owned(), format!("{KEY}="), format!("key_x={address}"), format!("{KEY}=a b")] {
        let args = ["sign", "--chain", "evm", "--key-id", KEY, "--expect", &bad, UNSIGNED];
        assert_eq!(run(&parent, &args, &[]).code, UNUSABLE, "{bad}");
    }
    assert_eq!(parent.seen().len(), before);
}

#[test]
fn a_batch_goes_in_parts_and_each_line_has_its_answer() {
    let parent = Parent::start(|request| {
        let all = request.json()["signatures"].as_array().unwrap().clone();
        let answer = |(at, one): (usize, &Value)| match one["keys"][0] == KEY && at == 2 {
            true => json!({"problem": {"type": "urn:cofferdam:problem:policy.evm.destination", "status": 403,
                "title": "no", "detail": "a pinned one was expected", "code": "policy.evm.destination"}}),
            false => signed(&format!("{}-{at}", all.len())),
        };
        let answers: Vec<Value> = all.iter().enumerate().map(answer).collect();
        Answer::json(200, &json!({"signatures": answers}))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweeps.jsonl");
    let line = json!({"chain": "evm", "keys": [KEY], "transaction": UNSIGNED}).to_string();
    fs::write(&file, format!("{line}\n\n").repeat(600)).unwrap();
    let batch = ["sign", "--batch", file.to_str().unwrap()];
    let said = run(&parent, &batch, &["--json"]);
    assert_eq!(said.code, NOT_VERIFIED);
    let lines = said.json_lines();
    assert_eq!(lines.len(), 601, "600 answers and the error");
    assert_eq!(lines[0]["id"], "256-0");
    assert_eq!(lines[599]["id"], "88-87");
    for refused in [2, 258, 514] {
        assert_eq!(lines[refused]["error"]["code"], "policy.evm.destination");
    }
    assert_eq!(lines[600]["error"]["message"], "refused: 3 of 600 transactions");
    let sizes: Vec<usize> =
        parent.seen().iter().map(|seen| seen.json()["signatures"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [256, 256, 88]);

    let said = run(&parent, &batch, &[]);
    assert_eq!(said.out.lines().count(), 600, "one line for each line");
    assert!(said.err.contains("✗ 3: the parent refused: policy.evm.destination (HTTP 403)"), "{}", said.err);

    fs::write(&file, format!("{line}\n{{\"chain\":\"evm\"}}\n")).unwrap();
    let said = run(&parent, &batch, &["--json"]);
    assert_eq!(said.code, UNUSABLE);
    assert!(said.json()["error"]["message"].as_str().unwrap().contains("line 2"));
    assert_eq!(parent.seen().len(), 6, "a bad line has no half-done batch before it");
    let both = [&batch[..], &["--chain", "evm"]].concat();
    assert_eq!(run(&parent, &both, &[]).code, UNUSABLE);
}

/// PSBTs of embit, each with its previous transactions inside.
fn psbts() -> Vec<String> {
    let all: Value = serde_json::from_slice(&fs::read(vector("bitcoin/psbt-embit.json")).unwrap()).unwrap();
    let mixed =
        all.as_array().unwrap().iter().filter(|case| case["name"].as_str().unwrap().ends_with("mixed"));
    mixed.map(|case| case["psbt"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn previous_transactions_go_beside_a_psbt() {
    let parent = Parent::start(|request| {
        let body = request.json();
        match body["signatures"].as_array() {
            Some(all) => Answer::json(200, &json!({"signatures": vec![signed("1"); all.len()]})),
            None => Answer::json(200, &signed("1")),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, contents: &str| {
        let path = folder.path().join(name);
        fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let split = cofferdam(&["--json", "transaction", "split", &psbts()[0]]).json();
    let previous: Vec<&str> = split["previous_transactions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    let psbt = split["transaction"].as_str().unwrap();
    let listed = file("previous", &previous.join("\n"));
    let sign = ["sign", "--chain", "bitcoin", "--key-id", KEY, psbt, "--previous", &listed];
    assert_eq!(run(&parent, &sign, &[]).code, VERIFIED);
    let asked = json!({
        "chain": "bitcoin", "keys": [KEY], "transaction": psbt, "previous_transactions": previous,
    });
    assert_eq!(parent.seen()[0].json(), asked);
    // In a batch as a member, in any spelling; whole PSBTs stay as they are.
    let upper: Vec<String> = previous.iter().map(|text| text.to_uppercase()).collect();
    let mut spelled = asked.clone();
    spelled["previous_transactions"] = json!(upper);
    let whole = json!({"chain": "bitcoin", "keys": [KEY], "transaction": psbts()[1]});
    let batch = file("batch", &format!("{spelled}\n{whole}\n"));
    assert_eq!(run(&parent, &["sign", "--batch", &batch], &[]).code, VERIFIED);
    let sent = &parent.seen()[1].json()["signatures"];
    assert_eq!(sent[0], asked);
    assert!(sent[1].get("previous_transactions").is_none(), "{sent}");
    assert_eq!(run(&parent, &["sign", "--batch", &batch, "--previous", &listed], &[]).code, UNUSABLE);
}

#[test]
fn a_psbt_that_is_too_long_is_split_and_one_that_stays_so_is_not_sent() {
    let parent = Parent::start(|_| Answer::json(200, &signed("1")));
    let folder = tempfile::tempdir().unwrap();
    // A PSBT whose inputs all spend from one transaction of 9 kB, or from their own.
    let psbt = |inputs: u8, own: bool| {
        let spends = [&[3; 36][..], &[0], &[0xff; 4]].concat().repeat(inputs.into());
        let unsigned = [&[2, 0, 0, 0, inputs][..], &spends, &[1], &[0; 8], &[0], &[0; 4]].concat();
        let length = u16::try_from(unsigned.len()).unwrap().to_le_bytes();
        let mut psbt = [b"psbt\xff\x01\x00\xfd", &length[..], &unsigned, &[0]].concat();
        for number in 0..inputs {
            let script = [if own { number } else { 0 }; 8_900];
            let output = [&[0; 8][..], &[0xfd], &8_900u16.to_le_bytes(), &script].concat();
            let input = [&[1][..], &[3; 36], &[0], &[0xff; 4]].concat();
            let previous = [&[2, 0, 0, 0][..], &input, &[1], &output, &[0; 4]].concat();
            let length = u16::try_from(previous.len()).unwrap().to_le_bytes();
            psbt.extend([&[1, 0, 0xfd][..], &length, &previous, &[0]].concat());
        }
        let file = folder.path().join("psbt");
        fs::write(&file, BASE64.encode(&[&psbt[..], &[0]].concat())).unwrap();
        format!("@{}", file.display())
    };
    let sign = |transaction: &str| {
        run(&parent, &["sign", "--chain", "bitcoin", "--key-id", KEY, transaction], &["--json"])
    };
    assert_eq!(sign(&psbt(60, true)).code, VERIFIED);
    assert!(parent.seen()[0].json().get("previous_transactions").is_none(), "it has room as it is");
    assert_eq!(sign(&psbt(100, false)).code, VERIFIED);
    let sent = parent.seen()[1].json();
    assert_eq!(sent["previous_transactions"].as_array().unwrap().len(), 1);
    assert!(sent["transaction"].as_str().unwrap().len() < 6_000);
    let said = sign(&psbt(100, true));
    assert_eq!((said.code, parent.seen().len()), (UNUSABLE, 2));
    let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("753600 bytes") && message.contains("fewer outputs"), "{message}");
}

#[test]
fn an_answer_for_fewer_transactions_is_found() {
    let parent = Parent::start(|_| Answer::json(200, &json!({"signatures": []})));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sweeps.jsonl");
    fs::write(&file, json!({"chain": "evm", "keys": [KEY], "transaction": UNSIGNED}).to_string()).unwrap();
    let said = run(&parent, &["sign", "--batch", file.to_str().unwrap()], &["--json"]);
    assert_eq!((said.code, &said.json()["error"]["kind"]), (NOT_VERIFIED, &"parent".into()));
}

fn explanation(allowed: bool) -> Value {
    let denial = json!({"code": "policy.denied", "tag": "policy.evm.destination",
        "detail": "policy.evm.destination: 0xaa was expected, found 0xbb", "order_id": null});
    json!({
        "allowed": allowed,
        "denial": if allowed { Value::Null } else { denial },
        "policy": {"version": 7, "sha256": "641a"},
        "rules": "deposits",
        "summary": {"kind": "evm.native", "network": "evm:1",
            "transfers": [{"asset": "native", "amount": "1500000000000000000", "destination": "0xbb"}],
            "sources": [{"key": 0, "asset": "native", "amount": "1500000000000000000"}], "fee": "420000000000000"},
        "checks": [
            {"tag": "policy.evm.network", "holds": true, "found": "evm:1", "allowed": "evm:1"},
            {"tag": "policy.evm.destination", "holds": allowed, "found": "0xbb", "allowed": "0xaa"},
        ],
        "near_limit": ["evm:1/native"],
        "signing": if allowed { json!([{"key_id": KEY, "scheme": "ecdsa", "message": "00ff"}]) } else { Value::Null },
    })
}

#[test]
fn an_explanation_is_a_table_of_checks() {
    let parent = Parent::start(|_| Answer::json(200, &explanation(false)));
    let args = ["explain", "--chain", "evm", "--key-id", KEY, UNSIGNED];
    let said = run(&parent, &args, &[]);
    assert_eq!(said.code, NOT_VERIFIED);
    for line in [
        "  check                   found  allowed",
        "✓ policy.evm.network      evm:1  evm:1",
        "✗ policy.evm.destination  0xbb   0xaa",
        "! near its limit: evm:1/native",
    ] {
        assert!(said.out.lines().any(|found| found == line), "{line}\n{}", said.out);
    }
    assert!(said.out.contains("1.5 coins (1500000000000000000 wei)") && said.out.contains(KEY));
    assert_eq!(said.err, "✗ denied: policy.evm.destination: 0xaa was expected, found 0xbb (policy.denied)\n");
    assert_eq!(run(&parent, &args, &["--json"]).json(), explanation(false));

    let parent = Parent::start(|_| Answer::json(200, &explanation(true)));
    let said = run(&parent, &args, &[]);
    assert_eq!(said.code, VERIFIED, "{}", said.err);
    assert!(
        said.out.starts_with("✓ it would be signed\n") && said.out.contains("ecdsa of 00ff"),
        "{}",
        said.out
    );
    assert_eq!(parent.seen()[0].target, "/v1/signatures/explain");
    // A contradiction is no permission.
    let parent = Parent::start(|_| Answer::json(200, &json!({"allowed": false})));
    assert_eq!(run(&parent, &args, &[]).code, NOT_VERIFIED);
    let parent = Parent::start(|_| Answer::json(200, &json!({"allowed": "yes"})));
    assert_eq!(run(&parent, &args, &["--json"]).json()["error"]["kind"], "parent");
}

/// An operator's key file, and the quorum of it.
fn operator(folder: &tempfile::TempDir, name: &str) -> (String, Value) {
    let file = folder.path().join(name).to_str().unwrap().to_owned();
    let said = cofferdam(&["--json", "keys", "create", "--role", "operator", "--out", &file]);
    (file, said.json()["public_key"].clone())
}

fn order_of(request: &Request) -> Envelope {
    let order = request.json()["order"].as_str().unwrap().to_owned();
    Envelope::parse(&BASE64.decode(order.as_bytes()).unwrap(), ORDER_TYPE).unwrap()
}

fn replaced(request: &Request) -> Answer {
    match request.method.as_str() {
        "GET" => Answer::json(200, &address(4)),
        _ => {
            let order = Order::parse(&order_of(request).payload().unwrap()).unwrap();
            let answer = json!({"order_id": order.id().to_string(), "retired": id(4).to_string(), "address": address(5)});
            Answer::json(201, &answer)
        }
    }
}

#[test]
fn a_key_is_replaced_by_an_order_that_operators_sign() {
    let folder = tempfile::tempdir().unwrap();
    let ((one, one_public), (two, two_public)) = (operator(&folder, "one"), operator(&folder, "two"));
    let parent = Parent::start(replaced);
    let old = id(4).to_string();
    let args =
        ["keys", "replace", &old, "--operator-key", &one, "--operator-key", &two, "--reason", "leaked"];
    let said = run(&parent, &args, &["--json", "--label", "second"]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(
        (&said.json()["retired"], &said.json()["replacement"]["index"]),
        (&old.clone().into(), &5.into())
    );
    let seen = parent.seen();
    assert_eq!(seen[0].target, format!("/v1/keys/{old}"));
    assert_eq!(
        (seen[1].method.as_str(), seen[1].target.as_str()),
        ("POST", &*format!("/v1/keys/{old}/replace"))
    );
    let keys = serde_json::from_value(json!([one_public, two_public])).unwrap();
    let payload = order_of(&seen[1]).verify(&Quorum { threshold: 2, keys }).unwrap();
    let order = Order::parse(&payload).unwrap();
    assert_eq!((order.deployment().as_str(), order.reason().as_str()), (DEPLOYMENT, "leaked"));
    let Restriction::RetireKey { key_id, replacement: Some(replacement) } = order.restriction() else {
        panic!("{order:?}")
    };
    assert_eq!((*key_id, &replacement.path()), (id(4), &path(5)));
    assert_eq!(replacement.label.as_ref().unwrap().as_str(), "second");

    let said = run(&parent, &args, &[]);
    assert!(said.out.contains("NOT VERIFIED") && said.out.contains(&id(5).to_string()), "{}", said.out);
    // A client's key is no operator's, and nothing is sent.
    let client = ClientKey::new();
    let file = folder.path().join("client").to_str().unwrap().to_owned();
    cofferdam(&["keys", "create", "--role", "client", "--out", &file]);
    let before = parent.seen().len();
    let said = run(&parent, &["keys", "replace", &old, "--operator-key", &file, "--reason", "x"], &[]);
    assert_eq!((said.code, parent.seen().len()), (UNUSABLE, before));
    drop(client);
}

#[test]
fn a_parent_that_lies_about_a_key_gets_no_order_and_one_that_makes_another_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let (operator, _) = operator(&folder, "operator");
    let old = id(4).to_string();
    let args = ["keys", "replace", &old, "--operator-key", &operator, "--reason", "drill"];
    // Another user's key under this id: the id proves whose it is.
    let parent = Parent::start(|_| {
        let mut lie = address(4);
        lie["user"] = "mallory".into();
        Answer::json(200, &lie)
    });
    let said = run(&parent, &args, &["--json"]);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &"key_id".into()));
    assert_eq!(parent.seen().len(), 1);
    // Another key than the order names.
    let parent = Parent::start(|request| match request.method.as_str() {
        "GET" => Answer::json(200, &address(4)),
        _ => {
            let order = Order::parse(&order_of(request).payload().unwrap()).unwrap();
            Answer::json(201, &json!({"order_id": order.id().to_string(), "address": address(6)}))
        }
    });
    let said = run(&parent, &args, &["--json"]);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &"answer".into()));
    // A certificate that is not of the new key.
    let parent = Parent::start(replaced);
    let (image, root) = (vector("certificates/image.json"), vector("certificates/root.pem"));
    let said = run(&parent, &args, &["--json", "--verify", "--image", &image, "--root", &root]);
    assert_eq!(said.code, NOT_VERIFIED, "{}", said.out);
}
