//! Recursive Length Prefix (Ethereum Yellow Paper, appendix B), strictly: one spelling of every
//! value. One list of strings is all that a transaction needs; a list within it is handed over
//! unread. No recursion, and no allocation but for the bounded list of items.

use crate::{Refused, reader::Reader};

/// The tag of bytes that are not the one encoding of what they say.
const TAG: &str = "transaction.evm.rlp";

/// The refusal of such bytes.
pub(super) fn malformed(expected: &str) -> Refused {
    Refused::new(TAG, expected, "another encoding")
}

/// One value and its contents, without the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Item<'a> {
    String(&'a [u8]),
    /// The items of a list, still encoded.
    List(&'a [u8]),
}

/// The longest string or list whose length is in its first byte.
const SHORT: u8 = 55;

/// The items of the one list that `encoded` is, at most `most`.
pub(super) fn list(encoded: &[u8], most: usize) -> Result<Vec<Item<'_>>, Refused> {
    let mut reader = Reader::new(TAG, encoded);
    let Item::List(list) = item(&mut reader)? else {
        return Err(malformed("one list"));
    };
    reader.end("the list")?;
    let mut reader = Reader::new(TAG, list);
    let mut items = Vec::with_capacity(most);
    while !reader.rest().is_empty() {
        if items.len() == most {
            return Err(malformed("a transaction's number of items"));
        }
        items.push(item(&mut reader)?);
    }
    Ok(items)
}

/// The next value.
fn item<'a>(reader: &mut Reader<'a>) -> Result<Item<'a>, Refused> {
    if matches!(reader.peek(), Some(..0x80)) {
        return reader.take(1).map(Item::String);
    }
    let prefix = reader.u8()?;
    let is_list = prefix >= 0xc0;
    let size = prefix & 0x3f;
    let length = match size.checked_sub(SHORT) {
        None | Some(0) => size.into(),
        Some(bytes) => long(reader.take(bytes.into())?)?,
    };
    match reader.take(length)? {
        contents if is_list => Ok(Item::List(contents)),
        [0..=0x7f] => Err(malformed("a single byte below 0x80 as itself")),
        contents => Ok(Item::String(contents)),
    }
}

/// A length that takes 1 to 8 bytes.
fn long(length: &[u8]) -> Result<u64, Refused> {
    if length.first() == Some(&0) {
        return Err(malformed("a length without leading zeroes"));
    }
    match length.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)) {
        length if length <= u64::from(SHORT) => Err(malformed("a length up to 55 in the first byte")),
        length => Ok(length),
    }
}

impl<'a> Item<'a> {
    /// A string.
    pub(super) fn string(self) -> Result<&'a [u8], Refused> {
        match self {
            Self::String(bytes) => Ok(bytes),
            Self::List(_) => Err(malformed("a string, not a list")),
        }
    }

    /// A whole number of at most 256 bits, big-endian.
    pub(super) fn word(self) -> Result<[u8; 32], Refused> {
        let bytes = self.string()?;
        if bytes.first() == Some(&0) {
            return Err(malformed("a number without leading zeroes"));
        }
        let mut word = [0; 32];
        let start = word.len().checked_sub(bytes.len());
        let end = start.and_then(|start| word.get_mut(start..));
        end.ok_or_else(|| malformed("a number of at most 32 bytes"))?.copy_from_slice(bytes);
        Ok(word)
    }
}

/// A list that is being written.
#[derive(Debug, Default)]
pub(super) struct List(Vec<u8>);

impl List {
    pub(super) fn string(&mut self, bytes: &[u8]) {
        if !matches!(bytes, [0..=0x7f]) {
            prefix(&mut self.0, 0x80, bytes.len());
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn number(&mut self, number: impl Into<u128>) {
        self.string(significant(&number.into().to_be_bytes()));
    }

    pub(super) fn empty_list(&mut self) {
        self.0.push(0xc0);
    }

    /// Appends the list to `encoded`.
    pub(super) fn finish(self, encoded: &mut Vec<u8>) {
        prefix(encoded, 0xc0, self.0.len());
        encoded.extend_from_slice(&self.0);
    }
}

/// A number without its leading zeroes.
pub(super) fn significant(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

/// Both kinds leave the lower six bits for 0 to 55, or 55 and the length's length, 1 to 8.
fn prefix(encoded: &mut Vec<u8>, kind: u8, length: usize) {
    match u8::try_from(length) {
        Ok(short @ ..=SHORT) => encoded.push(kind | short),
        _ => {
            let length = length.to_be_bytes();
            let length = significant(&length);
            let bytes = u8::try_from(length.len()).unwrap_or(u8::MAX);
            encoded.push(kind | SHORT.saturating_add(bytes));
            encoded.extend_from_slice(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    #[test]
    fn what_ethereum_org_prints_is_written_and_read() {
        // The examples of ethereum.org's page on RLP: "dog", "", [], 15, 1024, 0, "Lorem ipsum dolor sit amet, consectetur adipisicing elit".
        let mut all = List::default();
        all.string(b"dog");
        all.string(b"");
        all.empty_list();
        all.number(15_u8);
        all.number(1024_u16);
        all.number(0_u8);
        all.string(b"Lorem ipsum dolor sit amet, consectetur adipisicing elit");
        let mut encoded = Vec::new();
        all.finish(&mut encoded);
        let lorem = "4c6f72656d20697073756d20646f6c6f722073697420616d65742c20636f6e7365637465747572206164697069736963696e6720656c6974";
        let expected = format!("f84583646f6780c00f82040080b838{lorem}");
        assert_eq!(HEXLOWER.encode(&encoded), expected);
        let items = list(&encoded, 7).unwrap();
        assert_eq!(items[0], Item::String(b"dog"));
        assert_eq!(items[2], Item::List(&[]));
        assert_eq!(items[4].word().unwrap()[30..], [4, 0]);
        assert_eq!(items[6].string().unwrap().len(), 56);
        assert!(list(&encoded, 6).is_err(), "more items than asked for");
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for (bad, why) in [
            ("", "nothing"),
            ("80", "a string"),
            ("c000", "a byte after it"),
            ("c1", "cut off"),
            ("c28101", "0x01 with a prefix"),
            ("f800", "a length in the second byte that fits the first"),
            ("f80180", "a length of one in the second byte"),
            (&format!("f90038{}", "80".repeat(56)), "a length with a leading zero"),
            ("f8", "no length"),
            ("ffffffffffffffffff", "a length beyond everything"),
            ("fb80000000", "two gigabytes"),
            ("c3b80100", "a long string that is short"),
            ("c3820102ff", "bytes after the list"),
            ("c2820102", "a string beyond its list"),
        ] {
            assert!(list(&HEXLOWER.decode(bad.as_bytes()).unwrap(), 99).is_err(), "{why}");
        }
        for (bad, why) in
            [(&[0][..], "zero as a byte"), (&[0, 1], "a leading zero"), (&[1; 33], "more than 256 bits")]
        {
            assert!(Item::String(bad).word().is_err(), "{why}");
        }
        assert!(Item::List(&[]).word().is_err(), "a list is no number");
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(items) = list(&bytes, 12) {
                let mut again = List::default();
                for item in items {
                    match item {
                        Item::String(string) => again.string(string),
                        Item::List([]) => again.empty_list(),
                        Item::List(_) => return Ok(()),
                    }
                }
                let mut encoded = Vec::new();
                again.finish(&mut encoded);
                prop_assert_eq!(encoded, bytes);
            }
        }
    }
}
