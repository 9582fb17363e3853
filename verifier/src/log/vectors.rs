//! The log of `tests/vectors/log/make.py`, which shares no code with this one.

use std::{fs, path::PathBuf};

use ed25519_dalek::VerifyingKey;
use serde_json::Value;

use super::*;
use protocol::log::{BootFacts, Chain, Entry, EntryHash};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/log")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    data_encoding::HEXLOWER.decode(text(value).as_bytes()).unwrap().try_into().unwrap()
}

/// The lines of a boot, over its segments.
fn lines(boot: &Value) -> Vec<String> {
    let files = boot["segments"].as_array().unwrap().iter().map(|first| {
        let name = format!("log/{}/{:012}.jsonl", text(&boot["boot"]), first.as_u64().unwrap());
        fs::read_to_string(folder().join(name)).unwrap()
    });
    // Not `lines`: a carriage return before the newline would be part of the line.
    files.flat_map(|file| file.split_terminator('\n').map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_log_that_was_made_without_our_code_verifies_and_has_the_same_hashes() {
    let expected: Value = serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap();
    for boot in expected["boots"].as_array().unwrap() {
        let identity = BootIdentity {
            boot: text(&boot["boot"]).parse().unwrap(),
            session: VerifyingKey::from_bytes(&bytes(&boot["session_key"])).unwrap().into(),
            config: bytes(&expected["config"]),
            pcr0: text(&expected["pcr0"]).parse().unwrap(),
            started: expected["started"].as_u64().unwrap(),
        };
        let mut verifier = Verifier::new(identity, text(&expected["deployment"]).parse().unwrap());
        let (mut hashes, mut checkpoints) = (Vec::new(), Vec::new());
        for line in lines(boot) {
            match verifier.push(line.as_bytes()).unwrap() {
                LogLine::Entry(entry) => {
                    hashes.push(EntryHash::of(line.as_bytes()).to_string());
                    assert_eq!(verifier.head().unwrap().hash.to_string(), *hashes.last().unwrap());
                    assert_eq!(entry.to_line(), line);
                }
                LogLine::Checkpoint(checkpoint) => {
                    assert_eq!(checkpoint.to_line(), line);
                    checkpoints.push(checkpoint.to_json());
                }
            }
        }
        let texts = |name: &str| -> Vec<&str> { boot[name].as_array().unwrap().iter().map(text).collect() };
        assert_eq!(hashes, texts("hashes"));
        assert_eq!(checkpoints, texts("checkpoints"));
    }
}

#[test]
fn the_writer_writes_the_bytes_of_the_other_implementation() {
    let expected: Value = serde_json::from_slice(&fs::read(folder().join("expected.json")).unwrap()).unwrap();
    for boot in expected["boots"].as_array().unwrap() {
        let lines = lines(boot);
        let mut entries = lines.iter().filter_map(|line| Entry::parse(line.as_bytes()).ok());
        let first = entries.next().unwrap();
        let facts = BootFacts::of(&first).unwrap();
        let (mut chain, line) = Chain::begin(first.boot, &facts, first.time);
        assert_eq!(line.text, first.to_line());
        for entry in entries {
            assert_eq!(chain.append(&entry.event, entry.time).text, entry.to_line());
        }
        assert_eq!(chain.head().hash.to_string(), text(boot["hashes"].as_array().unwrap().last().unwrap()));
    }
}
