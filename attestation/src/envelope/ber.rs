//! A strict reader for the part of BER (X.690) that a CMS envelope needs: definite and
//! indefinite lengths, one-byte tags, bounded depth. No allocation, nothing beyond the input.

use super::EnvelopeError;

/// How deep indefinite lengths may nest.
const MAX_DEPTH: u8 = 8;

/// Universal tags that an envelope uses.
pub(super) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// `[0]`, primitive.
    pub(crate) const CONTEXT_0: u8 = 0x80;
    /// `[0]`, constructed.
    pub(crate) const CONTEXT_0_CONSTRUCTED: u8 = 0xa0;
    /// `[1]`, constructed.
    pub(crate) const CONTEXT_1_CONSTRUCTED: u8 = 0xa1;
}

const fn malformed(expected: &'static str) -> EnvelopeError {
    EnvelopeError::Malformed { expected }
}

/// One element: its tag and its contents, without an end-of-contents mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
}

/// Reads elements one after the other and knows what is left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { left: input }
    }

    /// The tag of the next element, if there is one.
    pub(super) fn peek(&self) -> Option<u8> {
        self.left.first().copied()
    }

    /// The next element.
    pub(super) fn any(&mut self) -> Result<Element<'a>, EnvelopeError> {
        self.element(0)
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8, expected: &'static str) -> Result<Reader<'a>, EnvelopeError> {
        let element = self.any()?;
        if element.tag == tag { Ok(Reader::new(element.contents)) } else { Err(malformed(expected)) }
    }

    /// Everything that is left.
    pub(super) const fn rest(self) -> &'a [u8] {
        self.left
    }

    /// That nothing is left.
    pub(super) fn end(self, expected: &'static str) -> Result<(), EnvelopeError> {
        if self.left.is_empty() { Ok(()) } else { Err(malformed(expected)) }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], EnvelopeError> {
        let (taken, left) =
            self.left.split_at_checked(count).ok_or(malformed("an element that ends within its parent"))?;
        self.left = left;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, EnvelopeError> {
        self.take(1)?.first().copied().ok_or(malformed("one more byte"))
    }

    fn element(&mut self, depth: u8) -> Result<Element<'a>, EnvelopeError> {
        let tag = self.byte()?;
        if tag & 0x1f == 0x1f || tag == 0 {
            return Err(malformed("an element with a tag of one byte"));
        }
        let contents = match self.byte()? {
            length @ 0..=0x7f => self.take(length.into())?,
            0x80 if tag & 0x20 != 0 => self.until_end_of_contents(depth)?,
            length @ 0x81..=0x84 => {
                let digits = self.take(usize::from(length & 0x7f))?;
                let length = digits.iter().fold(0u32, |value, digit| (value << 8) | u32::from(*digit));
                self.take(length as usize)?
            }
            _ => {
                return Err(malformed(
                    "a length of at most 4 bytes, or an indefinite one on a constructed element",
                ));
            }
        };
        Ok(Element { tag, contents })
    }

    fn until_end_of_contents(&mut self, depth: u8) -> Result<&'a [u8], EnvelopeError> {
        if depth >= MAX_DEPTH {
            return Err(malformed("nesting of at most 8 indefinite lengths"));
        }
        let start = self.left;
        loop {
            let used = start.len().saturating_sub(self.left.len());
            match self.left {
                [0, 0, after @ ..] => {
                    self.left = after;
                    return start.get(..used).ok_or(malformed("contents"));
                }
                _ => self.element(depth.saturating_add(1))?,
            };
        }
    }
}
