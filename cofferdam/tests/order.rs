//! `cofferdam order`, without a parent and with one that answers what a test wants.

mod common;
#[path = "common/operators.rs"]
mod operators;
#[path = "common/parent.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod parent;

use common::{NOT_VERIFIED, UNUSABLE, VERIFIED, cofferdam};
use data_encoding::BASE64;
use operators::Operators;
use parent::{Answer, Parent};
use protocol::log::{BootFacts, Chain, Detail, NewEntry, Outcome};
use serde_json::{Value, json};

/// Of laptop, alice, evm, sweep, index 0 (docs/formats.md, section 3).
const KEY: &str = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";

/// An order that nobody gave.
const OTHER: &str = "order_2fvm7cwhzk5b6p3zfbhzer2atwvhn7el5yt45suag4on3mdh5nuq";

/// Gives an order to a file; answers what was said and the payload.
fn give(operators: &Operators, name: &str, args: &[&str]) -> (Value, Value) {
    let out = operators.file(name);
    let fixed = ["--json", "order"];
    let more = ["--deployment", "laptop", "--reason", "drill", "--key", &operators.key(0), "--out", &out];
    let said = operators.run(&[&fixed[..], args, &more].concat()).json();
    let envelope: Value = serde_json::from_str(&operators.read(name)).unwrap();
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
    (said, serde_json::from_slice(&payload).unwrap())
}

#[test]
fn every_order_says_what_the_command_line_said() {
    let operators = Operators::new();
    let replacement =
        ["retire", "--key-id", KEY, "--replacement-user", "alice", "--chain", "evm", "--index", "1"];
    let [one, other] = ["00", "ab"].map(|byte| format!("{}:{}", byte.repeat(32), 7));
    let [account, value] =
        ["5U1JSGMhC9hDct3DRxdKkcF1UQKbk2EDZ5ZYg9Dm7FQq", "96TGJWTSEnJJbKLGUkov2zjLC1ZukdzbKRryDsnGJCLg"];
    let cases: [(&[&str], &str, Value); 12] = [
        (
            &["void", "--key-id", KEY, "--chain-id", "137", "--nonce", "0"],
            "void",
            json!({"key_id": KEY, "spends": {"chain_id": 137, "nonce": 0}}),
        ),
        (
            &["void", "--key-id", KEY, "--outpoint", &other, "--outpoint", &one, "--outpoint", &other],
            "void",
            json!({"key_id": KEY, "spends": {"outpoints": [one, other]}}),
        ),
        (
            &["void", "--key-id", KEY, "--nonce-account", account, "--nonce-value", value],
            "void",
            json!({"key_id": KEY, "spends": {"nonce_account": account, "nonce_value": value}}),
        ),
        (&["freeze", "--all"], "freeze_all", json!({})),
        (&["freeze", "--chain", "tron"], "freeze_chain", json!({"chain": "tron"})),
        (&["freeze", "--user", "mallory"], "freeze_user", json!({"user": "mallory"})),
        (&["freeze", "--key-id", KEY], "freeze_key", json!({"key_id": KEY})),
        (&["pause-crediting"], "pause_crediting", json!({})),
        (&["pause-crediting", "--chain", "evm"], "pause_crediting", json!({"chain": "evm"})),
        (&["retire", "--key-id", KEY], "retire_key", json!({"key_id": KEY})),
        (
            &replacement,
            "retire_key",
            json!({"key_id": KEY, "replacement": {"user": "alice", "chain": "evm", "purpose": "sweep", "index": 1}}),
        ),
        (
            &[&replacement[..], &["--label", "second"]].concat(),
            "retire_key",
            json!({"key_id": KEY, "replacement":
                {"user": "alice", "chain": "evm", "purpose": "sweep", "index": 1, "label": "second"}}),
        ),
    ];
    for (number, (args, kind, fields)) in cases.into_iter().enumerate() {
        let (said, mut payload) = give(&operators, &format!("{number}.json"), args);
        let fixed = payload.as_object_mut().unwrap();
        assert_eq!(fixed.remove("v"), Some(json!(1)));
        assert_eq!(fixed.remove("type"), Some(json!(kind)));
        assert_eq!(fixed.remove("deployment"), Some(json!("laptop")));
        assert_eq!(fixed.remove("reason"), Some(json!("drill")));
        assert_eq!(fixed.remove("issued_at"), Some(said["issued_at"].clone()));
        assert_eq!(payload, fields, "{args:?}");
        assert_eq!(said["type"], kind);
        assert_eq!(said["signed_by"], json!([operators.keys[0]]));
    }
}

