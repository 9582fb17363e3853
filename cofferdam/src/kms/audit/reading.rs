//! Text as AWS and its tools write it: in UTF-8 or UTF-16 (PowerShell's `>`), with a byte order mark or
//! without; and a policy as the API itself answers it, URL-encoded (RFC 3986). Source: IAM API Reference,
//! `PolicyVersion`.

use std::path::Path;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    json::Unambiguous,
};

/// What an account's policies or a key's grants may take.
pub(in crate::kms) const MAX_ACCOUNT: u64 = 64 << 20;

/// Reads text of at most [`MAX_TEXT`] bytes.
pub(in crate::kms) fn text(file: &Path) -> Result<String, Error> {
    long_text(file, MAX_TEXT)
}

/// Reads text of at most so many bytes.
pub(in crate::kms) fn long_text(file: &Path, limit: u64) -> Result<String, Error> {
    let bytes = input::read(file, limit)?;
    decoded(&bytes).ok_or_else(|| Error::input(file.display(), "text in UTF-8 or UTF-16 was expected"))
}

/// Refuses JSON in which a member stands twice: its reader would take one of them without a word.
pub(in crate::kms) fn unambiguous(file: &Path, text: &str) -> Result<(), Error> {
    let read = serde_json::from_str::<Unambiguous>(text);
    read.map(drop).map_err(|error| {
        Error::input(file.display(), format_args!("JSON without repeated members was expected: {error}"))
    })
}

fn decoded(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        rest.is_empty().then(|| String::from_utf16(&units).ok())?
    };
    match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // JSON begins with a character of ASCII.
        [first, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

/// The text of a policy that is URL-encoded; none where it is not.
pub(super) fn url_decoded(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.get(..3)?.eq_ignore_ascii_case("%7B") {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next()?)?.checked_mul(16)?.checked_add(digit(rest.next()?)?)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_every_form_in_which_tools_write_it() {
        let text = "{\"é\": \"\u{1f512}\"}";
        let units = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        let (le, be) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
        let with = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for bytes in [
            text.as_bytes().to_vec(),
            with(&[0xef, 0xbb, 0xbf], text.as_bytes()),
            with(&[0xff, 0xfe], &le),
            with(&[0xfe, 0xff], &be),
            le,
            be,
        ] {
            assert_eq!(decoded(&bytes).as_deref(), Some(text), "{bytes:?}");
        }
        for bad in [&[0xff, 0xfe, 0x00][..], &[0xff, 0xfe, 0x00, 0xd8], &[0x7b, 0xff]] {
            assert_eq!(decoded(bad), None, "{bad:?}");
        }
        assert_eq!(decoded(&[]).as_deref(), Some(""));
    }

    #[test]
    fn what_the_api_answers_is_decoded_and_nothing_else() {
        assert_eq!(url_decoded("%7B%22a%22%3A%20%22%2A%22%7D").as_deref(), Some(r#"{"a": "*"}"#));
        assert_eq!(url_decoded("%7b%22%C3%A9%22%3A1%7d\n").as_deref(), Some("{\"é\":1}"));
        for other in ["{\"a\": \"%7B\"}", "%7", "%7B%2", "%7B%zz", "%7B%ff", ""] {
            assert_eq!(url_decoded(other), None, "{other}");
        }
    }
}
