//! Standard base64 in its one spelling (RFC 4648 §4, with padding).

use data_encoding::BASE64;

/// The bytes. Padding is at the end alone: the library also takes texts that were put together.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.trim_end_matches('=').contains('=') {
        return None;
    }
    BASE64.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn bytes_have_one_text() {
        assert_eq!(decode("e30="), Some(b"{}".to_vec()));
        assert_eq!(decode(""), Some(Vec::new()));
        for text in ["ew==fQ==", "AA==AA==", "e30", "e30==", "e30-", "e3 0=", "="] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