#[test]
fn orders_that_mean_nothing_or_too_much_are_refused_before_anything_is_signed() {
    let operators = Operators::new();
    let out = operators.file("o.json");
    let fixed = ["--reason", "drill", "--key", &operators.key(0), "--out", &out];
    let laptop = ["--deployment", "laptop"];
    let next = |index: &'static str, user: &'static str| {
        vec!["retire", "--key-id", KEY, "--replacement-user", user, "--chain", "evm", "--index", index]
    };
    let bad: Vec<Vec<&str>> = vec![
        vec!["void", "--key-id", KEY],
        vec!["void", "--key-id", KEY, "--nonce", "1"],
        vec!["void", "--key-id", KEY, "--chain-id", "1"],
        vec!["void", "--key-id", KEY, "--nonce-value", KEY],
        vec!["void", "--key-id", KEY, "--outpoint", "00:1"],
        vec!["void", "--nonce", "1", "--chain-id", "1"],
        vec!["freeze"],
        vec!["freeze", "--all", "--chain", "evm"],
        vec!["freeze", "--chain", "dogecoin"],
        vec!["freeze", "--user", ""],
        vec!["freeze", "--key-id", "key_x"],
        vec!["retire"],
        vec!["retire", "--key-id", KEY, "--chain", "evm"],
        vec!["retire", "--key-id", KEY, "--replacement-user", "alice"],
        // The key's next index is 1, and it is alice's.
        next("0", "alice"),
        next("2", "alice"),
        next("1", "bob"),
    ];
    for args in bad {
        let said = cofferdam(&[&["--json", "order"], &args[..], &laptop, &fixed].concat());
        assert_eq!(said.code, UNUSABLE, "{args:?} {}", said.out);
        assert!(!operators.path("o.json").exists());
    }
    // Which deployment, why, by whom and where to must be said.
    for left_out in ["--deployment", "--reason", "--key", "--out"] {
        let mut args = [&["--json", "order", "freeze", "--all"], &laptop[..], &fixed].concat();
        let at = args.iter().position(|argument| *argument == left_out).unwrap();
        args.drain(at..at + 2);
        assert_eq!(cofferdam(&args).code, UNUSABLE, "{left_out}");
    }
}

#[test]
fn an_order_is_signed_by_others_and_verified_by_everyone() {
    let operators = Operators::new();
    let (said, _) = give(&operators, "freeze.json", &["freeze", "--user", "mallory"]);
    let file = operators.file("freeze.json");
    let signed = operators.run(&["--json", "order", "sign", &file, "--key", &operators.key(1)]).json();
    assert_eq!(signed["order_id"], said["order_id"]);
    assert_eq!(signed["signatures"], json!([operators.keys[0], operators.keys[1]]));
    let shown = operators.run(&["order", "show", &file]).out;
    assert!(
        shown.contains("freeze the keys of the user mallory") && shown.contains("NOT VERIFIED"),
        "{shown}"
    );
    let config = operators.config();
    let shown = operators.run(&["--json", "order", "show", &file, "--config", &config]).json();
    assert_eq!((&shown["verified"], &shown["order_id"]), (&json!(true), &said["order_id"]));
    let two = ["--json", "order", "show", &file, "--threshold", "3"];
    let three = operators.keys.iter().flat_map(|key| ["--operator", key.as_str()]).collect::<Vec<_>>();
    let said = cofferdam(&[&two[..], &three].concat());
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &json!("dsse.too_few")));
    // Of another deployment, changed, or no order.
    let text = operators.read("enclave.toml").replace("\"laptop\"", "\"other\"");
    let other = operators.write("other.toml", &text);
    let said = cofferdam(&["--json", "order", "show", &file, "--config", &other]);
    assert_eq!(said.json()["error"]["check"], "order.deployment");
    let mut envelope: Value = serde_json::from_str(&operators.read("freeze.json")).unwrap();
    let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
    let payload = String::from_utf8(payload).unwrap().replace("mallory", "alice");
    envelope["payload"] = json!(BASE64.encode(payload.as_bytes()));
    let changed = operators.write("changed.json", &envelope.to_string());
    let said = cofferdam(&["--json", "order", "show", &changed, "--config", &config]);
    assert_eq!(said.json()["error"]["check"], "dsse.invalid");
    let bare = operators.write("bare.json", &payload);
    assert_eq!(cofferdam(&["--json", "order", "show", &bare]).code, UNUSABLE);
    assert_eq!(cofferdam(&["--json", "order", "sign", &bare, "--key", &operators.key(0)]).code, UNUSABLE);
}

