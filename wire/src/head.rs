//! How a request begins: its id and the name of its operation stand within its first bytes, whatever
//! follows. Enough to find a place for the rest before it is read, or to refuse it unread.

/// The beginning of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The request's id.
    pub id: u64,
    /// The name of its operation, which may be none of ours.
    pub operation: &'a str,
}

impl<'a> RequestHead<'a> {
    /// Reads the first bytes of a request: [`crate::frame::HEAD`] of them are enough. `None` where no
    /// request begins so. What is read here is no more than claimed: it counts once the whole request
    /// was read strictly.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        // {"id": …, "operation": …}, in the one spelling that there is.
        let (id, rest) = number(bytes.strip_prefix(b"\xa2\x62id")?)?;
        let rest = rest.strip_prefix(b"\x69operation")?;
        // An operation with fields is a map of one, under its name.
        let (length, rest) = rest.strip_prefix(b"\xa1").unwrap_or(rest).split_first()?;
        let length = usize::from(length.checked_sub(0x60)?);
        let name = rest.get(..length).filter(|_| length < 24)?;
        Some(Self { id, operation: std::str::from_utf8(name).ok()? })
    }
}

/// A whole number, and what follows it.
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let width = match first {
        0..=23 => return Some((u64::from(*first), rest)),
        24..=27 => 1usize.checked_shl(u32::from(first.checked_sub(24)?))?,
        _ => return None,
    };
    let (digits, rest) = rest.split_at_checked(width)?;
    Some((digits.iter().fold(0, |number, digit| (number << 8) | u64::from(*digit)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Request, frame::HEAD, message::tests::unsigned};
    use serde_bytes::ByteBuf;

    #[test]
    fn whatever_is_a_request_says_its_id_and_operation_within_the_first_bytes() {
        let long = ByteBuf::from(vec![7; 900]);
        let operations = [
            Operation::Describe,
            Operation::State,
            Operation::Attest { nonce: long.clone() },
            Operation::PutPolicy { envelope: long.clone() },
            Operation::Activate { envelope: ByteBuf::new() },
            Operation::ReplayOrders { envelopes: vec![long; 3] },
            Operation::Create { request: unsigned(), positions: vec![1, 2] },
            Operation::ReadLog { from: 1 },
        ];
        for id in [1, 23, 24, 255, 256, 65_535, 65_536, u64::from(u32::MAX), u64::MAX] {
            for operation in &operations {
                let request = Request { id, operation: operation.clone() };
                let bytes = request.encode().unwrap();
                let head = RequestHead::read(&bytes[..bytes.len().min(HEAD)]).unwrap();
                assert_eq!(head, RequestHead { id, operation: operation.name() });
            }
        }
    }

    #[test]
    fn what_begins_otherwise_is_no_request() {
        let known = Request { id: 1, operation: Operation::Describe }.encode().unwrap();
        assert!(RequestHead::read(&known).is_some());
        for length in 0..known.len() {
            assert_eq!(RequestHead::read(&known[..length]), None, "{length} bytes");
        }
        for (at, byte) in
            [(0, 0xa3), (1, 0x63), (4, 0x20), (4, 0x1c), (5, 0x6a), (15, 0x78), (15, 0x48), (16, 0xff)]
        {
            let mut other = known.clone();
            other[at] = byte;
            assert_eq!(RequestHead::read(&other), None, "{byte:#x} at {at}");
        }
    }
}
