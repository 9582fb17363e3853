//! `docs/policy.md`: its worked example is as it stands there, and its commands do what it says.

mod common;
#[path = "common/operators.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod operators;

use std::{fs, path::Path, process::Command};

use common::vector;
use data_encoding::HEXLOWER;
use protocol::{
    dsse::{Envelope, ORDER_TYPE},
    operators::Quorum,
    order::Order,
    policy::{ActivationStatement, Policy},
};
use serde_json::Value;

use operators::measured;

/// The fenced blocks of the section with this title, without their fences.
fn blocks(title: &str) -> Vec<String> {
    let guide = fs::read_to_string(vector("../../docs/policy.md")).unwrap();
    let (_, section) = guide.split_once(title).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let fenced = section.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap().1.to_owned()).collect()
}

#[test]
fn the_worked_example_is_as_it_stands() {
    let blocks = blocks("## 10. A worked example");
    let [keys, order, pae, envelope, id, policy, policy_hash, activation, _] = blocks.as_slice() else {
        panic!("{blocks:#?}");
    };
    let keys: Vec<&str> = keys.lines().collect();
    let public = |at: usize| format!("ed25519:{}", keys[at]).parse().unwrap();
    let quorum = Quorum { threshold: 2, keys: vec![public(1), public(3)] };
    let read = Envelope::parse(envelope.as_bytes(), ORDER_TYPE).unwrap();
    assert_eq!(read.verify(&quorum).unwrap(), order.as_bytes());
    assert_eq!(Order::parse(order.as_bytes()).unwrap().id().to_string(), *id);
    let guide = fs::read_to_string(vector("../../docs/policy.md")).unwrap();
    assert!(guide.contains(&format!("An order, {} bytes", order.len())));
    // Signed anew, from the seeds.
    let mut made = Envelope::new(ORDER_TYPE, order.as_bytes());
    for at in [0, 2] {
        let seed: [u8; 32] = HEXLOWER.decode(keys[at].as_bytes()).unwrap().try_into().unwrap();
        made.sign(&ed25519_dalek::SigningKey::from_bytes(&seed)).unwrap();
    }
    assert_eq!(made.to_json(), *envelope);
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    assert_eq!(HEXLOWER.encode(policy.reference().sha256.as_slice()), *policy_hash);
    assert_eq!(ActivationStatement::parse(activation.as_bytes()).unwrap().payload(), activation.as_bytes());
    // What is signed is what Python made.
    let vectors: Value = serde_json::from_slice(&fs::read(vector("policy/dsse.json")).unwrap()).unwrap();
    assert!(vectors["pae"].as_array().unwrap().iter().any(|made| made["pae"] == pae.as_str()));
}

/// Words as a shell makes them of these lines: quotes, and nothing else.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

fn run(folder: &Path, words: &[String]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_cofferdam")).args(words).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn its_commands_do_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arguments = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    let public = |name: &str| {
        let shown = run(folder, &arguments(&format!("--json operator show {name}")));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        shown["public_key"].as_str().unwrap().to_owned()
    };
    // Who else there is, and what was in force before.
    for name in ["bob.pem", "client.pem"] {
        run(folder, &arguments(&format!("operator new --out {name}")));
    }
    run(folder, &arguments("policy new --deployment laptop --out the-one-in-force.json"));
    let blocks = blocks("## 10. A worked example");
    let commands = blocks.last().unwrap().replace("\\\n", " ");
    let mut ran = 0;
    for line in commands.lines().filter(|line| line.starts_with("cofferdam ")) {
        let line = line.split("  #").next().unwrap();
        let line = line.replace("ed25519:<64 digits>", &public("client.pem"));
        let mut words = words(&line);
        words.remove(0);
        if words[1] == "put" {
            continue;
        }
        let said = run(folder, &words);
        ran += 1;
        match (words[0].as_str(), words[1].as_str()) {
            ("operator", _) => {
                let keys = format!("[\"{}\", \"{}\"]", public("alice.pem"), public("bob.pem"));
                fs::write(folder.join("enclave.toml"), measured("policy", &keys)).unwrap();
                run(folder, &arguments("policy sign the-one-in-force.json --key alice.pem"));
            }
            ("policy", "show") => assert!(said.contains("relaxed against version 1"), "{said}"),
            ("policy", "verify") | ("order", "show") => assert!(said.contains("✓ verified"), "{said}"),
            _ => {}
        }
    }
    assert_eq!(ran, 8, "{commands}");
}
