//! Bytes, read from the front. A length is checked against what is left before anything is taken, so
//! nothing is allocated for what is not there, and nothing is read beyond the end.

use crate::Refused;

/// Reads one field after the other and knows what is left.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    tag: &'static str,
    rest: &'a [u8],
    total: usize,
}

impl<'a> Reader<'a> {
    /// Refusals have the tag.
    pub(crate) const fn new(tag: &'static str, bytes: &'a [u8]) -> Self {
        Self { tag, rest: bytes, total: bytes.len() }
    }

    /// What was not yet read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How much was read.
    pub(crate) const fn at(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }

    /// The next byte, which stays.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64) -> Result<&'a [u8], Refused> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = split else {
            return Err(self.refused(format!("{count} bytes"), format!("{} bytes", self.rest.len())));
        };
        self.rest = rest;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Refused> {
        let bytes = self.take(N as u64)?;
        bytes.try_into().map_err(|_| self.refused(format!("{N} bytes"), format!("{} bytes", bytes.len())))
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Refused> {
        self.array().map(u8::from_le_bytes)
    }

    /// Little-endian.
    pub(crate) fn u32(&mut self) -> Result<u32, Refused> {
        self.array().map(u32::from_le_bytes)
    }

    /// Little-endian.
    pub(crate) fn u64(&mut self) -> Result<u64, Refused> {
        self.array().map(u64::from_le_bytes)
    }

    /// Nothing may be left of `what`.
    pub(crate) fn end(&self, what: &str) -> Result<(), Refused> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(self.refused(format!("the end of {what}"), format!("{more} more bytes"))),
        }
    }

    /// The refusal of what stands at this place.
    pub(crate) fn refused(&self, allowed: impl std::fmt::Display, found: impl Into<String>) -> Refused {
        Refused::new(self.tag, format!("{allowed} at byte {}", self.at()), found)
    }
}
