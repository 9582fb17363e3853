//! Method, path and query, in the characters that RFC 9110 and RFC 3986 give them. They go into the
//! signature base byte for byte, so nothing in them can end a line of it or be read in two ways.

use super::{MAX_METHOD, MAX_PATH, MAX_QUERY, RequestError, at_most};

/// Refuses what is not a method, an absolute path, or a query.
pub(super) fn check(method: &str, path: &str, query: Option<&str>) -> Result<(), RequestError> {
    at_most("method", method.len(), MAX_METHOD)?;
    at_most("path", path.len(), MAX_PATH)?;
    at_most("query", query.unwrap_or_default().len(), MAX_QUERY)?;
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(RequestError::Malformed("a method in upper-case ASCII letters"));
    }
    if !path.starts_with('/') || !has_only(path, |b| is_pchar(b) || b == b'/') {
        return Err(RequestError::Malformed("an absolute path in the characters of RFC 3986"));
    }
    if !query.is_none_or(|query| has_only(query, |b| is_pchar(b) || matches!(b, b'/' | b'?'))) {
        return Err(RequestError::Malformed("a query in the characters of RFC 3986"));
    }
    Ok(())
}

/// Only these characters, and `%` only before two hexadecimal digits.
fn has_only(text: &str, wanted: impl Fn(u8) -> bool) -> bool {
    let mut bytes = text.bytes();
    let is_digit = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_hexdigit());
    while let Some(byte) = bytes.next() {
        let good = if byte == b'%' { is_digit(bytes.next()) && is_digit(bytes.next()) } else { wanted(byte) };
        if !good {
            return false;
        }
    }
    true
}

/// `pchar` of RFC 3986, without percent-encoding: unreserved, sub-delims, `:` and `@`.
const fn is_pchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rfc_3986_allows_passes_and_nothing_else() {
        for path in ["/", "//", "/v1/keys/key_a", "/a%2Fb%2f", "/-._~!$&'()*+,;=:@", "/../."] {
            assert_eq!(check("GET", path, None), Ok(()), "{path}");
        }
        for path in
            ["", "v1", "*", "/a?b", "/a#b", "/a b", "/a\nb", "/%", "/%2", "/%2g", "/é", "/\"", "/[", "/\\"]
        {
            assert!(check("GET", path, None).is_err(), "{path}");
        }
        for query in ["", "a=b&c=%20", "?", "/"] {
            assert_eq!(check("GET", "/", Some(query)), Ok(()), "{query}");
        }
        for query in ["#", " ", "\n", "%", "é", "a[]=1", "{}"] {
            assert!(check("GET", "/", Some(query)).is_err(), "{query}");
        }
        for method in ["", "get", "GET ", "G\nT", "Gét", "A-B"] {
            assert!(check(method, "/", None).is_err(), "{method}");
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        let long = |length: usize| "/".repeat(length);
        assert_eq!(check(&"A".repeat(MAX_METHOD), &long(MAX_PATH), Some(&long(MAX_QUERY))), Ok(()));
        for (field, result) in [
            ("method", check(&"A".repeat(MAX_METHOD + 1), "/", None)),
            ("path", check("GET", &long(MAX_PATH + 1), None)),
            ("query", check("GET", "/", Some(&long(MAX_QUERY + 1)))),
        ] {
            assert!(matches!(result, Err(RequestError::TooLong { field: found, .. }) if found == field));
        }
    }
}
