//! A strict reader for Solana's wire format: fixed fields, and lengths in "compact-u16" (Solana
//! documentation, "Transactions: Binary Format"), in their shortest form only. Nothing is
//! allocated, nothing is read beyond the input.

use crate::Refused;

pub(super) const ENCODING: &str = "transaction.solana.encoding";

/// Reads one field after the other and knows what is left.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { left: input }
    }

    /// So many bytes.
    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Refused> {
        let (taken, left) = self.left.split_at_checked(count).ok_or_else(|| {
            Refused::new(ENCODING, format!("{what} of {count} bytes"), format!("{} bytes", self.left.len()))
        })?;
        self.left = left;
        Ok(taken)
    }

    /// A field of a fixed length.
    pub(super) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Refused> {
        let taken = self.take(N, what)?;
        taken.try_into().map_err(|_| Refused::new(ENCODING, what, "another length"))
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Refused> {
        self.array(what).map(|[byte]| byte)
    }

    /// The next byte, which stays.
    pub(super) fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// A length below 2^16, seven bits to a byte, the low ones first.
    pub(super) fn length(&mut self, what: &'static str) -> Result<usize, Refused> {
        let longer = || {
            Refused::new(ENCODING, format!("{what} as a compact-u16 in its shortest form"), "another form")
        };
        let mut value = 0usize;
        for place in 0..3u32 {
            let byte = self.byte(what)?;
            let bits = usize::from(byte & 0x7f).checked_shl(place.saturating_mul(7)).ok_or_else(longer)?;
            value |= bits;
            if byte & 0x80 == 0 {
                let shortest = place == 0 || byte != 0;
                return if shortest && value <= usize::from(u16::MAX) { Ok(value) } else { Err(longer()) };
            }
        }
        Err(longer())
    }

    /// That nothing is left.
    pub(super) fn end(self) -> Result<(), Refused> {
        if self.left.is_empty() {
            Ok(())
        } else {
            let found = format!("{} more bytes", self.left.len());
            Err(Refused::new(ENCODING, "the end of the transaction", found))
        }
    }
}

/// Writes a length as [`Reader::length`] reads it; what was read is below 2^16.
pub(super) fn put_length(out: &mut Vec<u8>, length: usize) {
    let mut rest = length;
    loop {
        let bits = u8::try_from(rest & 0x7f).unwrap_or(0x7f);
        rest >>= 7;
        if rest == 0 {
            return out.push(bits);
        }
        out.push(bits | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_form() {
        for length in 0..=usize::from(u16::MAX) {
            let mut bytes = Vec::new();
            put_length(&mut bytes, length);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.length("a length"), Ok(length));
            reader.end().unwrap();
        }
        // The examples of Solana's documentation.
        for (length, form) in
            [(0x7f, &[0x7f][..]), (0x80, &[0x80, 1]), (0x3fff, &[0xff, 0x7f]), (0x4000, &[0x80, 0x80, 1])]
        {
            let mut bytes = Vec::new();
            put_length(&mut bytes, length);
            assert_eq!(bytes, form);
        }
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 0x80],
            &[0x80, 0],
            &[0xff, 0],
            &[0x80, 0x80, 0],
            &[0x80, 0x80, 4],
            &[0xff, 0xff, 7],
            &[0x80, 0x80, 0x80, 1],
        ] {
            assert_eq!(Reader::new(bad).length("a length").unwrap_err().tag, ENCODING, "{bad:?}");
        }
    }
}
