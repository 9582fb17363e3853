//! Writes the JSON of the log: no white space, one spelling for every value, and no way to fail.
//! Strings are escaped as RFC 8785 §3.2.2.2 says.

use std::fmt::{Display, Write as _};

use data_encoding::HEXLOWER;

/// Appends a JSON string.
pub(super) fn text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => {
                // Writing to a String does not fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends bytes as a JSON string of hexadecimal digits.
pub(super) fn hex(out: &mut String, bytes: &[u8]) {
    out.push('"');
    HEXLOWER.encode_append(bytes, out);
    out.push('"');
}

/// Appends something that needs no escape.
pub(super) fn plain(out: &mut String, value: impl Display) {
    let _ = write!(out, "{value}");
}

/// Appends what is there, or null.
pub(super) fn option<T>(out: &mut String, value: Option<T>, write: impl FnOnce(&mut String, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn strings_are_escaped_as_serde_json_does(text: String) {
            let mut out = String::new();
            super::text(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_string(&text).unwrap());
        }
    }

    #[test]
    fn every_control_character_is_escaped_as_serde_json_does() {
        let text: String = (0..0xa0u8).map(char::from).chain(['\u{2028}', '\u{10ffff}']).collect();
        let mut out = String::new();
        super::text(&mut out, &text);
        assert_eq!(out, serde_json::to_string(&text).unwrap());
        assert!(!out.contains('\n'));
    }
}
