//! Reads the few forms of structured fields (RFC 9651) that a signed request is made of, in the spelling
//! that section 4.1 there writes, so that what was read and what was signed cannot differ.

use crate::base64;

/// What is left of a header's value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// All that is left.
    pub(super) const fn rest(&self) -> &'t str {
        self.rest
    }

    /// Takes this text, if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes all ASCII characters of this kind that come next.
    fn take_all(&mut self, wanted: impl Fn(u8) -> bool) -> &'t str {
        let end = self.rest.bytes().position(|byte| !byte.is_ascii() || !wanted(byte));
        let taken = self.rest.split_at_checked(end.unwrap_or(self.rest.len()));
        let (taken, rest) = taken.unwrap_or(("", self.rest));
        self.rest = rest;
        taken
    }

    /// A key (section 3.1.2): of a member, or of a parameter.
    pub(super) fn key(&mut self) -> Option<&'t str> {
        let key = self.take_all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'*')
        });
        key.starts_with(|c: char| c.is_ascii_lowercase() || c == '*').then_some(key)
    }

    /// A string (section 3.3.3) without anything escaped: no `"` and no `\` within.
    pub(super) fn string(&mut self) -> Option<&'t str> {
        if !self.take("\"") {
            return None;
        }
        let text = self.take_all(|b| matches!(b, b' '..=b'~') && !matches!(b, b'"' | b'\\'));
        self.take("\"").then_some(text)
    }

    /// An integer (section 3.3.1) that is not negative: at most 15 digits, without zeros in front.
    pub(super) fn integer(&mut self) -> Option<u64> {
        let digits = self.take_all(|b| b.is_ascii_digit());
        let canonical = digits == "0" || (digits.len() <= 15 && !digits.starts_with('0'));
        if canonical { digits.parse().ok() } else { None }
    }

    /// A byte sequence (section 3.3.5) of this many bytes, in base64 with padding.
    pub(super) fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        if !self.take(":") {
            return None;
        }
        let text = self.take_all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        let bytes = base64::decode(text)?.try_into().ok()?;
        self.take(":").then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a form takes of a text, and what it leaves.
    fn read<'t, T>(text: &'t str, form: fn(&mut Reader<'t>) -> Option<T>) -> (Option<T>, &'t str) {
        let mut reader = Reader::new(text);
        (form(&mut reader), reader.rest())
    }

    #[test]
    fn keys_begin_with_a_lower_case_letter_or_a_star() {
        assert_eq!(read("sig1=", Reader::key), (Some("sig1"), "="));
        assert_eq!(read("*a_-.*9;", Reader::key), (Some("*a_-.*9"), ";"));
        for text in ["", "=", "1a=", "-a=", "Sig=", "é="] {
            assert_eq!(read(text, Reader::key).0, None, "{text}");
        }
    }

    #[test]
    fn strings_have_no_escapes_and_nothing_but_ascii() {
        assert_eq!(read("\"a b\";", Reader::string), (Some("a b"), ";"));
        assert_eq!(read("\"\"", Reader::string), (Some(""), ""));
        for text in ["", "a", "\"", "\"a", "\"\\\"\"", "\"a\\b\"", "\"é\"", "\"a\tb\"", "\"\u{7f}\""] {
            assert_eq!(read(text, Reader::string).0, None, "{text}");
        }
    }

    #[test]
    fn integers_have_one_spelling() {
        assert_eq!(read("0;", Reader::integer), (Some(0), ";"));
        assert_eq!(read("999999999999999", Reader::integer), (Some(999_999_999_999_999), ""));
        for text in ["", "00", "01", "-1", "+1", " 1", "1000000000000000", "18446744073709551616", "٣"] {
            assert_eq!(read(text, Reader::integer).0, None, "{text}");
        }
        // A decimal leaves its fraction, at which every caller stops.
        assert_eq!(read("1.5", Reader::integer), (Some(1), ".5"));
    }

    #[test]
    fn bytes_are_of_the_wanted_length_and_have_one_spelling() {
        assert_eq!(read(":AQI=:,", Reader::bytes::<2>), (Some([1, 2]), ","));
        for text in
            ["", "AQI=", ":AQI=", ":AQI:", ":AQJ=:", ":AQI==:", ":AQ I=:", ":AQID:", ":A-I=:", "::", ":AQ=I:"]
        {
            assert_eq!(read(text, Reader::bytes::<2>).0, None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_form_panic(text in any::<String>(), start in "[\":]?") {
            let text = start + &text;
            let _ = read(&text, Reader::key);
            let _ = read(&text, Reader::string);
            let _ = read(&text, Reader::integer);
            let _ = read(&text, Reader::bytes::<64>);
        }
    }
}
