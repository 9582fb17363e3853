//! Lengths in Solana's wire format: "compact-u16" (Solana documentation, "Transactions: Binary
//! Format"), in their shortest form only.

use crate::{Refused, reader::Reader};

pub(super) const ENCODING: &str = "transaction.solana.encoding";

impl<'a> Reader<'a> {
    /// A length below 2^16, seven bits to a byte, the low ones first.
    pub(super) fn length(&mut self) -> Result<u16, Refused> {
        let mut value = 0u32;
        for shift in [0, 7, 14] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
            if byte & 0x80 == 0 {
                let length = u16::try_from(value).ok().filter(|_| shift == 0 || byte != 0);
                return length.ok_or_else(|| self.longer());
            }
        }
        Err(self.longer())
    }

    /// As many bytes as the length before them says.
    pub(super) fn counted(&mut self) -> Result<&'a [u8], Refused> {
        let length = self.length()?;
        self.take(length.into())
    }

    fn longer(&self) -> Refused {
        self.refused("the end of a compact-u16 in its shortest form", "another form")
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
            let mut reader = Reader::new(ENCODING, &bytes);
            assert_eq!(reader.length().map(usize::from), Ok(length));
            reader.end("the length").unwrap();
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
            assert_eq!(Reader::new(ENCODING, bad).length().unwrap_err().tag, ENCODING, "{bad:?}");
        }
    }
}