/// An entry of a log that says that an order was taken; `change` is what is wrong with it.
fn entry(id: &str, change: impl FnOnce(&mut NewEntry)) -> String {
    let boot = attestation::DocumentHash::of(b"a boot");
    let facts = BootFacts { previous: None, config: [0; 48], pcr0: attestation::Pcr::new([1; 48]) };
    let (mut chain, _) = Chain::begin(boot, &facts, 1);
    let mut event = NewEntry::new("order.submit".parse().unwrap(), Outcome::ALLOW);
    event.detail = Some(Detail::new(&event.operation, &json!({"order": id, "type": "freeze_all"})));
    change(&mut event);
    chain.append(&event, 2).text
}

/// A parent that takes every order; answers as `answer` makes of its id.
fn taking(answer: impl Fn(&str) -> Value + Send + Sync + 'static) -> Parent {
    Parent::start(move |request| {
        let body = request.json();
        let inside = body["order"].as_str().map(|text| BASE64.decode(text.as_bytes()).unwrap());
        let envelope = inside.map_or(body, |inside| serde_json::from_slice(&inside).unwrap());
        let payload = BASE64.decode(envelope["payload"].as_str().unwrap().as_bytes()).unwrap();
        Answer::json(201, &answer(&protocol::OrderId::from_payload(&payload).to_string()))
    })
}

fn taken(id: &str) -> Value {
    json!({"order_id": id, "entry": entry(id, |_| {})})
}

#[test]
fn an_order_is_sent_to_many_parents_at_once_and_must_be_on_the_log_of_each() {
    let operators = Operators::new();
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    let fixed = ["--deployment", "laptop", "--reason", "drill", "--key", &operators.key(0), "--all"];
    let who = ["--client-key", &client, "--client-id", "on-call"];
    let freeze = |mode: &[&str], urls: &[&str]| {
        let urls: Vec<&str> = urls.iter().flat_map(|url| ["--url", url]).collect();
        cofferdam(&[mode, &["order", "freeze"], &fixed, &who, &urls].concat())
    };
    let (first, second) = (taking(taken), taking(taken));
    let said = freeze(&["--json"], &[&first.url, &second.url]);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let boot = attestation::DocumentHash::of(b"a boot").to_string();
    for (parent, row) in [&first, &second].iter().zip(said.json()["parents"].as_array().unwrap()) {
        let expected = json!({"url": parent.url, "on_log": true, "boot": boot, "seq": 2});
        assert_eq!((row, parent.seen().len()), (&expected, 1));
    }
    // Each request is signed for itself: a nonce counts once wherever it is shown.
    assert_ne!(first.seen()[0].headers["signature"], second.seen()[0].headers["signature"]);
    // One that does not answer, one that refuses, and one that nobody is at hold up nobody.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_url = format!("http://{}", silent.local_addr().unwrap());
    let refusing = Parent::start(|_| Answer::json(403, &json!({"code": "auth.role"})));
    let started = std::time::Instant::now();
    let said = freeze(&["--json"], &[&silent_url, &first.url, &refusing.url, "http://127.0.0.1:1"]);
    let took = started.elapsed().as_secs();
    assert!((19..40).contains(&took), "{took} s");
    assert_eq!(said.code, NOT_VERIFIED);
    let lines = said.json_lines();
    let on_log: Vec<&Value> =
        lines[0]["parents"].as_array().unwrap().iter().map(|row| &row["on_log"]).collect();
    assert_eq!(on_log, [false, true, false, false]);
    assert_eq!(lines[0]["parents"][2]["error"]["code"], "auth.role");
    assert_eq!(lines[1]["error"]["kind"], "order");
    let said = freeze(&[], &[&first.url, &refusing.url]);
    assert!(
        said.out.contains(&format!("{}: in effect, on the log of boot {boot}, entry 2", first.url)),
        "{}",
        said.out
    );
    assert!(said.out.contains(&format!("{}: NOT KNOWN TO BE IN EFFECT", refusing.url)), "{}", said.out);
    assert!(said.err.contains("log of 1 of 2 enclaves"), "{}", said.err);
    assert_eq!(freeze(&[], &[&first.url, &first.url]).code, UNUSABLE);
}

