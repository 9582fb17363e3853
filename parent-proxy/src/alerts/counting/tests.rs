use super::*;
use attestation::DocumentHash;
use serde_json::{Value, json};

/// What is counted of entries with these fields.
fn counted(entries: impl IntoIterator<Item = Value>) -> String {
    let (metrics, mut policy) = (Metrics::new(), None);
    for (seq, fields) in (1u64..).zip(entries) {
        let mut line = json!({
            "v": 1, "boot": DocumentHash::of(b"boot"), "seq": seq, "time": 1_700_000_000_000u64 + seq,
            "operation": "transaction.sign", "client": null, "keys": [], "decision": "allow", "tag": "ok",
            "policy": null,
        });
        for (name, value) in fields.as_object().unwrap() {
            line[name] = value.clone();
        }
        entry(&View::read(&line.to_string()).unwrap(), &mut policy, metrics.alerts());
    }
    metrics.encode().unwrap()
}

fn denied(tag: &str) -> Value {
    json!({"decision": "deny", "tag": tag})
}

fn holds(text: &str, lines: &[&str]) {
    for line in lines {
        let line = format!("cofferdam_parent_{line}");
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn refusals_signatures_orders_policies_and_boots_are_counted() {
    let policy =
        |version: u64| json!({"operation": "policy.put", "policy": {"version": version, "sha256": "aa"}});
    let text = counted([
        json!({"operation": "boot", "detail": {"pcr0": "00"}}),
        policy(1),
        policy(1),
        policy(2),
        json!({"operation": "order.submit", "detail": {"type": "freeze_all"}}),
        json!({"operation": "order.replay", "detail": {"type": "freeze_all"}}),
        json!({"operation": "key.replace", "detail": {"type": "retire_key"}}),
        json!({"detail": {"kind": "evm.native", "near_limit": ["evm:1/0xa0b8/key", "tron/fee"]}}),
        denied("auth.signature"),
        denied("auth.signature"),
        denied("policy.evm.destination"),
        denied("kms.denied"),
    ]);
    holds(
        &text,
        &[
            "boots_total 1",
            "policy_changes_total 2",
            r#"orders_total{type="freeze_all"} 1"#,
            r#"orders_total{type="retire_key"} 1"#,
            r#"signatures_total{chain="evm",kind="evm.native"} 1"#,
            r#"velocity_near_limit_total{meter="evm/token/key"} 1"#,
            r#"velocity_near_limit_total{meter="tron/fee"} 1"#,
            r#"auth_failures_total{tag="auth.signature"} 2"#,
            r#"denials_total{tag="policy.evm.destination"} 1"#,
            "kms_denials_total 1",
        ],
    );
}

#[test]
fn what_an_entry_counts_of_strangers_is_counted_by_its_tags() {
    let tags = json!({"auth.client": 9000, "auth.signature": 40, "dsse.malformed": 3});
    let text = counted([
        denied("auth.client"),
        json!({"decision": "deny", "tag": "auth.strangers", "detail": {"count": 9043, "tags": tags}}),
        // A tag that only looks like it counts nothing but itself.
        json!({"decision": "deny", "tag": "policy.network", "detail": {"tags": {"auth.client": 7}}}),
    ]);
    holds(
        &text,
        &[
            r#"auth_failures_total{tag="auth.client"} 9001"#,
            r#"auth_failures_total{tag="auth.signature"} 40"#,
            r#"denials_total{tag="dsse.malformed"} 3"#,
            r#"denials_total{tag="policy.network"} 1"#,
        ],
    );
    assert!(!text.contains("auth.strangers"), "{text}");
}

#[test]
fn hostile_tags_kinds_and_meters_cost_no_labels_without_bound() {
    let text = counted((0..5000).flat_map(|n| {
        let kind = json!({"detail": {"kind": format!("evm.{n}"), "near_limit": [format!("key_{n}/x{n}")]}});
        let tags = json!({format!("auth.x{n}"): 1, format!("policy.y{n}"): 1});
        let counts = json!({"decision": "deny", "tag": "auth.strangers", "detail": {"tags": tags}});
        [denied(&format!("policy.x{n}")), denied(&format!("unknown{n}.\"\n")), kind, counts]
    }));
    assert!(text.lines().count() < 800, "{}", text.lines().count());
    assert!(text.contains(r#"denials_total{tag="other"}"#) && !text.contains("key_"));
}
