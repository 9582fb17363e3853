//! How Bitcoin writes numbers and byte strings: little-endian integers, and compact sizes of
//! which only the shortest form is taken. A length is checked against what is left before
//! anything is taken, so nothing is allocated for what is not there.

use crate::Refused;

/// The tag of bytes that are not what the format says.
const TAG: &str = "transaction.bitcoin.encoding";

/// Bytes that are not what the format says.
pub(super) fn malformed(allowed: impl Into<String>, found: impl Into<String>) -> Refused {
    Refused::new(TAG, allowed, found)
}

/// Reads from the front, and knows what is left.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, total: bytes.len() }
    }

    /// What was not yet read.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How much was read.
    pub(super) const fn at(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], Refused> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = split else {
            let (at, left) = (self.at(), self.rest.len());
            return Err(malformed(format!("{count} bytes at byte {at}"), format!("{left} bytes")));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| malformed(format!("{N} bytes"), format!("{} bytes", bytes.len())))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Refused> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Refused> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_le_bytes)
    }

    /// A compact size in its shortest form.
    pub(super) fn compact_size(&mut self) -> Result<u64, Refused> {
        let at = self.at();
        let (value, least) = match self.u8()? {
            0xfd => (u16::from_le_bytes(self.array()?).into(), 0xfd),
            0xfe => (self.u32()?.into(), 0x1_0000),
            0xff => (self.u64()?, 0x1_0000_0000),
            short => (short.into(), 0),
        };
        if value < least {
            return Err(malformed(
                format!("the shortest form of a size at byte {at}"),
                format!("a longer form of {value}"),
            ));
        }
        Ok(value)
    }

    /// As many bytes as the compact size before them says.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.compact_size()?;
        self.take(length)
    }

    /// Nothing may be left.
    pub(super) fn finish(&self, what: &str) -> Result<(), Refused> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(malformed(
                format!("the end of {what} at byte {}", self.at()),
                format!("{more} more bytes"),
            )),
        }
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
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.compact_size(), Ok(value as u64));
            assert_eq!(reader.finish("it"), Ok(()));
            for cut in 0..bytes.len() {
                assert!(Reader::new(&bytes[..cut]).compact_size().is_err());
            }
        }
        for longer in [
            &[0xfd, 0xfc, 0][..],
            &[0xfe, 0xff, 0xff, 0, 0],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &[0xff, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(Reader::new(longer).compact_size().unwrap_err().tag, TAG);
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_taken() {
        for bytes in [&[5, 1, 2][..], &[0xfe, 0xff, 0xff, 0xff, 0xff, 1], &[0xff; 9]] {
            assert_eq!(Reader::new(bytes).bytes().unwrap_err().tag, TAG);
        }
    }
}
