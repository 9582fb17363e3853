//! `docs/policy.schema.json` and the enclave's parser agree on every sample in
//! `tests/vectors/policy/samples.json`. The schema's verdicts are PyPI `jsonschema`'s, written by
//! `schema.py` beside them. Where a sample breaks a rule that no schema can express, it says which;
//! there the parser refuses more, never less.

mod common;

use std::{collections::BTreeSet, fs};

use common::vector;
use data_encoding::HEXLOWER;
use protocol::policy::Policy;
use serde_json::Value;
use sha2::{Digest, Sha256};

fn json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(vector(name)).unwrap()).unwrap()
}

fn hash(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// `add`, `replace` and `remove` of RFC 6902.
fn apply(document: &mut Value, operation: &Value) {
    let (path, last) = operation["path"].as_str().unwrap().rsplit_once('/').unwrap();
    let value = operation["value"].clone();
    match (document.pointer_mut(path).unwrap(), operation["op"].as_str().unwrap()) {
        (Value::Object(fields), "remove") => drop(fields.remove(last).unwrap()),
        (Value::Object(fields), _) => drop(fields.insert(last.to_owned(), value)),
        (Value::Array(items), "add") if last == "-" => items.push(value),
        (Value::Array(items), "replace") => items[last.parse::<usize>().unwrap()] = value,
        other => panic!("{other:?}"),
    }
}

/// Sorted members, no white space.
fn canonical(value: &Value) -> String {
    let list = |texts: Vec<String>| texts.join(",");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(canonical).collect())),
        Value::Object(fields) => {
            let sorted: std::collections::BTreeMap<_, _> = fields.iter().collect();
            let member = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            };
            format!("{{{}}}", list(sorted.into_iter().map(member).collect()))
        }
        plain => plain.to_string(),
    }
}

#[test]
fn the_schema_and_the_parser_agree_but_for_what_a_schema_cannot_say() {
    let (base, verdicts) = (json("policy/policy.json"), json("policy/schema-verdicts.json"));
    let schema = fs::read(vector("../../docs/policy.schema.json")).unwrap();
    assert_eq!(verdicts["schema_sha256"], hash(&schema), "schema.py has to run again");
    let samples = json("policy/samples.json");
    let samples = samples.as_array().unwrap();
    assert_eq!(samples.len(), verdicts["verdicts"].as_object().unwrap().len());
    let mut beyond = BTreeSet::new();
    for sample in samples {
        let name = sample["name"].as_str().unwrap();
        let text = match sample["text"].as_str() {
            Some(text) => text.to_owned(),
            None => {
                let mut document = base.clone();
                sample["patch"].as_array().unwrap().iter().for_each(|patch| apply(&mut document, patch));
                document.to_string()
            }
        };
        let judged = &verdicts["verdicts"][name];
        let document: Value = serde_json::from_str(&text).unwrap();
        // Python reads 18446744073709551616 and 1e0 as they are, serde_json as a float.
        if !document.to_string().contains("e+19") && !text.contains("1e0") {
            assert_eq!(judged["sha256"], hash(canonical(&document).as_bytes()), "{name}");
        }
        let found = Policy::parse(text.as_bytes()).err();
        assert_eq!(found.as_ref().map(|error| error.tag()), sample["verdict"].as_str(), "{name}: {found:?}");
        let valid = judged["valid"].as_bool().unwrap();
        match sample["beyond"].as_str() {
            None => assert_eq!(valid, found.is_none(), "{name}: {found:?}"),
            Some(rule) => {
                assert!(valid && found.is_some(), "{name}: {rule}");
                beyond.insert(rule);
            }
        }
    }
    // docs/policy.md names every one of these rules.
    let guide = fs::read_to_string(vector("../../docs/policy.md")).unwrap();
    for rule in beyond {
        assert!(guide.contains(&format!("| {rule} |")), "docs/policy.md does not name: {rule}");
    }
}
