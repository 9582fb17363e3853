use super::*;
use crate::Index;
use proptest::prelude::*;
use serde_json::{Value, json};

const CLIENT: &str = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const OTHER: &str = "ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

fn sample() -> Value {
    json!({
        "v": 1, "deployment": "laptop", "version": 3,
        "not_before": "2026-01-01T00:00:00Z", "not_after": "2026-02-01T00:00:00Z",
        "clients": [{"id": "backend", "key": CLIENT, "roles": ["address.create", "sign.sweep"]}],
        "rules": [
            {"name": "deposits", "purpose": "sweep"},
            {"name": "alice", "purpose": "sweep", "users": ["alice"]},
            {"name": "one", "purpose": "sweep", "keys": [id(&path("alice", 7)).to_string()]},
            {"name": "desk", "purpose": "secondary", "users": ["desk"]},
        ],
        "crediting": {"evm": "active", "bitcoin": "paused"},
        "frozen": {"users": ["mallory"]},
    })
}

fn path(user: &str, index: u64) -> KeyPath {
    KeyPath {
        user: user.parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(index).unwrap(),
    }
}

fn id(path: &KeyPath) -> KeyId {
    KeyId::derive(&"laptop".parse().unwrap(), path)
}

fn parse(value: &Value) -> Result<Policy, PolicyError> {
    Policy::parse(value.to_string().as_bytes())
}

#[test]
fn the_most_specific_rules_are_a_keys_rules() {
    let policy = parse(&sample()).unwrap();
    let name = |path: &KeyPath| policy.rules_for(path, &id(path)).map(RuleSet::name);
    assert_eq!(name(&path("bob", 0)), Some("deposits"));
    assert_eq!(name(&path("alice", 0)), Some("alice"));
    assert_eq!(name(&path("alice", 7)), Some("one"));
    let api = |user| KeyPath { purpose: Purpose::Secondary, ..path(user, 0) };
    assert_eq!(name(&api("desk")), Some("desk"));
    assert_eq!(name(&api("alice")), None, "a secondary wallet that nobody names signs nothing");
}

#[test]
fn a_policy_is_in_force_within_its_window_alone() {
    let policy = parse(&sample()).unwrap();
    let (begin, end) = (policy.not_before().milliseconds(), policy.not_after().milliseconds());
    assert!(policy.is_valid_at(begin).is_ok() && policy.is_valid_at(end - 1).is_ok());
    assert_eq!(policy.is_valid_at(begin - 1).unwrap_err().tag(), "policy.not_yet");
    assert_eq!(policy.is_valid_at(end).unwrap_err().tag(), "policy.expired");
}

#[test]
fn silence_credits_nothing_freezes_nothing_and_lifts_nothing() {
    let policy = parse(&sample()).unwrap();
    assert!(policy.credits(Chain::Evm));
    assert!(!policy.credits(Chain::Bitcoin) && !policy.credits(Chain::Solana));
    assert!(policy.freezes(&path("mallory", 0), &id(&path("mallory", 0))));
    assert!(!policy.freezes(&path("bob", 0), &id(&path("bob", 0))));
    assert!(!policy.lifts(&OrderId::from_payload(b"")));
    assert!(policy.client("backend").is_some() && policy.client("Backend").is_none());
}

#[test]
fn a_client_with_an_operators_key_is_found() {
    let policy = parse(&sample()).unwrap();
    assert!(policy.names_operator(&[CLIENT.parse().unwrap()]));
    assert!(!policy.names_operator(&[OTHER.parse().unwrap()]));
}

#[test]
fn policies_that_contradict_themselves_are_refused() {
    let change = |pointer: &str, value: Value| {
        let mut policy = sample();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match policy.pointer_mut(parent).unwrap() {
            Value::Array(items) => items.push(value),
            Value::Object(fields) => drop(fields.insert(field.into(), value)),
            _ => unreachable!(),
        }
        parse(&policy).unwrap_err().tag()
    };
    for (pointer, value, tag) in [
        ("/v", json!(2), "policy.value"),
        ("/version", json!(0), "policy.value"),
        ("/more", json!(1), "policy.malformed"),
        ("/not_after", json!("2026-01-01T00:00:00Z"), "policy.value"),
        ("/not_after", json!("2027-06-01T00:00:00Z"), "policy.value"),
        ("/not_after", json!("2026-02-01"), "policy.malformed"),
        ("/clients/0/roles", json!(["root"]), "policy.malformed"),
        ("/clients/0/id", json!("Backend"), "policy.malformed"),
        ("/clients/0/key", json!("ed25519:00"), "policy.malformed"),
        ("/clients/-", json!({"id": "backend", "key": OTHER, "roles": []}), "policy.value"),
        ("/clients/-", json!({"id": "other", "key": CLIENT, "roles": []}), "policy.value"),
        ("/rules/-", json!({"name": "deposits", "purpose": "secondary", "users": ["x"]}), "policy.value"),
        ("/rules/-", json!({"name": "again", "purpose": "sweep"}), "policy.ambiguous"),
        ("/rules/-", json!({"name": "again", "purpose": "sweep", "users": ["alice"]}), "policy.ambiguous"),
        ("/rules/-", json!({"name": "all api", "purpose": "secondary"}), "policy.value"),
        ("/rules/-", json!({"name": "none", "purpose": "sweep", "users": []}), "policy.value"),
        ("/crediting/doge", json!("active"), "policy.malformed"),
        ("/lifted_orders", json!(["order_x"]), "policy.malformed"),
    ] {
        assert_eq!(change(pointer, value), tag, "{pointer}");
    }
    for (once, twice) in [
        (r#""evm":"active""#, r#""evm":"paused","evm":"active""#),
        (r#""users":["mallory"]"#, r#""users":["mallory","mallory"]"#),
        (r#"["address.create","sign.sweep"]"#, r#"["sign.sweep","sign.sweep"]"#),
    ] {
        let text = sample().to_string();
        assert!(text.contains(once), "{text}");
        let changed = text.replacen(once, twice, 1);
        assert_eq!(Policy::parse(changed.as_bytes()).unwrap_err().tag(), "policy.malformed", "{twice}");
    }
    let twice = sample().to_string().replacen("\"v\":1", "\"v\":1,\"v\":1", 1);
    assert!(Policy::parse(twice.as_bytes()).is_err());
    assert!(Policy::parse(&[b' '; MAX_POLICY + 1]).is_err());
}

#[test]
fn a_policy_is_named_by_the_bytes_that_were_signed() {
    let compact = parse(&sample()).unwrap().reference();
    let pretty = serde_json::to_vec_pretty(&sample()).unwrap();
    assert_ne!(Policy::parse(&pretty).unwrap().reference(), compact);
}

proptest! {
    #[test]
    fn any_bytes_are_a_policy_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Policy::parse(&bytes);
    }
}
