//! The patterns of the OpenAPI document, each by the names of the fields and parameters that have it. That of
//! names is made from the list that the enclave reads names by; the others are compared with the server's
//! readers by tests.

use protocol::HIDDEN;
use serde_json::{Value, json};

/// Of a key id: the last of its 52 characters carries one bit.
const KEY_ID: &str = "^key_[a-z2-7]{51}[aq]$";
const ORDER_ID: &str = "^order_[a-z2-7]{51}[aq]$";
const HASH: &str = "^[0-9a-f]{64}$";
const PUBLIC_KEY: &str = "^([0-9a-f]{64}|[0-9a-f]{66})$";
const ADDRESS: &str = "^[0-9A-Za-z]{1,128}$";
const JWS: &str = "^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+$";
const OPERATOR: &str = "^ed25519:[0-9a-f]{64}$";

/// The pattern of users and labels, as JSON Schema has patterns (ECMA-262, by code points): nothing hidden,
/// and no white space at the ends. Their length counts in bytes, which no pattern says.
pub fn text() -> String {
    let written = |c: char| {
        let code = u32::from(c);
        if code > 0xffff { c.to_string() } else { format!("\\u{code:04x}") }
    };
    let range = |(first, last): &(char, char)| match u32::from(*last).saturating_sub(u32::from(*first)) {
        0 => written(*first),
        1 => written(*first) + &written(*last),
        _ => format!("{}-{}", written(*first), written(*last)),
    };
    let hidden: String = HIDDEN.iter().map(range).collect();
    format!("^[^\\s{hidden}]([^{hidden}]*[^\\s{hidden}])?$")
}

/// The pattern of a field or parameter of this name.
fn pattern_of(name: &str) -> Option<String> {
    let pattern = match name {
        "user" | "label" => return Some(text()),
        "key_id" | "retired" => KEY_ID,
        "order_id" => ORDER_ID,
        "sha256" | "attestation" | "boot" => HASH,
        "public_key" | "public_keys" => PUBLIC_KEY,
        "address" | "taproot_address" => ADDRESS,
        "certificate" | "statement" => JWS,
        "keyid" => OPERATOR,
        _ => return None,
    };
    Some(pattern.into())
}

/// Gives the schema of a field or parameter its pattern, where it is a string or a list of them.
pub(super) fn apply(name: &str, schema: &mut Value) {
    // Of a request the ids, of a page of keys objects.
    let name = if name == "keys" { "key_id" } else { name };
    let Some(pattern) = pattern_of(name) else { return };
    let is_string = |schema: &Value| match &schema["type"] {
        Value::String(kind) => kind == "string",
        Value::Array(kinds) => kinds.contains(&json!("string")),
        _ => false,
    };
    let schema = match schema.get("items") {
        Some(_) => &mut schema["items"],
        None => schema,
    };
    if is_string(schema) {
        schema["pattern"] = pattern.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prelude::*, strategy::ValueTree, string::string_regex, test_runner::TestRunner};
    use protocol::{KeyId, OrderId, UserRef, api::expected_of_check, operators::Ed25519Key};

    /// Texts that a pattern allows.
    fn allowed(pattern: &str) -> impl Iterator<Item = String> {
        // The generator has no anchors: it always means the whole.
        let pattern = pattern.trim_start_matches('^').trim_end_matches('$').to_owned();
        let (strategy, mut runner) = (string_regex(&pattern).unwrap(), TestRunner::deterministic());
        (0..200).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
    }

    #[test]
    fn what_a_pattern_allows_the_server_reads() {
        let check = |name: &str, text: &str| {
            expected_of_check(format!("{{\"{name}\":\"{text}\"}}").as_bytes()).is_ok()
        };
        for id in allowed(KEY_ID) {
            assert!(id.parse::<KeyId>().is_ok(), "{id}");
        }
        for id in allowed(ORDER_ID) {
            assert!(id.parse::<OrderId>().is_ok(), "{id}");
        }
        for hash in allowed(HASH) {
            assert!(hash.parse::<attestation::DocumentHash>().is_ok(), "{hash}");
        }
        for text in allowed(PUBLIC_KEY) {
            assert!(check("public_key", &text), "{text}");
        }
        for text in allowed(ADDRESS) {
            assert!(check("address", &text), "{text}");
        }
        // One that is on the curve, and one character less.
        let operator = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert!(operator.parse::<Ed25519Key>().is_ok() && operator[1..].parse::<Ed25519Key>().is_err());
        for text in allowed(&text()) {
            assert!(text.len() > UserRef::MAX || text.parse::<UserRef>().is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_the_pattern_of_names_forbids_the_server_refuses_and_nothing_more() {
        let pattern = text();
        let hidden = |c: char| HIDDEN.iter().any(|(first, last)| (*first..=*last).contains(&c));
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let (within, alone) = (format!("a{c}a"), c.to_string());
            assert_eq!(within.parse::<UserRef>().is_err(), hidden(c), "U+{:04X}", u32::from(c));
            assert_eq!(alone.parse::<UserRef>().is_err(), hidden(c) || c.is_whitespace(), "{c:?}");
        }
        assert!(pattern.contains("\\u115f\\u1160") && pattern.contains("\\u180b-\\u180f"), "{pattern}");
    }

    proptest! {
        #[test]
        fn an_id_that_the_server_reads_its_pattern_allows(bytes: [u8; 32]) {
            let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
            let last = text.chars().last();
            prop_assert!(text.len() == 52 && matches!(last, Some('a' | 'q')), "{text}");
            let id = format!("key_{}", text);
            prop_assert!(id.parse::<KeyId>().is_ok());
        }
    }
}
