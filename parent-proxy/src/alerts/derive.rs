//! From entries of the log to events.

use super::{
    event::{Event, EventKind},
    gather::Gathering,
    meter::family,
    view::{Policy, View},
};
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
    pub(super) fn entry(&mut self, view: &View, window: u64, now: u64) -> Vec<Event> {
        let mut events = self.gathering.due(Some(view.time), window, now);
        if view.is_denied() {
            self.gathering.add(EventKind::from_denial(&view.tag), &view.tag, view, window, now);
        } else {
            events.extend(self.allowed(view));
        }
        for meter in view.near_limit() {
            self.gathering.add(EventKind::NearLimit, &family(meter), view, window, now);
        }
        events
    }

    fn allowed(&mut self, view: &View) -> Option<Event> {
        let kind = match view.operation.as_str() {
            "boot" => EventKind::Booted,
            "order.submit" => EventKind::OrderAccepted,
            "key.replace" => EventKind::KeyReplaced,
            "policy.put" => {
                // Every boot is given the policy anew.
                if view.policy == self.policy {
                    return None;
                }
                self.policy.clone_from(&view.policy);
                EventKind::PolicyChanged
            }
            "activation.put" => EventKind::Activated,
            _ => return None,
        };
        let mut event = Event::from_entry(kind, None, &view.boot, view.seq, view.time);
        event.client.clone_from(&view.client);
        event.keys = view.keys().cloned().collect();
        event.detail = view.detail.clone().unwrap_or_default();
        if let (EventKind::PolicyChanged, Some(policy)) = (kind, &view.policy) {
            event.detail.insert("version".into(), policy.version.into());
            event.detail.insert("sha256".into(), policy.sha256.clone().into());
        }
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let mut memory = Memory::default();
        let mut events = Vec::new();
        for seq in 1..=10_000 {
            let (tag, client) = [("auth.signature", "a"), ("auth.stale", "b")][usize::from(seq % 5 == 0)];
            let view = denied(seq, tag, client);
            events.extend(memory.entry(&view, MINUTE, 5));
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
                (EventKind::AuthFailed, "auth.signature".into(), 8000),
                (EventKind::AuthFailed, "auth.stale".into(), 2000)
            ]
        );
        assert_eq!((events[0].client.as_deref(), events[0].seq), (Some("a"), Some(1)));
        assert_eq!((&events[0].keys, &events[0].detail["last_seq"]), (&vec!["key_a".into()], &json!(9999)));
        assert!(memory.gathering.is_empty());
    }

    #[test]
    fn an_entry_that_counts_strangers_is_as_many_of_an_event() {
        let mut memory = Memory::default();
        memory.entry(&denied(1, "auth.strangers", "a"), MINUTE, 0);
        let detail = json!({"count": 9001, "tags": {"auth.client": 9000, "dsse.malformed": 1}});
        let counts = json!({"decision": "deny", "tag": "auth.strangers", "detail": detail});
        memory.entry(&entry(2, counts), MINUTE, 0);
        let events = memory.gathering.due(None, MINUTE, MINUTE);
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind, &events[0].detail["count"]), (EventKind::AuthFailed, &json!(9002)));
    }

    #[test]
    fn the_next_minute_on_the_log_ends_the_one_before() {
        let mut memory = Memory::default();
        assert!(memory.entry(&denied(1, "policy.evm.destination", "a"), MINUTE, 0).is_empty());
        let later = entry(2, json!({"time": 1_700_000_061_000u64, "detail": {"kind": "evm.native"}}));
        let events = memory.entry(&later, MINUTE, 0);
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].kind, events[0].seq), (EventKind::Denied, Some(1)));
    }

    #[test]
    fn hostile_tags_cost_no_events_without_bound() {
        let mut memory = Memory::default();
        for seq in 1..=5000 {
            memory.entry(&denied(seq, &format!("policy.x{seq}"), "a"), MINUTE, 0);
            memory.entry(&denied(seq, &format!("unknown{seq}.\"\n"), "a"), MINUTE, 0);
            let kind = json!({"detail": {"kind": format!("evm.{seq}"), "near_limit": [format!("key_{seq}/x{seq}")]}});
            memory.entry(&entry(seq, kind), MINUTE, 0);
        }
        assert!(memory.gathering.due(None, MINUTE, MINUTE).len() <= 70);
    }

    #[test]
    fn orders_policies_boots_and_near_bounds_are_told() {
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
            json!({"detail": {"near_limit": ["evm:1/native", "evm:1/0xa0b8/key", "tron/fee"]}}),
            json!({"decision": "deny", "tag": "kms.denied"}),
            json!({}),
        ]
        .into_iter()
        .enumerate()
        {
            let events = memory.entry(&entry(seq as u64 + 1, fields), MINUTE, 0);
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
                told(EventKind::Booted, ""),
                told(EventKind::PolicyChanged, ""),
                told(EventKind::PolicyChanged, ""),
                told(EventKind::OrderAccepted, ""),
                told(EventKind::KeyReplaced, ""),
                told(EventKind::Activated, ""),
                told(EventKind::NearLimit, "evm/native"),
                told(EventKind::NearLimit, "evm/token/key"),
                told(EventKind::NearLimit, "tron/fee"),
                told(EventKind::KmsDenied, "kms.denied"),
            ]
        );
    }
}
