//! Text as AWS and its tools write it, and a policy as the API itself answers it, URL-encoded (RFC 3986). Source: IAM API Reference,
//! `PolicyVersion`.

use std::path::Path;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};
use verifier::json::Unambiguous;

/// What an account's policies or a key's grants may take.
pub(in crate::kms) const MAX_ACCOUNT: u64 = 64 << 20;

/// Reads text of at most [`MAX_TEXT`] bytes.
pub(in crate::kms) fn text(file: &Path) -> Result<String, Error> {
    long_text(file, MAX_TEXT)
}

/// Reads text of at most so many bytes.
pub(in crate::kms) fn long_text(file: &Path, limit: u64) -> Result<String, Error> {
    input::read_text(file, limit)
}

/// Refuses JSON in which a member stands twice: its reader would take one of them without a word.
pub(in crate::kms) fn unambiguous(file: &Path, text: &str) -> Result<(), Error> {
    let read = serde_json::from_str::<Unambiguous>(text);
    read.map(drop).map_err(|error| {
        Error::input(file.display(), format_args!("JSON without repeated members was expected: {error}"))
    })
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
    fn what_the_api_answers_is_decoded_and_nothing_else() {
        assert_eq!(url_decoded("%7B%22a%22%3A%20%22%2A%22%7D").as_deref(), Some(r#"{"a": "*"}"#));
        assert_eq!(url_decoded("%7b%22%C3%A9%22%3A1%7d\n").as_deref(), Some("{\"é\":1}"));
        for other in ["{\"a\": \"%7B\"}", "%7", "%7B%2", "%7B%zz", "%7B%ff", ""] {
            assert_eq!(url_decoded(other), None, "{other}");
        }
    }
}
