//! `cofferdam policy` and `cofferdam operator`, without a parent and with one that answers what a test
//! wants.

mod common;
#[path = "common/operators.rs"]
mod operators;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{NOT_VERIFIED, Said, UNUSABLE, VERIFIED, cofferdam, vector, with_input};
use operators::Operators;
use parent::{Answer, Parent};
use serde_json::{Value, json};

/// A moment in the sample's window.
const THEN: &str = "2026-01-15T00:00:00Z";

fn sample() -> Value {
    serde_json::from_slice(&fs::read(vector("policy/policy.json")).unwrap()).unwrap()
}

/// The sample, signed by two operators.
fn signed(operators: &Operators) -> String {
    let file = operators.write("policy.json", &sample().to_string());
    operators.run(&["policy", "sign", &file, "--key", &operators.key(0), "--key", &operators.key(1)]);
    operators.file("policy.dsse.json")
}

fn verify(operators: &Operators, file: &str, more: &[&str]) -> Said {
    let args = ["--json", "policy", "verify", file, "--config", &operators.config()];
    cofferdam(&[&args[..], more].concat())
}

fn refused(said: &Said, check: &str) {
    assert_eq!(said.code, NOT_VERIFIED, "{}{}", said.out, said.err);
    assert_eq!(said.json()["error"]["check"], check, "{}", said.out);
}

fn unusable(args: &[&str], text: &str) {
    let said = cofferdam(&[&["--json"], args].concat());
    assert_eq!(said.code, UNUSABLE, "{args:?} {}", said.out);
    let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(text), "{args:?} {message}");
}

