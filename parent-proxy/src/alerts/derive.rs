//! From entries of the log to events and counters.

use super::{
    event::{Event, Kind},
    gather::Gathering,
    view::{Policy, View},
};
use crate::metrics::AlertMetrics;
use serde::{Deserialize, Serialize};

/// What is remembered from entry to entry.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    #[serde(default)]
    pub(super) gathering: Gathering,
    #[serde(default)]
    policy: Option<Policy>,
}

impl Memory {
    /// What an entry gives rise to. `window` is the length of a gathering and `now` the parent's
    /// time, both in milliseconds.
    pub(super) fn entry(&mut self, view: &View, window: u64, now: u64, metrics: &AlertMetrics) -> Vec<Event> {
        let mut events = self.gathering.due(Some(view.time), window, now);
        if view.is_denied() {
            let kind = match view.tag.split('.').next() {
                Some("auth") => {
                    metrics.auth_failed(&view.tag);
                    Kind::AuthFailed
                }
                Some("kms") if view.tag == "kms.denied" => {
                    metrics.kms_denied();
                    Kind::KmsDenied
                }
                _ => {
                    metrics.denied(&view.tag);
                    Kind::Denied
                }
            };
            self.gathering.add(kind, &view.tag, view, window, now);
        } else {
            events.extend(self.allowed(view, metrics));
        }
        for meter in view.near_limit() {
            let meter = meter_family(meter);
            metrics.near_limit(&meter);
            self.gathering.add(Kind::NearLimit, &meter, view, window, now);
        }
        events
    }

    fn allowed(&mut self, view: &View, metrics: &AlertMetrics) -> Option<Event> {
        let kind = match view.operation.as_str() {
            "boot" => {
                metrics.booted();
                Kind::Booted
            }
            "order.submit" => {
                metrics.order(order_type(view));
                Kind::OrderAccepted
            }
            "key.replace" => {
                metrics.order(order_type(view));
                Kind::KeyReplaced
            }
            "policy.put" => {
                // Every boot is given the policy anew.
                if view.policy == self.policy {
                    return None;
                }
                self.policy.clone_from(&view.policy);
                metrics.policy_changed();
                Kind::PolicyChanged
            }
            "activation.put" => Kind::Activated,
            "transaction.sign" => {
                metrics.signature(view.text("kind"));
                return None;
            }
            _ => return None,
        };
        let mut event = Event::of_entry(kind, None, &view.boot, view.seq, view.time);
        event.client.clone_from(&view.client);
        event.keys = view.keys().cloned().collect();
        event.detail = view.detail.clone().unwrap_or_default();
        if let (Kind::PolicyChanged, Some(policy)) = (kind, &view.policy) {
            event.detail.insert("version".into(), policy.version.into());
            event.detail.insert("sha256".into(), policy.sha256.clone().into());
        }
        Some(event)
    }
}

/// The type of an order, from the fixed set.
fn order_type(view: &View) -> &'static str {
    match view.text("type") {
        "freeze_all" => "freeze_all",
        "freeze_chain" => "freeze_chain",
        "freeze_user" => "freeze_user",
        "freeze_key" => "freeze_key",
        "pause_crediting" => "pause_crediting",
        "retire_key" => "retire_key",
        _ => "other",
    }
}

