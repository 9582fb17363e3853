//! Whether two answers say the same, but for what is new each time: keys, times, signatures, hashes.

use std::collections::BTreeSet;

use serde_json::Value;

/// Members whose values are new each time, or follow from others that are.
const NEW: [&str; 25] = [
    "address",
    "attestation",
    "boot",
    "certificate",
    "created_at",
    "entry",
    "envelope",
    "hash",
    "id",
    "issued_at",
    "kms_key",
    "message",
    "next_cursor",
    "object",
    "order",
    "order_id",
    "payload",
    "public_key",
    "seq",
    "sha256",
    "sig",
    "signature",
    "statement",
    "taproot_address",
    "time",
];
/// Where two answers differ that should be alike.
pub fn differences(at: &str, kept: &Value, found: &Value, list: &mut Vec<String>) {
    match (kept, found) {
        (Value::Object(kept), Value::Object(found)) => {
            let names: BTreeSet<&String> = kept.keys().chain(found.keys()).collect();
            for name in names {
                let at = format!("{at}.{name}");
                match (kept.get(name), found.get(name)) {
                    (Some(Value::String(kept)), Some(Value::String(found)))
                        if NEW.contains(&name.as_str()) =>
                    {
                        if kept.is_empty() != found.is_empty() {
                            list.push(at);
                        }
                    }
                    (Some(Value::Number(_)), Some(Value::Number(_))) if NEW.contains(&name.as_str()) => {}
                    (Some(kept), Some(found)) => differences(&at, kept, found, list),
                    _ => list.push(at),
                }
            }
        }
        (Value::Array(kept), Value::Array(found)) if kept.len() == found.len() => {
            for (index, (kept, found)) in kept.iter().zip(found).enumerate() {
                differences(&format!("{at}[{index}]"), kept, found, list);
            }
        }
        // A signed transaction and a list of public keys are as new as what is in them.
        (Value::String(_), Value::String(_)) if at.ends_with(".answer.transaction") => {}
        (Value::String(_), Value::String(_)) if at.contains(".answer.") && at.contains("public_keys[") => {}
        (Value::String(_), Value::String(_))
            if at.contains(".answer.signatures[") && at.ends_with(".transaction") => {}
        (kept, found) if kept == found => {}
        _ => list.push(format!("{at}: {kept} is kept, found {found}")),
    }
}
