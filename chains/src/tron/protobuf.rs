//! The wire format of Protocol Buffers (protobuf.dev, "Encoding"), read so strictly that a message
//! has one encoding: fields in ascending order and once each, the shortest varints, no defaults
//! written. That is what every protobuf library writes for a proto3 message without unknown
//! fields; a parser's freedom to take more is what lets two readers understand different things.

use crate::{Refused, reader::Reader};

/// The tag of everything that is no such encoding.
pub(super) const ENCODING: &str = "transaction.tron.encoding";

const VARINT: u64 = 0;
const LENGTH_DELIMITED: u64 = 2;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A varint: `int32`, `int64`, an enum. Not zero.
    Number(u64),
    /// `bytes`, `string`, a message. Not empty.
    Bytes(&'a [u8]),
}

/// Takes a message apart, field by field.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    message: &'static str,
    reader: Reader<'a>,
    last: u64,
    repeated: Option<u64>,
}

impl<'a> Fields<'a> {
    /// Reads a message; the name is for refusals.
    pub(super) const fn new(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { message, reader: Reader::new(ENCODING, bytes), last: 0, repeated: None }
    }

    /// Lets one field come more than once.
    pub(super) const fn with_repeated(self, field: u64) -> Self {
        Self { repeated: Some(field), ..self }
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Value<'a>)>, Refused> {
        if self.reader.rest().is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let (field, wire_type) = (key >> 3, key & 7);
        if field < self.last || (field == self.last && self.repeated != Some(field)) {
            let found = format!("field {field} after field {}", self.last);
            return Err(self.refused("each field once, in ascending order,", found));
        }
        self.last = field;
        let value = match wire_type {
            VARINT => Value::Number(self.varint()?),
            LENGTH_DELIMITED => {
                let length = self.varint()?;
                let found = format!("{length} bytes where {} are left", self.reader.rest().len());
                let value = self.reader.take(length);
                Value::Bytes(value.map_err(|_| self.refused("a field within the message", found))?)
            }
            other => {
                let found = format!("wire type {other} of field {field}");
                return Err(self.refused("a varint or bytes", found));
            }
        };
        if matches!(value, Value::Number(0) | Value::Bytes([])) {
            return Err(self.refused("no field that has its default", format!("field {field}")));
        }
        Ok(Some((field, value)))
    }

    /// The refusal of a field that a message does not have, or has with another type.
    pub(super) fn unknown(&self, field: u64) -> Refused {
        self.refused("only known fields of their own type", format!("field {field}"))
    }

    fn refused(&self, allowed: &str, found: String) -> Refused {
        Refused::new(ENCODING, format!("{allowed} in {}", self.message), found)
    }

    /// Base 128, least significant group first; the shortest form of a number below 2^64.
    fn varint(&mut self) -> Result<u64, Refused> {
        let mut number: u64 = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let Ok(byte) = self.reader.u8() else { break };
            let group = u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if group.checked_shr(shift) != Some(u64::from(byte & 0x7f)) {
                break;
            }
            number |= group;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.refused("the shortest varint", "a longer one".into()));
                }
                return Ok(number);
            }
        }
        Err(self.refused("a varint of 64 bits", "more, or the end".into()))
    }
}

/// Puts a message together; the caller keeps the fields in ascending order.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// A varint field, unless it is zero.
    pub(super) fn number(mut self, field: u64, value: u64) -> Self {
        if value != 0 {
            self.key(field, VARINT);
            self.varint(value);
        }
        self
    }

    /// A length-delimited field, unless it is empty.
    pub(super) fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        if !value.is_empty() {
            self.key(field, LENGTH_DELIMITED);
            // A slice never has 2^64 bytes.
            self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX));
            self.0.extend_from_slice(value);
        }
        self
    }

    /// The message.
    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    fn varint(&mut self, mut number: u64) {
        loop {
            let group = number.to_le_bytes()[0] & 0x7f;
            number >>= 7;
            if number == 0 {
                self.0.push(group);
                return;
            }
            self.0.push(group | 0x80);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Refused> {
        let mut reader = Fields::new("a message", bytes);
        let mut fields = Vec::new();
        while let Some(field) = reader.next()? {
            fields.push(field);
        }
        Ok(fields)
    }

    #[test]
    fn the_examples_of_the_encoding_guide_are_read() {
        assert_eq!(read(&[0x08, 0x96, 0x01]).unwrap(), [(1, Value::Number(150))]);
        assert_eq!(read(b"\x12\x07testing").unwrap(), [(2, Value::Bytes(b"testing"))]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(read(&minus_two).unwrap(), [(1, Value::Number((-2_i64).cast_unsigned()))]);
    }

    #[test]
    fn a_message_has_one_encoding() {
        for (bytes, why) in [
            (&[0x08, 0x96, 0x81, 0x00][..], "the shortest varint"),
            (&[0x88, 0x00, 0x01], "the shortest varint"),
            (&[0x12, 0x81, 0x00, 0x61], "the shortest varint"),
            (&[0x08, 0x00], "its default"),
            (&[0x12, 0x00], "its default"),
            (&[0x08, 0x01, 0x08, 0x02], "each field once"),
            (&[0x10, 0x01, 0x08, 0x02], "ascending order"),
            (&[0x00, 0x01], "ascending order"),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7, 8], "a varint or bytes"),
            (&[0x0d, 1, 2, 3, 4], "a varint or bytes"),
            (&[0x0b, 0x0c], "a varint or bytes"),
            (&[0x12, 0x02, 0x61], "within the message"),
            (&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "within the message"),
            (&[0x08], "64 bits"),
            (&[0x08, 0x80], "64 bits"),
            (&[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], "64 bits"),
            (&[0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01], "64 bits"),
        ] {
            let refused = read(bytes).unwrap_err();
            assert_eq!(refused.tag, ENCODING);
            assert!(refused.allowed.contains(why), "{bytes:02x?}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_again(bytes: Vec<u8>) {
            if let Ok(fields) = read(&bytes) {
                let written = fields.into_iter().fold(Writer::default(), |writer, (field, value)| match value {
                    Value::Number(number) => writer.number(field, number),
                    Value::Bytes(bytes) => writer.bytes(field, bytes),
                });
                prop_assert_eq!(written.finish(), bytes);
            }
        }

        #[test]
        fn every_number_is_read_back(number in 1_u64.., bits in 0_u32..64) {
            let number = (number >> bits).max(1);
            let bytes = Writer::default().number(14, number).finish();
            prop_assert_eq!(read(&bytes).unwrap(), [(14, Value::Number(number))]);
        }
    }
}
