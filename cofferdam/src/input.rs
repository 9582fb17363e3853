//! What comes in: files and hexadecimal arguments, bounded before they are read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use data_encoding::HEXLOWER_PERMISSIVE;
use protocol::MeasuredConfig;

use crate::error::Error;

/// The longest attestation document that is read, with room for a wrapping newline.
pub(crate) const MAX_DOCUMENT: u64 = 0x3000 + 16;
/// The longest PEM or TOML file that is read.
pub(crate) const MAX_TEXT: u64 = 1 << 20;
/// The name that stands for standard input.
pub(crate) const STDIN: &str = "-";

/// Reads at most `limit` bytes of a file, or of standard input for `-`.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let result = if path.as_os_str() == STDIN {
        bounded(io::stdin().lock(), limit)
    } else {
        File::open(path).and_then(|file| bounded(file, limit))
    };
    let unreadable =
        |error| Error::input(path.display(), format_args!("a readable file was expected: {error}"));
    result
        .map_err(unreadable)?
        .ok_or_else(|| Error::input(path.display(), format_args!("at most {limit} bytes were expected")))
}

/// Reads an attestation document. Text that stands for one is refused by name: APIs hand documents
/// round in it.
pub(crate) fn read_document(path: &Path) -> Result<Vec<u8>, Error> {
    // Room for every such text, to say what it is.
    let bytes = read(path, MAX_TEXT)?;
    let too_long =
        || Error::input(path.display(), format_args!("at most {MAX_DOCUMENT} bytes were expected"));
    match spelling(&bytes) {
        Some(name) => {
            let found =
                format_args!("a document's bytes were expected, found them in {name}: decode it first");
            Err(Error::input(path.display(), found))
        }
        None if u64::try_from(bytes.len()).is_ok_and(|length| length <= MAX_DOCUMENT) => Ok(bytes),
        None => Err(too_long()),
    }
}

/// In which text a document is written, alone or within JSON. COSE_Sign1 begins with the same bytes in
/// every document, with tag 18 before them or without; its own bytes are no UTF-8.
fn spelling(bytes: &[u8]) -> Option<&'static str> {
    const BASE64: [&str; 2] = ["hEShATgi", "0oREoQE4I"];
    let text = str::from_utf8(bytes).ok()?;
    if BASE64.iter().any(|start| text.contains(start)) {
        Some("base64")
    } else if text.to_ascii_lowercase().contains("8444a1013822") {
        Some("hexadecimal")
    } else {
        None
    }
}

/// Reads text.
pub(crate) fn read_text(path: &Path, limit: u64) -> Result<String, Error> {
    let expected = || Error::input(path.display(), "text in UTF-8 or UTF-16 was expected");
    decoded(&read(path, limit)?).ok_or_else(expected)
}

/// Reads a measured configuration, as the enclave does.
pub(crate) fn measured(path: &Path) -> Result<MeasuredConfig, Error> {
    MeasuredConfig::parse(&read(path, MAX_TEXT)?).map_err(|error| Error::input(path.display(), error))
}

/// Text in UTF-8 or UTF-16 (PowerShell's `>`), with a byte order mark or without.
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
        // Whatever is read begins with a character of ASCII.
        [first, 0, ..] if *first != 0 => utf16(bytes, u16::from_le_bytes),
        [0, second, ..] if *second != 0 => utf16(bytes, u16::from_be_bytes),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    }
}

fn bounded(reader: impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= limit);
    Ok(fits.then_some(bytes))
}

/// Bytes given in hexadecimal; a parser for arguments.
pub(crate) fn hex(text: &str) -> Result<Hex, String> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map(Hex)
        .map_err(|_| "pairs of hexadecimal digits were expected".to_owned())
}

/// A public key as an argument: DER SubjectPublicKeyInfo in hexadecimal, or `ed25519:` and 64 digits.
pub(crate) fn public_key(text: &str) -> Result<Hex, String> {
    let Some(digits) = text.strip_prefix("ed25519:") else {
        return hex(text);
    };
    let key: Option<[u8; 32]> = hex(digits)?.0.try_into().ok();
    key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok())
        .map(|key| Hex(protocol::SessionKey::from(key).to_spki()))
        .ok_or_else(|| "ed25519: and the 64 hexadecimal digits of a key were expected".to_owned())
}

/// Bytes of an argument. A type of its own, so that the argument parser takes it as one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_limit_is_not_read() {
        assert_eq!(bounded(&[1, 2, 3][..], 3).unwrap(), Some(vec![1, 2, 3]));
        assert_eq!(bounded(&[1, 2, 3, 4][..], 3).unwrap(), None);
        assert_eq!(bounded(io::repeat(0), 1000).unwrap(), None);
    }

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
    fn a_document_that_is_written_in_text_is_said_to_be() {
        let document = include_bytes!("../../tests/vectors/attestation/nitro-2025-01-06.cose");
        let tagged = [&[0xd2], document.as_slice()].concat();
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            read_document(file.path()).map_err(|error| error.to_string())
        };
        for bytes in [document.as_slice(), &tagged] {
            assert_eq!(read(bytes).unwrap(), bytes);
            let base64 = data_encoding::BASE64.encode(bytes);
            let lines: Vec<&[u8]> = base64.as_bytes().chunks(76).collect();
            for text in [
                base64.clone(),
                format!("{base64}\n"),
                format!("\"{base64}\""),
                format!("{{\"nonce\": \"00\", \"attestation\": \"{base64}\"}}"),
                data_encoding::BASE64URL_NOPAD.encode(bytes),
                String::from_utf8(lines.join(&b'\n')).unwrap(),
            ] {
                assert!(read(text.as_bytes()).unwrap_err().contains("found them in base64"), "{text}");
            }
            assert!(
                read(data_encoding::HEXUPPER.encode(bytes).as_bytes())
                    .unwrap_err()
                    .contains("found them in hexadecimal")
            );
        }
        assert!(read(&[0; 0x3011]).unwrap_err().contains("at most 12304 bytes"));
    }

    #[test]
    fn a_public_key_has_two_spellings() {
        let digits = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let spki = format!("302a300506032b6570032100{digits}");
        assert_eq!(public_key(&spki), public_key(&format!("ed25519:{digits}")));
        for bad in ["ed25519:00", "ed25519:", "zz", "0"] {
            assert!(public_key(bad).is_err(), "{bad}");
        }
    }
}
