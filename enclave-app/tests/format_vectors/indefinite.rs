//! AWS's payload may be of indefinite length; no format of ours may, at no depth.

use attestation::cbor;
use protocol::{Record, SessionBinding};
use serde_bytes::{ByteBuf, Bytes};
use wire::{Request, Response};

use super::{bytes, list, vectors};

/// Walks over one item; answers where it ends, and notes every array and map: where its head begins
/// and ends, and where the whole does.
fn walk(cbor: &[u8], at: usize, found: &mut Vec<[usize; 3]>) -> usize {
    let (major, low) = (cbor[at] >> 5, cbor[at] & 0x1f);
    let width = match low {
        0..=23 => 0,
        24 => 1,
        25 => 2,
        26 => 4,
        _ => 8,
    };
    let head = at + 1 + width;
    let argument = cbor[at + 1..head].iter().fold(0usize, |value, byte| value << 8 | usize::from(*byte));
    let argument = if width == 0 { usize::from(low) } else { argument };
    match major {
        2 | 3 => head + argument,
        4 | 5 => {
            let mut end = head;
            for _ in 0..argument * usize::from(major - 3) {
                end = walk(cbor, end, found);
            }
            found.push([at, head, end]);
            end
        }
        _ => head,
    }
}

/// The same item once for each array and map in it, which is of indefinite length there.
fn variants(item: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    assert_eq!(walk(item, 0, &mut found), item.len());
    assert!(!found.is_empty());
    let changed = |[at, head, end]: [usize; 3]| {
        let first = [item[at] | 0x1f];
        [&item[..at], &first, &item[head..end], &[0xff], &item[end..]].concat()
    };
    found.into_iter().map(changed).collect()
}

fn assert_refused<T, E: std::fmt::Display>(
    what: &str,
    items: Vec<Vec<u8>>,
    read: impl Fn(&[u8]) -> Result<T, E>,
) {
    for item in items {
        // Another reader takes it: that it is refused is our choice.
        serde_cbor::from_slice::<serde_cbor::Value>(&item).unwrap();
        let Err(refused) = read(&item) else { panic!("{what}: {item:02x?}") };
        let refused = refused.to_string();
        assert!(refused.contains("0xbf") || refused.contains("0x9f"), "{what}: {refused}");
    }
}

#[test]
fn every_format_of_ours_refuses_maps_and_arrays_of_indefinite_length() {
    let vectors = vectors();
    for case in list(&vectors["session"]["bindings"]) {
        assert_refused("session binding", variants(&bytes(&case["cbor"])), SessionBinding::decode);
    }
    for case in list(&vectors["records"]) {
        let record = bytes(&case["record"]);
        assert_refused("record", variants(&record), Record::parse);
        // The header lies in the record as bytes, with a form of its own.
        let (version, header, certificate, ciphertext): (u8, ByteBuf, String, ByteBuf) =
            cbor::decode(&record, 1 << 16).unwrap();
        let with = |header: Vec<u8>| {
            cbor::encode(&(version, Bytes::new(&header), &certificate, Bytes::new(&ciphertext))).unwrap()
        };
        assert_eq!(with(header.to_vec()), record);
        let records = variants(&header).into_iter().map(with).collect();
        assert_refused("record header", records, Record::parse);
    }
    for case in list(&vectors["requests"]) {
        assert_refused("request", variants(&bytes(&case["frame"])[4..]), Request::decode);
    }
    for case in list(&vectors["responses"]) {
        assert_refused("response", variants(&bytes(&case["frame"])[4..]), Response::decode);
    }
}