#[test]
fn an_operators_key_is_its_owners_and_is_shown_as_the_configuration_spells_it() {
    let operators = Operators::new();
    let mode = fs::metadata(operators.key(0)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = operators.run(&["--json", "operator", "show", &operators.key(0)]).json();
    assert_eq!(shown["public_key"], operators.keys[0].as_str());
    assert_eq!(shown["role"], "operator");
    unusable(&["operator", "new", "--out", &operators.key(0)], "never overwritten");
}

#[test]
fn a_new_policy_is_valid_denies_everything_and_overwrites_nothing() {
    let operators = Operators::new();
    let out = operators.file("new.json");
    let client = format!("backend={}:address.create,sign.sweep", operators.keys[2]);
    let args = ["policy", "new", "--deployment", "laptop", "--days", "7", "--version", "5", "--out", &out];
    let more = ["--client", &client, "--destination", "evm:1=0x6509e012E8EF1f4853950F528fBDcABC3345a6e0"];
    let others = [
        "--destination",
        "evm:8453=0x6509e012E8EF1f4853950F528fBDcABC3345a6e0",
        "--destination",
        "bitcoin=bc1qgucuanm9400dhklspxp4guxrnv05fht8c7pz76",
        "--destination",
        "solana=BEBwaw6WiuAwejwdaBQ3t2nitUYGT8ZKyrVGgD4yV7E5",
        "--destination",
        "solana-off-curve=6JZEmp7XpEMdtsNC1Afgbqpwufuo9rtim9x1SomAnHNW",
        "--destination",
        "tron=TKBT5aeZiRUPMa4Zmx74Zh54CFyP8CMPLw",
    ];
    let args = [&args[..], &more, &others].concat();
    operators.run(&args);
    let policy: Value = serde_json::from_str(&operators.read("new.json")).unwrap();
    assert_eq!(policy["version"], 5);
    let networks = policy["rules"][0]["evm"]["networks"].as_array().unwrap();
    assert_eq!((networks.len(), &networks[1]["chain_id"]), (2, &json!(8453)));
    let solana = &policy["rules"][0]["solana"];
    assert_eq!(solana["destinations"].as_array().unwrap().len(), 2);
    assert_eq!(solana["off_curve"], json!(["6JZEmp7XpEMdtsNC1Afgbqpwufuo9rtim9x1SomAnHNW"]));
    // Every amount is zero, and nothing is credited.
    let text = policy["rules"].to_string();
    for part in text.split("_day\":\"").skip(1).chain(text.split("_transaction\":\"").skip(1)) {
        assert!(part.starts_with("0\""), "{part}");
    }
    assert!(!policy["crediting"].to_string().contains("active"));
    // What needs no memory is set from the beginning.
    for coin in [&networks[0]["native"], &policy["rules"][0]["bitcoin"], &solana["native"]] {
        assert_eq!(coin["max_fee_permille"], 50);
        assert!(coin["min_amount"].as_str().unwrap().parse::<u64>().unwrap() >= 20_000, "{coin}");
    }
    assert_eq!(policy["rules"][0]["tron"]["native"]["min_amount"], "22000000");
    assert_eq!(
        (&networks[0]["max_nonce"], &networks[0]["max_fee_per_gas"]),
        (&json!(1000), &json!("100000000000"))
    );
    assert_eq!(networks[0]["max_priority_fee_per_gas"], "2000000000");
    assert!(solana.get("close_accounts").is_none());
    // The order of the members is the documents', for whoever edits it.
    assert!(operators.read("new.json").starts_with("{\n  \"v\": 1,\n  \"deployment\": \"laptop\","));
    unusable(&args, "does not exist yet");
    for (option, value, text) in [
        ("--client", "backend", "ID=ed25519:"),
        ("--client", "backend=ed25519:00:sign.sweep", "ed25519: and 64"),
        ("--destination", "evm=0x6509e012E8EF1f4853950F528fBDcABC3345a6e0", "chain id"),
        ("--destination", "dogecoin=D", "evm, bitcoin"),
        ("--destination", "solana=6JZEmp7XpEMdtsNC1Afgbqpwufuo9rtim9x1SomAnHNW", "off_curve"),
        ("--destination", "tron=0x6509e012E8EF1f4853950F528fBDcABC3345a6e0", "Tron address"),
        ("--days", "401", "401"),
        ("--version", "0", "0"),
    ] {
        unusable(&["policy", "new", "--deployment", "laptop", "--out", "-", option, value], text);
    }
    let empty = operators.run(&["policy", "new", "--deployment", "laptop", "--out", "-"]).out;
    let shown = with_input(&["policy", "show", "-"], empty.as_bytes()).out;
    assert!(shown.contains("nobody may ask") && shown.contains("nothing is signed"), "{shown}");
}

#[test]
fn operators_sign_one_after_the_other_and_the_quorum_verifies() {
    let operators = Operators::new();
    let file = operators.write("policy.json", &sample().to_string());
    let first = operators.run(&["--json", "policy", "sign", &file, "--key", &operators.key(0)]).json();
    assert_eq!((&first["version"], &first["signed_by"]), (&json!(3), &json!([operators.keys[0]])));
    let envelope = operators.file("policy.dsse.json");
    refused(&verify(&operators, &envelope, &["--at", THEN]), "dsse.too_few");
    // A second one at the same place would lose the first one's signature.
    unusable(&["policy", "sign", &file, "--key", &operators.key(1)], "does not exist yet");
    let second = operators.run(&["--json", "policy", "sign", &envelope, "--key", &operators.key(1)]).json();
    assert_eq!(second["signatures"], json!([operators.keys[0], operators.keys[1]]));
    assert_eq!(second["sha256"], first["sha256"]);
    let verified = verify(&operators, &envelope, &["--at", THEN]);
    assert_eq!(verified.code, VERIFIED, "{}", verified.out);
    assert_eq!(verified.json()["threshold"], 2);
    // Signing again changes nothing.
    let before = operators.read("policy.dsse.json");
    operators.run(&["policy", "sign", &envelope, "--key", &operators.key(1)]);
    assert_eq!(operators.read("policy.dsse.json"), before);
    // Keys of the verifier's own choice, in place of the configuration's.
    let args = ["policy", "verify", &envelope, "--at", THEN, "--operator", &operators.keys[0]];
    operators.run(&[&args[..], &["--operator", &operators.keys[1], "--threshold", "2"]].concat());
    let said = cofferdam(&[&["--json"], &args[..], &["--threshold", "1"]].concat());
    refused(&said, "dsse.unknown");
}

#[test]
fn what_an_enclave_would_refuse_does_not_verify() {
    let operators = Operators::new();
    let envelope = signed(&operators);
    refused(&verify(&operators, &envelope, &["--at", "2025-12-31T23:59:59Z"]), "policy.not_yet");
    refused(&verify(&operators, &envelope, &["--at", "2026-01-31T00:00:00Z"]), "policy.expired");
    // The machine's clock is long past the sample.
    refused(&verify(&operators, &envelope, &[]), "policy.expired");
    let config = operators.read("enclave.toml");
    operators.write("enclave.toml", &config.replace("\"laptop\"", "\"other\""));
    refused(&verify(&operators, &envelope, &["--at", THEN]), "policy.deployment");
    operators.write("enclave.toml", &config.replace("\"mainnet\"", "\"testnet\""));
    let said = verify(&operators, &envelope, &["--at", THEN]).json();
    assert!(said["warnings"][0].as_str().unwrap().contains("never paid"), "{said}");
    operators.write("enclave.toml", &config);
    // An operator who is a client could ask and decide.
    let mut policy = sample();
    policy["clients"][0]["key"] = json!(operators.keys[2]);
    let file = operators.write("own.json", &policy.to_string());
    operators.run(&["policy", "sign", &file, "--key", &operators.key(0), "--key", &operators.key(1)]);
    refused(&verify(&operators, &operators.file("own.dsse.json"), &["--at", THEN]), "policy.client_key");
    unusable(&["policy", "sign", &file, "--key", &operators.key(2), "--out", "-"], "policy.client_key");
    // Not an envelope, and no operators.
    unusable(&["policy", "verify", &file, "--config", &operators.config()], "an envelope was expected");
    unusable(&["policy", "verify", &envelope], "--threshold and --operator");
}

#[test]
fn what_is_no_policy_is_not_signed() {
    let operators = Operators::new();
    let mut policy = sample();
    policy["version"] = json!(0);
    for (text, expected) in [
        (policy.to_string(), "policy.value: version"),
        (sample().to_string().replacen("\"v\":1", "\"v\":1,\"more\":1", 1), "policy.malformed"),
        ("{}".to_owned(), "policy.malformed"),
        (r#"{"payload":"e30=","payloadType":"x","signatures":[]}"#.to_owned(), "payload type"),
        (String::new(), "policy.malformed"),
    ] {
        let file = operators.write("bad.json", &text);
        unusable(&["policy", "sign", &file, "--key", &operators.key(0)], expected);
        assert!(!operators.path("bad.dsse.json").exists());
    }
    let file = operators.write("policy.json", &sample().to_string());
    unusable(&["policy", "sign", &file, "--key", &operators.file("operator-0.pem.pub")], "private key");
    let twice = ["policy", "sign", &file, "--key", &operators.key(0), "--key", &operators.key(0)];
    unusable(&twice, "each key once");
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    unusable(&["policy", "sign", &file, "--key", &client], "operator");
}

#[test]
fn people_read_every_limit_and_who_may_do_what() {
    let operators = Operators::new();
    let shown = operators.run(&["policy", "show", &signed(&operators)]).out;
    for expected in [
        "sha256",
        "trading-desk   sign.secondary",
        "rules \"deposits\": all sweep keys that no other rules name",
        "rules \"trading desk\": the secondary keys of desk",
        "evm:8453",
        "of one key 5 BTC (500000000 satoshis), of all 200 BTC (20000000000 satoshis)",
        "300 satoshis for a virtual byte",
        "of one key 200000 USDC (200000000000 base units)",
        "400000 units of at most 1000000 micro-lamports",
        "expires within 3600 s",
        "credited on    evm, bitcoin, solana",
        "user mallory",
        "2, not verified by this command",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    let json = operators.run(&["--json", "policy", "show", &vector("policy/policy.json")]).json();
    assert_eq!(json["verified"], false);
    assert_eq!(json["policy"]["rules"][0]["evm"], sample()["rules"][0]["evm"]);
}

#[test]
fn a_comparison_names_what_is_relaxed_and_what_is_tightened() {
    let operators = Operators::new();
    let changes = |change: &dyn Fn(&mut Value)| {
        let mut policy = sample();
        change(&mut policy);
        let file = operators.write("next.json", &policy.to_string());
        let args = ["--json", "policy", "show", &file, "--against", &vector("policy/policy.json")];
        operators.run(&args).json()["changes"].clone()
    };
    let evm = "/rules/0/evm/networks/0";
    let cases: [(&str, Value, &str, &str); 16] = [
        ("/not_after", json!("2026-02-01T00:00:00Z"), "relaxed", "valid until: 2026-01-31"),
        ("/not_before", json!("2026-01-02T00:00:00Z"), "tightened", "valid from"),
        (
            "/clients/1/roles",
            json!(["sign.sweep", "sign.secondary"]),
            "relaxed",
            "client sweeper (ed25519:2040",
        ),
        ("/clients/1/roles", json!([]), "tightened", ": sign.sweep"),
        ("/clients/1/id", json!("robot"), "relaxed", "client robot"),
        (
            "evm/fee/per_day",
            json!("6000000000000000000"),
            "relaxed",
            "5 coins (5000000000000000000 wei) → 6 coins",
        ),
        ("evm/native/per_day", json!("0"), "tightened", "native, of all within 24 hours"),
        ("evm/confirmations", json!(1), "relaxed", "evm:1: confirmations: 64 → 1"),
        ("evm/destinations", json!([]), "tightened", "evm:1: pays 0x6509"),
        ("evm/tokens/0/symbol", json!("Tether"), "changed", "symbol: USDT → Tether"),
        ("/rules/0/solana", Value::Null, "tightened", "solana: pays BEB"),
        (
            "/rules/1/users",
            json!(["desk", "desk2"]),
            "changed",
            "rules \"trading desk\" are for: the secondary keys of desk →",
        ),
        ("/crediting/tron", json!("active"), "relaxed", "crediting on tron"),
        ("/frozen/users", json!([]), "relaxed", "frozen: user mallory"),
        ("/frozen/chains", json!(["evm"]), "tightened", "frozen: chain evm"),
        ("/lifted_orders", json!([]), "tightened", "lifted: order_2fvm"),
    ];
    for (pointer, value, list, text) in cases {
        let pointer = pointer.replace("evm/", &format!("{evm}/"));
        let found = changes(&|policy| *policy.pointer_mut(&pointer).unwrap() = value.clone());
        let lines = found[list].as_array().unwrap();
        assert!(lines.iter().any(|line| line.as_str().unwrap().contains(text)), "{pointer}: {found}");
        assert_eq!(found["replaces"], false, "of the same version");
    }
    let next = changes(&|policy| policy["version"] = json!(4));
    assert_eq!(next["replaces"], true);
    for list in ["relaxed", "tightened", "changed"] {
        assert_eq!(next[list], json!([]));
    }
    let other = changes(&|policy| policy["deployment"] = json!("other"));
    assert_eq!(
        (&other["replaces"], &other["changed"][0]),
        (&json!(false), &json!("deployment: laptop → other"))
    );
}

#[test]
fn a_parent_is_brought_the_envelope_and_believed_nothing() {
    let operators = Operators::new();
    let envelope = signed(&operators);
    let parent = Parent::start(|request| match (request.method.as_str(), request.target.as_str()) {
        ("PUT", "/v1/policy") => Answer::json(200, &json!({"version": 3, "sha256": "00", "active": true})),
        _ => Answer::json(404, &json!({"code": "route.not_found"})),
    });
    let said = cofferdam(&["--json", "policy", "put", &envelope, "--url", &parent.url]);
    refused(&said, "answer");
    let sent = &parent.seen()[0];
    assert_eq!(String::from_utf8_lossy(&sent.body), operators.read("policy.dsse.json").trim());
    let parent =
        Parent::start(|_| Answer::json(409, &json!({"code": "policy.refused", "tag": "policy.version"})));
    let said = cofferdam(&["--json", "policy", "put", &envelope, "--url", &parent.url]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (NOT_VERIFIED, &json!("policy.refused")));
    unusable(
        &["policy", "put", &vector("policy/policy.json"), "--url", &parent.url],
        "an envelope was expected",
    );
}

#[test]
fn a_fetched_policy_is_the_operators_or_refused() {
    let operators = Operators::new();
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    // In its window whenever this test runs.
    let new = ["policy", "new", "--deployment", "laptop", "--out", &operators.file("new.json")];
    operators.run(&new);
    let sign =
        |key: &str, file: &str| operators.run(&["policy", "sign", &operators.file(file), "--key", key]);
    sign(&operators.key(0), "new.json");
    let get = |out: &str, config: &str| {
        let envelope: Value = serde_json::from_str(&operators.read("new.dsse.json")).unwrap();
        let answer = json!({"envelope": envelope, "version": 1, "sha256": "", "active": true,
            "crediting": {"evm": true, "bitcoin": false}});
        let parent = Parent::start(move |_| Answer::json(200, &answer));
        let who = ["--client-key", &client, "--client-id", "auditor", "--deployment", "laptop"];
        let args = ["--json", "policy", "get", "--url", &parent.url, "--out", &operators.file(out)];
        cofferdam(&[&args[..], &who, &["--config", config]].concat())
    };
    refused(&get("one.json", &operators.config()), "dsse.too_few");
    // What does not verify is evidence, and is kept.
    assert_eq!(operators.read("one.json"), operators.read("new.dsse.json"));
    sign(&operators.key(1), "new.dsse.json");
    let said = get("two.json", &operators.config());
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let json = said.json();
    assert_eq!((&json["verified"], &json["crediting"]["evm"]), (&json!(true), &json!(true)));
    assert_eq!(operators.read("two.json"), operators.read("new.dsse.json"));
}

#[test]
fn an_activation_is_of_the_boot_that_every_signer_names() {
    let operators = Operators::new();
    let (boot, other) = ("5a".repeat(32), "5b".repeat(32));
    let out = operators.file("activation.json");
    let keys = [operators.key(0), operators.key(1)];
    let args = ["--json", "policy", "activate", "--policy-version", "3", "--deployment", "laptop", "--key"];
    let first = [&args[..], &[&keys[0], "--boot", &boot, "--out", &out]].concat();
    assert_eq!(operators.run(&first).json()["boot"], boot.as_str());
    let cosign = |boot: &str, more: &[&str]| {
        let second = [&args[..], &[&keys[1], "--boot", boot, "--cosign", &out], more].concat();
        cofferdam(&second)
    };
    let both = operators.file("both.json");
    assert_eq!(cosign(&other, &["--out", &both]).code, UNUSABLE);
    let said = cosign(&boot, &["--out", &both]);
    assert_eq!(said.json()["signatures"], json!([operators.keys[0], operators.keys[1]]));
    // What was signed is the specified payload.
    let envelope: Value = serde_json::from_str(&operators.read("both.json")).unwrap();
    let payload = data_encoding::BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!((&payload["boot"], &payload["deployment"]), (&json!(boot), &json!("laptop")));
    let parent = Parent::start(|_| Answer::json(200, &json!({})));
    let said = cosign(&boot, &["--url", &parent.url]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let sent = &parent.seen()[0];
    assert_eq!((sent.method.as_str(), sent.target.as_str()), ("PUT", "/v1/activation"));
    unusable(&[&args[1..], &[&keys[0], "--boot", &boot]].concat(), "--url");
}
