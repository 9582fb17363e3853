//! How Bitcoin writes byte strings: after compact sizes, of which only the shortest form is taken.

use crate::{Refused, reader::Reader};

/// The tag of bytes that are not what the format says.
const TAG: &str = "transaction.bitcoin.encoding";

/// The longest PSBT, in bytes, and the most that previous transactions beside it take together. In
/// base64, with the names of 100 keys, it is as long as what asks for signatures may be.
pub const MAX_PSBT: usize = 544 * 1024;

/// Bytes that are not what the format says.
pub(super) fn malformed(allowed: impl Into<String>, found: impl Into<String>) -> Refused {
    Refused::new(TAG, allowed, found)
}

/// Reads bytes of Bitcoin's.
pub(super) const fn reader(bytes: &[u8]) -> Reader<'_> {
    Reader::new(TAG, bytes)
}

impl<'a> Reader<'a> {
    /// A compact size in its shortest form.
    pub(super) fn compact_size(&mut self) -> Result<u64, Refused> {
        let (value, least) = match self.u8()? {
            0xfd => (u16::from_le_bytes(self.array()?).into(), 0xfd),
            0xfe => (self.u32()?.into(), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            short => (short.into(), 0),
        };
        if value < least {
            return Err(self.refused("the shortest form of a size", format!("a longer form of {value}")));
        }
        Ok(value)
    }

    /// As many bytes as the compact size before them says.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.compact_size()?;
        self.take(length)
    }
}

/// Writes a compact size in its shortest form.
pub(super) fn put_compact_size(out: &mut Vec<u8>, value: usize) {
    let value = value as u64;
    if let Ok(short) = u8::try_from(value)
        && short < 0xfd
    {
        out.push(short);
    } else if let Ok(value) = u16::try_from(value) {
        out.push(0xfd);
        out.extend(value.to_le_bytes());
    } else if let Ok(value) = u32::try_from(value) {
        out.push(0xfe);
        out.extend(value.to_le_bytes());
    } else {
        out.push(0xff);
        out.extend(value.to_le_bytes());
    }
}

/// Writes bytes after their compact size.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_compact_size(out, bytes.len());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_form_of_a_size_is_read() {
        for value in [0usize, 1, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000, usize::MAX] {
            let mut bytes = Vec::new();
            put_compact_size(&mut bytes, value);
            let mut left = reader(&bytes);
            assert_eq!(left.compact_size(), Ok(value as u64));
            assert_eq!(left.end("it"), Ok(()));
            for cut in 0..bytes.len() {
                assert!(reader(&bytes[..cut]).compact_size().is_err());
            }
        }
        for longer in [
            &[0xfd, 0xfc, 0][..],
            &[0xfe, 0xff, 0xff, 0, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &[0xff, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(reader(longer).compact_size().unwrap_err().tag, TAG);
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_taken() {
        for bytes in [&[5, 1, 2][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 1], &[0xff; 9]] {
            assert_eq!(reader(bytes).bytes().unwrap_err().tag, TAG);
        }
    }
}