/// The family of a meter, from a small set: `evm:1/0xa0b8… of one key` is `evm/token/key`.
fn meter_family(meter: &str) -> String {
    let (name, of_key) = match meter.strip_suffix(" of one key") {
        Some(name) => (name, "/key"),
        None => (meter, ""),
    };
    let (network, asset) = name.split_once('/').unwrap_or((name, ""));
    let chain = match network.split(':').next() {
        Some("evm") => "evm",
        Some("bitcoin") => "bitcoin",
        Some("solana") => "solana",
        Some("tron") => "tron",
        _ => "other",
    };
    let asset = match asset {
        "native" => "native",
        "fee" => "fee",
        "" => "all",
        _ => "token",
    };
    format!("{chain}/{asset}{of_key}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use attestation::DocumentHash;
    use serde_json::{Value, json};

    const MINUTE: u64 = 60_000;

    fn entry(seq: u64, fields: Value) -> View {
        let mut entry = json!({
            "v": 1, "boot": DocumentHash::of(b"boot"), "seq": seq, "time": 1_700_000_000_000u64 + seq, "operation":
            "transaction.sign", "client": null, "keys": [], "decision": "allow", "tag": "ok", "policy": null,
        });
        for (name, value) in fields.as_object().unwrap() {
            entry[name] = value.clone();
        }
        View::read(&entry.to_string()).unwrap()
    }

    fn denied(seq: u64, tag: &str, client: &str) -> View {
        entry(
            seq,
            json!({"decision": "deny", "tag": tag, "client": client, "keys": [format!("key_{client}")]}),
        )
    }

    #[test]
    fn a_flood_of_a_minute_is_one_event_for_each_tag() {
        let metrics = Metrics::new();
        let mut memory = Memory::default();
        let mut events = Vec::new();
        for seq in 1..=10_000 {
            let (tag, client) = [("auth.signature", "a"), ("auth.stale", "b")][usize::from(seq % 5 == 0)];
            let view = denied(seq, tag, client);
            events.extend(memory.entry(&view, MINUTE, 5, metrics.alerts()));
        }
        assert!(events.is_empty(), "all within a minute: {events:?}");
        // As after a restart.
        let mut memory: Memory = serde_json::from_value(serde_json::to_value(&memory).unwrap()).unwrap();
        assert!(memory.gathering.due(None, MINUTE, 59_999).is_empty());
        let events = memory.gathering.due(None, MINUTE, 60_005);
        let counts =
            |event: &Event| (event.kind, event.tag.clone().unwrap(), event.detail["count"].as_u64().unwrap());
        assert_eq!(
            events.iter().map(counts).collect::<Vec<_>>(),
            [
                (Kind::AuthFailed, "auth.signature".into(), 8000),
                (Kind::AuthFailed, "auth.stale".into(), 2000)
            ]
        );
        assert_eq!((events[0].client.as_deref(), events[0].seq), (Some("a"), Some(1)));
        assert_eq!((&events[0].keys, &events[0].detail["last_seq"]), (&vec!["key_a".into()], &json!(9999)));
        assert!(memory.gathering.is_empty());
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(r#"cofferdam_parent_auth_failures_total{tag="auth.signature"} 8000"#),
            "{text}"
        );
    }

    #[test]
    fn the_next_minute_on_the_log_ends_the_one_before() {
        let metrics = Metrics::new();
        let mut memory = Memory::default();
        assert!(
            memory.entry(&denied(1, "policy.evm.destination", "a"), MINUTE, 0, metrics.alerts()).is_empty()
        );
        let later = entry(2, json!({"time": 1_700_000_061_000u64, "detail": {"kind": "evm.native"}}));
        let events = memory.entry(&later, MINUTE, 0, metrics.alerts());
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind, events[0].seq), (Kind::Denied, Some(1)));
        let text = metrics.encode().unwrap();
        for line in [
            r#"cofferdam_parent_denials_total{tag="policy.evm.destination"} 1"#,
            r#"cofferdam_parent_signatures_total{chain="evm",kind="evm.native"} 1"#,
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn hostile_tags_cost_neither_events_nor_labels_without_bound() {
        let metrics = Metrics::new();
        let mut memory = Memory::default();
        for seq in 1..=5000 {
            memory.entry(&denied(seq, &format!("policy.x{seq}"), "a"), MINUTE, 0, metrics.alerts());
            memory.entry(&denied(seq, &format!("unknown{seq}.\"\n"), "a"), MINUTE, 0, metrics.alerts());
            let kind = json!({"detail": {"kind": format!("evm.{seq}"), "near_limit": [format!("key_{seq}/x{seq}")]}});
            memory.entry(&entry(seq, kind), MINUTE, 0, metrics.alerts());
        }
        assert!(memory.gathering.due(None, MINUTE, MINUTE).len() <= 70);
        let text = metrics.encode().unwrap();
        assert!(text.lines().count() < 800, "{}", text.lines().count());
        assert!(text.contains(r#"denials_total{tag="other"}"#) && !text.contains("key_"));
    }

    #[test]
    fn orders_policies_boots_and_near_bounds_are_told() {
        let metrics = Metrics::new();
        let mut memory = Memory::default();
        let mut kinds = Vec::new();
        let policy =
            |version: u64| json!({"operation": "policy.put", "policy": {"version": version, "sha256": "aa"}});
        for (seq, fields) in [
            json!({"operation": "boot", "detail": {"pcr0": "00"}}),
            policy(1),
            policy(1),
            policy(2),
            json!({"operation": "order.submit", "client": "ops", "detail": {"type": "freeze_all", "order": "order_x"}}),
            json!({"operation": "order.replay", "detail": {"type": "freeze_all", "order": "order_x"}}),
            json!({"operation": "key.replace", "keys": ["key_a"], "detail": {"type": "retire_key"}}),
            json!({"operation": "activation.put"}),
            json!({"detail": {"near_limit": ["evm:1/native", "evm:1/0xa0b8 of one key", "tron/fee"]}}),
            json!({"decision": "deny", "tag": "kms.denied"}),
            json!({}),
        ]
        .into_iter()
        .enumerate()
        {
            let events = memory.entry(&entry(seq as u64 + 1, fields), MINUTE, 0, metrics.alerts());
            kinds.extend(events.into_iter().map(|event| (event.kind, event.tag.unwrap_or_default())));
        }
        kinds.extend(
            memory
                .gathering
                .due(None, MINUTE, MINUTE)
                .into_iter()
                .map(|event| (event.kind, event.tag.unwrap())),
        );
        let told = |kind, tag: &str| (kind, tag.to_owned());
        assert_eq!(
            kinds,
            [
                told(Kind::Booted, ""),
                told(Kind::PolicyChanged, ""),
                told(Kind::PolicyChanged, ""),
                told(Kind::OrderAccepted, ""),
                told(Kind::KeyReplaced, ""),
                told(Kind::Activated, ""),
                told(Kind::NearLimit, "evm/native"),
                told(Kind::NearLimit, "evm/token/key"),
                told(Kind::NearLimit, "tron/fee"),
                told(Kind::KmsDenied, "kms.denied"),
            ]
        );
        let text = metrics.encode().unwrap();
        for line in [
            r#"orders_total{type="freeze_all"} 1"#,
            r#"velocity_near_limit_total{meter="evm/token/key"} 1"#,
            "kms_denials_total 1",
            "policy_changes_total 2",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
