//! The payload of an attestation document: AWS's map, from CBOR by a reader of its own.
//!
//! AWS promises which fields there are, and never promised how they are encoded: until mid-2025 the
//! NSM wrote the map with a definite length, since then with an indefinite one. So here, and in no
//! other format that we read ourselves, maps and arrays may be of either. All else is as strict as in
//! [`crate::cbor`]: no strings in chunks, no tags, no floats, no `undefined`, shortest forms, a break
//! only where an entry could begin, each key of a map once, nothing after the end.

use std::collections::{BTreeMap, BTreeSet};

use super::DocumentError;
use crate::{
    Pcr, PcrIndex,
    cbor::{CborError, Head, MAX_DEPTH},
};

/// The longest certificate, public key, user data and nonce that are read.
const MAX_FIELD: usize = 1024;
/// The fields of AWS's specification that are always there.
const REQUIRED: [&str; 6] = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle"];

const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const NULL: u8 = 0xf6;
const BREAK: u8 = 0xff;

/// What AWS's map says. The limits of AWS's specification hold.
#[derive(Debug, Default)]
pub(super) struct Payload<'a> {
    pub(super) module_id: &'a str,
    pub(super) timestamp: u64,
    pub(super) pcrs: BTreeMap<PcrIndex, Pcr>,
    pub(super) certificate: &'a [u8],
    pub(super) cabundle: Vec<&'a [u8]>,
    pub(super) public_key: Option<&'a [u8]>,
    pub(super) user_data: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// Reads the whole payload. Fields may come in any order; one that is unknown says nothing that
    /// is decided upon, and is skipped. A key that is no text is refused: some readers would take it
    /// for a field.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DocumentError> {
        let mut reader = Reader { bytes, at: 0, depth: 0 };
        let mut payload = Self::default();
        let mut names = BTreeSet::new();
        reader.map(|reader| {
            let name = reader.text()?;
            names.insert(name);
            payload.read_field(name, reader)
        })?;
        if reader.at < bytes.len() {
            return Err(CborError::Trailing { at: reader.at }.into());
        }
        match REQUIRED.iter().find(|name| !names.contains(*name)) {
            Some(missing) => Err(DocumentError::Missing { field: missing }),
            None => Ok(payload),
        }
    }

    fn read_field(&mut self, name: &str, reader: &mut Reader<'a>) -> Result<(), DocumentError> {
        match name {
            "module_id" => {
                self.module_id = reader.text()?;
                check(!self.module_id.is_empty(), "module_id", "text that is not empty")
            }
            "digest" => check(reader.text()? == "SHA384", "digest", "SHA384"),
            "timestamp" => {
                self.timestamp = reader.unsigned()?;
                check(self.timestamp > 0, "timestamp", "milliseconds above 0")
            }
            "pcrs" => {
                reader.map(|reader| self.read_register(reader))?;
                check(!self.pcrs.is_empty(), "pcrs", "1 to 32 registers")
            }
            // AWS signs documents of EC2 instances with a NitroTPM under the same root.
            "nitrotpm_pcrs" => Err(DocumentError::NitroTpm),
            "certificate" => {
                self.certificate = reader.certificate("certificate")?;
                Ok(())
            }
            "cabundle" => {
                reader.array(|reader| {
                    self.cabundle.push(reader.certificate("cabundle")?);
                    Ok(())
                })?;
                check(!self.cabundle.is_empty(), "cabundle", "at least one certificate")
            }
            "public_key" => {
                self.public_key = reader.optional("public_key")?;
                let is_empty = self.public_key.is_some_and(<[u8]>::is_empty);
                check(!is_empty, "public_key", "absent, null or 1 to 1024 bytes")
            }
            "user_data" => {
                self.user_data = reader.optional("user_data")?;
                Ok(())
            }
            "nonce" => {
                self.nonce = reader.optional("nonce")?;
                Ok(())
            }
            _ => reader.skip(),
        }
    }

    fn read_register(&mut self, reader: &mut Reader<'a>) -> Result<(), DocumentError> {
        let wrong = |_| field("pcrs", "indices 0 to 31 with values of 48 bytes");
        let index = u8::try_from(reader.unsigned()?).unwrap_or(u8::MAX);
        let index = PcrIndex::new(index).map_err(wrong)?;
        self.pcrs.insert(index, Pcr::try_from(reader.string(BYTES, "bytes")?).map_err(wrong)?);
        Ok(())
    }
}

fn check(holds: bool, name: &'static str, expected: &'static str) -> Result<(), DocumentError> {
    if holds { Ok(()) } else { Err(field(name, expected)) }
}

const fn field(field: &'static str, expected: &'static str) -> DocumentError {
    DocumentError::Field { field, expected }
}

