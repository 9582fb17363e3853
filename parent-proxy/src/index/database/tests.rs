use super::*;
use chains::Chain;
use protocol::{Index, KeyPath, Purpose};
use std::path::PathBuf;

fn key(number: u64) -> KeyId {
    let path = KeyPath {
        user: "alice".parse().unwrap(),
        chain: Chain::Evm,
        purpose: Purpose::Sweep,
        index: Index::try_from(number).unwrap(),
    };
    KeyId::derive(&"laptop".parse().unwrap(), &path)
}

fn entry(number: u64, addresses: &[&str]) -> IndexEntry {
    let addresses = addresses.iter().map(|address| (*address).to_owned()).collect();
    IndexEntry { key: key(number), addresses: Some(addresses) }
}

fn sorted(numbers: std::ops::Range<u64>) -> Vec<KeyId> {
    let mut keys: Vec<KeyId> = numbers.map(key).collect();
    keys.sort_by_key(ToString::to_string);
    keys
}

/// A file with five hundred keys.
fn full(folder: &Path) -> PathBuf {
    let path = folder.join("index");
    let database = Database::open(&path, "file:///store").unwrap();
    let entries: Vec<IndexEntry> =
        (0..500).map(|number| entry(number, &[&format!("0x{number:040x}")])).collect();
    assert_eq!(database.add(&entries, true).unwrap(), 500);
    path
}

#[test]
fn keys_are_found_in_the_order_of_their_ids_and_by_each_address() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("index"), "s3://a/b").unwrap();
    assert_eq!(database.missing(&[key(0), key(1)]).unwrap(), [key(0), key(1)]);
    let unreadable = IndexEntry { key: key(3), addresses: None };
    let entries = [
        entry(0, &["0xAbC", "TXyz"]),
        entry(1, &["bc1qab", "BC1PAB"]),
        entry(2, &["0xabcd"]),
        unreadable.clone(),
    ];
    assert_eq!(database.add(&entries, false).unwrap(), 4);
    assert_eq!(database.add(&entries, true).unwrap(), 4, "once however often it is added");
    // What could not be read is looked at again.
    assert_eq!(database.missing(&[key(0), key(3), key(4)]).unwrap(), [key(3), key(4)]);
    for (address, found) in [
        ("0xabc", vec![key(0)]),
        ("0XABC", vec![key(0)]),
        ("TXyz", vec![key(0)]),
        ("bc1pab", vec![key(1)]),
        ("BC1QAB", vec![key(1)]),
        // Of base58 each case is another address; and neither a beginning nor a longer one is one.
        ("txyz", vec![]),
        ("0xab", vec![]),
        ("0xabcd", vec![key(2)]),
        ("0xabcde", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(database.find(address, 16).unwrap(), found, "{address}");
    }
    let all = sorted(0..4);
    assert_eq!(database.page(None, 10).unwrap(), all);
    assert_eq!(database.page(Some(all[1]), 1).unwrap(), [all[2]]);
    assert_eq!(database.page(Some(all[3]), 10).unwrap(), []);
}

#[test]
fn a_file_that_is_damaged_anywhere_is_whole_or_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = full(folder.path());
    let good = fs::read(&path).unwrap();
    let all = sorted(0..500);
    let (mut whole, mut anew) = (0, 0);
    let mut opened = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let database = Database::open(&path, "file:///store").unwrap();
        let keys = database.page(None, 1000).unwrap();
        if keys.is_empty() {
            anew += 1;
            assert_eq!(database.missing(&all).unwrap(), all);
            database.add(&[entry(0, &["0x1"])], true).unwrap();
        } else {
            whole += 1;
            assert_eq!(keys, all);
            assert_eq!(database.find(&format!("0x{:040x}", 77), 2).unwrap(), [key(77)]);
        }
    };
    // Each hundredth part of it, and everywhere in what is first read.
    let places = (0..good.len()).step_by(good.len() / 100).chain((0..512).step_by(16));
    for place in places {
        let mut bytes = good.clone();
        bytes[place] ^= 0x55;
        opened(&bytes);
    }
    for length in [0, 1, 511, 4096, good.len() / 2, good.len() - 1] {
        opened(&good[..length]);
    }
    opened(b"no index at all");
    opened(&vec![0; good.len()]);
    opened(&good);
    assert!(whole > 10 && anew > 10, "{whole} {anew}");
}

#[test]
fn one_of_another_store_is_made_anew_and_one_that_is_in_use_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = full(folder.path());
    let database = Database::open(&path, "file:///store").unwrap();
    let refused = Database::open(&path, "file:///other").err().unwrap();
    assert!(matches!(*refused, redb::Error::DatabaseAlreadyOpen) && !is_damage(&refused));
    assert_eq!(database.page(None, 1000).unwrap().len(), 500);
    drop(database);
    assert_eq!(Database::open(&path, "file:///other").unwrap().page(None, 1).unwrap(), []);
    let nowhere = Database::open(&folder.path().join("no/such/folder"), "file:///store").err().unwrap();
    assert!(!is_damage(&nowhere));
}