#[test]
fn an_answer_without_the_orders_own_entry_of_the_log_is_not_believed() {
    let operators = Operators::new();
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    type Liar = fn(&str) -> Value;
    let liars: [Liar; 6] = [
        |id| json!({"order_id": id, "entry": "{}"}),
        |id| json!({"order_id": id, "entry": entry(id, |_| {}).replace(':', ": ")}),
        |id| json!({"order_id": id, "entry": entry(id, |event| event.detail = None)}),
        |id| json!({"order_id": id, "entry": entry(id, |event| event.operation = "order.replay".parse().unwrap())}),
        |id| json!({"order_id": id, "entry": entry(id, |event| event.outcome = Outcome::deny("auth.role".parse().unwrap()))}),
        |id| json!({"order_id": id, "entry": entry(OTHER, |_| {})}),
    ];
    for liar in liars {
        let parent = taking(liar);
        let fixed = ["--deployment", "laptop", "--reason", "drill", "--key", &operators.key(0), "--all"];
        let who = ["--client-key", &client, "--client-id", "on-call", "--url", &parent.url];
        let said = cofferdam(&[&["--json", "order", "freeze"], &fixed[..], &who].concat());
        assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &json!("answer")));
    }
}

#[test]
fn an_order_is_submitted_by_a_client_and_one_with_a_replacement_makes_it() {
    let operators = Operators::new();
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    let parent = taking(taken);
    let run = |args: &[&str], url: &str| {
        let fixed = ["--deployment", "laptop", "--reason", "drill", "--key", &operators.key(0), "--url", url];
        let who = ["--client-key", &client, "--client-id", "on-call"];
        cofferdam(&[&["--json", "order"], args, &fixed, &who].concat())
    };
    let said = run(&["freeze", "--all"], &parent.url);
    assert_eq!(said.code, VERIFIED, "{}{}", said.out, said.err);
    let replace =
        ["retire", "--key-id", KEY, "--replacement-user", "alice", "--chain", "evm", "--index", "1"];
    assert_eq!(run(&replace, &parent.url).code, VERIFIED);
    let seen = parent.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("POST", "/v1/orders"));
    assert_eq!(seen[0].json()["payloadType"], "application/vnd.cofferdam.order+json");
    assert_eq!(seen[1].target, format!("/v1/keys/{KEY}/replace"));
    let inside = BASE64.decode(seen[1].json()["order"].as_str().unwrap().as_bytes()).unwrap();
    let inside: Value = serde_json::from_slice(&inside).unwrap();
    assert_eq!(inside["payloadType"], "application/vnd.cofferdam.order+json");
    // A parent that took something else.
    let liar = Parent::start(move |_| Answer::json(201, &taken(OTHER)));
    let said = run(&["freeze", "--all"], &liar.url);
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &json!("answer")));
}

#[test]
fn listed_orders_are_what_their_envelopes_say() {
    let operators = Operators::new();
    let (said, _) = give(&operators, "freeze.json", &["freeze", "--chain", "evm"]);
    let client = operators.file("client.pem");
    operators.run(&["operator", "new", "--role", "client", "--out", &client]);
    let envelope: Value = serde_json::from_str(&operators.read("freeze.json")).unwrap();
    let list = |answer: Value| {
        let parent = Parent::start(move |_| Answer::json(200, &answer));
        let who = ["--client-key", &client, "--client-id", "auditor", "--deployment", "laptop"];
        cofferdam(&[&["--json", "order", "list", "--url", &parent.url], &who[..]].concat())
    };
    let id = said["order_id"].as_str().unwrap();
    let other = "order_2fvm7cwhzk5b6p3zfbhzer2atwvhn7el5yt45suag4on3mdh5nuq";
    let held = json!({"order_id": id, "in_force": true, "order": null, "envelope": envelope});
    let lost = json!({"order_id": other, "in_force": false, "order": null, "envelope": null});
    let rows = list(json!({"orders": [held, lost]})).json_lines();
    assert_eq!((&rows[0]["order"]["type"], &rows[0]["in_force"]), (&json!("freeze_chain"), &json!(true)));
    assert_eq!((&rows[1]["order_id"], &rows[1]["in_force"]), (&json!(other), &json!(false)));
    let said = list(json!({"orders": [{"order_id": other, "in_force": true, "envelope": envelope}]}));
    assert_eq!((said.code, &said.json()["error"]["check"]), (NOT_VERIFIED, &json!("answer")));
    assert_eq!(list(json!({"orders": [7]})).json()["error"]["kind"], "parent");
}