/// Reads items one after the other. Nothing is allocated for a length that the bytes claim.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// How many arrays and maps are open.
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Result<u8, CborError> {
        self.bytes.get(self.at).copied().ok_or(CborError::Truncated { at: self.at })
    }

    /// Takes a head; of a string, the string as well.
    fn item(&mut self) -> Result<(Head, &'a [u8]), CborError> {
        let head = Head::read(self.bytes, self.at)?;
        let length = if matches!(head.major, BYTES | TEXT) { head.argument } else { 0 };
        let end = usize::try_from(length).ok().and_then(|length| head.end.checked_add(length));
        let string = end.and_then(|end| self.bytes.get(head.end..end));
        let string = string.ok_or(CborError::Truncated { at: head.start })?;
        self.at = head.end.saturating_add(string.len());
        Ok((head, string))
    }

    fn unsigned(&mut self) -> Result<u64, CborError> {
        match self.item()? {
            (Head { major: 0, argument, .. }, _) => Ok(argument),
            (head, _) => Err(head.shape("an unsigned integer")),
        }
    }

    fn string(&mut self, major: u8, expected: &'static str) -> Result<&'a [u8], CborError> {
        match self.item()? {
            (head, string) if head.major == major => Ok(string),
            (head, _) => Err(head.shape(expected)),
        }
    }

    fn text(&mut self) -> Result<&'a str, CborError> {
        let at = self.at as u64;
        str::from_utf8(self.string(TEXT, "text")?)
            .map_err(|_| CborError::Shape { expected: "text in UTF-8", at })
    }

    fn certificate(&mut self, name: &'static str) -> Result<&'a [u8], DocumentError> {
        match self.string(BYTES, "bytes")? {
            bytes if (1..=MAX_FIELD).contains(&bytes.len()) => Ok(bytes),
            _ => Err(field(name, "a certificate of 1 to 1024 bytes")),
        }
    }

    /// Null stands for absent.
    fn optional(&mut self, name: &'static str) -> Result<Option<&'a [u8]>, DocumentError> {
        if self.peek()? == NULL {
            self.at = self.at.saturating_add(1);
            return Ok(None);
        }
        match self.string(BYTES, "bytes or null")? {
            bytes if bytes.len() <= MAX_FIELD => Ok(Some(bytes)),
            _ => Err(field(name, "absent, null or at most 1024 bytes")),
        }
    }

    /// Reads an array of either length; `item` takes one item.
    fn array(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        self.container(ARRAY, "an array", item)
    }

    /// Reads a map of either length, each key once; `entry` takes a key and its value.
    fn map(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        // Of a key there is one encoding, as only shortest forms are read.
        let mut keys = BTreeSet::new();
        self.container(MAP, "a map", |reader| {
            let start = reader.at;
            let (head, _) = reader.item()?;
            if !matches!(head.major, 0..=TEXT) {
                return Err(head.shape("a key that is a number or a string").into());
            }
            if !keys.insert(reader.bytes.get(start..reader.at).unwrap_or_default()) {
                return Err(DocumentError::Repeated { at: start });
            }
            reader.at = start;
            entry(reader)
        })
    }

    fn container(
        &mut self,
        major: u8,
        expected: &'static str,
        mut each: impl FnMut(&mut Self) -> Result<(), DocumentError>,
    ) -> Result<(), DocumentError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > MAX_DEPTH {
            return Err(CborError::TooDeep.into());
        }
        if self.peek()? == (major << 5) | 31 {
            self.at = self.at.saturating_add(1);
            while self.peek()? != BREAK {
                each(self)?;
            }
            self.at = self.at.saturating_add(1);
        } else {
            let (head, _) = self.item()?;
            if head.major != major {
                return Err(head.shape(expected).into());
            }
            for _ in 0..head.argument {
                each(self)?;
            }
        }
        self.depth = self.depth.saturating_sub(1);
        Ok(())
    }

    /// Walks over one item, whatever it is, as long as it is in a form that is read here.
    fn skip(&mut self) -> Result<(), DocumentError> {
        match self.peek()? >> 5 {
            ARRAY => self.array(Self::skip),
            MAP => self.map(|reader| {
                reader.skip()?;
                reader.skip()
            }),
            _ => {
                let (head, string) = self.item()?;
                let is_text = head.major != TEXT || str::from_utf8(string).is_ok();
                if is_text { Ok(()) } else { Err(head.shape("text in UTF-8").into()) }
            }
        }
    }
}

impl Head {
    fn shape(&self, expected: &'static str) -> CborError {
        CborError::Shape { expected, at: self.start as u64 }
    }
}

#[cfg(test)]
mod tests;
