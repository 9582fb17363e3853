//! Whatever is changed in a PSBT: it is refused, or it means the same, or what is signed is of
//! another transaction. And nothing panics.

use cofferdam_chains::{
    SigningInput,
    bitcoin::{MAX_PSBT, Sweep, Transaction},
};
use proptest::{prelude::*, sample::Index};

use crate::{
    oracle::case,
    psbt_v2::to_version_0,
    support::{Case, Maps, read},
};

/// What was changed must not be believed where any signature would be that of the original.
fn holds(case: &Case, original: &Sweep, bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(transaction) = read(bytes) else { return Ok(()) };
    let version_0 = to_version_0(bytes).unwrap().unwrap_or_else(|| bytes.to_vec());
    prop_assert_eq!(transaction.to_bytes(), version_0, "what was parsed is written back");
    let Ok(changed) = case.match_bytes(bytes) else { return Ok(()) };
    let (before, after) = (original.signing_inputs(), changed.signing_inputs());
    if before == after {
        prop_assert_eq!(changed.summary(), original.summary());
        return Ok(());
    }
    // One common digest is enough to know that the same is paid.
    let shared = |input: &SigningInput| before.iter().any(|other| other.message == input.message);
    if after.iter().any(shared) {
        prop_assert_eq!(changed.summary().transfers, original.summary().transfers);
        prop_assert_eq!(changed.txid(), original.txid());
    }
    Ok(())
}

/// A change of one place.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// The bytes of one place to another.
    Copy(Index, Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (any::<Index>(), 1usize..9).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<Index>(), any::<Index>(), 1usize..40)
            .prop_map(|(from, to, count)| Change::Copy(from, to, count)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let length = bytes.len();
    match change {
        Change::Set(at, byte) => bytes[at.index(length)] = *byte,
        Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Change::Insert(at, inserted) => {
            let at = at.index(length);
            bytes.splice(at..at, inserted.iter().copied());
        }
        Change::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + count).min(length));
        }
        Change::Copy(from, to, count) => {
            let (from, to) = (from.index(length), to.index(length));
            let count = (*count).min(length - from.max(to));
            bytes.copy_within(from..from + count, to);
        }
    }
}

/// A change of the pairs, which stays a well-formed PSBT.
fn rearrange(maps: &mut Maps, map: Index, first: Index, second: Index, how: u8) {
    let mut all: Vec<_> = maps.inputs.iter_mut().chain(&mut maps.outputs).chain([&mut maps.global]).collect();
    let count = all.len();
    let other = all[second.index(count)].clone();
    let map = &mut all[map.index(count)];
    if map.is_empty() || other.is_empty() {
        return;
    }
    let (at, length) = (first.index(map.len()), map.len());
    match how {
        0 => map.swap(at, second.index(length)),
        1 => drop(map.remove(at)),
        2 => map[at].1 = other[first.index(other.len())].1.clone(),
        3 => map.push(other[first.index(other.len())].clone()),
        _ => {
            let value = &mut map[at].1;
            if let Some(last) = value.len().checked_sub(1) {
                value[second.index(last + 1)] ^= 1;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn changed_bytes_are_refused_or_mean_the_same_or_are_signed_as_something_else(
        version in prop::sample::select(vec![0u32, 2]),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let case = Case::mixed();
        let original = case.sweep(version).unwrap();
        let mut bytes = case.psbt(version).to_bytes();
        for change in &changes {
            if !bytes.is_empty() {
                apply(&mut bytes, change);
            }
        }
        holds(&case, &original, &bytes)?;
    }

    #[test]
    fn changed_pairs_are_refused_or_mean_the_same_or_are_signed_as_something_else(
        version in prop::sample::select(vec![0u32, 2]),
        map in any::<Index>(),
        first in any::<Index>(),
        second in any::<Index>(),
        how in 0u8..6,
    ) {
        let case = Case::mixed();
        let original = case.sweep(version).unwrap();
        let mut maps = case.psbt(version);
        rearrange(&mut maps, map, first, second, how);
        holds(&case, &original, &maps.to_bytes())?;
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for bytes in [&bytes, &[b"psbt\xff".as_slice(), &bytes].concat()] {
            let _ = (Transaction::parse(bytes), to_version_0(bytes));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sweep_changed_in_one_place_keeps_the_rule(case in case(), changes in prop::collection::vec(change(), 20)) {
        for version in [0, 2] {
            let original = case.sweep(version).unwrap();
            for change in &changes {
                let mut bytes = case.psbt(version).to_bytes();
                apply(&mut bytes, change);
                holds(&case, &original, &bytes)?;
            }
        }
    }
}

#[test]
fn every_byte_changed_and_every_cut_keeps_the_rule() {
    let case = Case::mixed();
    for version in [0, 2] {
        let original = case.sweep(version).unwrap();
        let bytes = case.psbt(version).to_bytes();
        for at in 0..bytes.len() {
            assert!(read(&bytes[..at]).is_err());
            for mask in [0x01, 0x80] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                holds(&case, &original, &changed).unwrap();
            }
        }
        assert!(read(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}

#[test]
fn what_is_long_or_promises_to_be_long_is_refused_before_memory_is_taken_for_it() {
    let magic = b"psbt\xff".as_slice();
    assert!(Transaction::parse(&vec![0xff; MAX_PSBT + 1]).is_err());
    // A key, a value, inputs, outputs and witnesses of 2^64 − 1.
    let huge = [0xff; 9];
    assert!(Transaction::parse(&[magic, &huge].concat()).is_err());
    assert!(Transaction::parse(&[magic, &[1, 0], &huge].concat()).is_err());
    let inputs = [&[2, 0, 0, 0][..], &huge].concat();
    let outputs = [&[2, 0, 0, 0, 1][..], &[0; 36], &[0], &[0xff; 4], &huge].concat();
    let witnesses =
        [&[2, 0, 0, 0, 0, 1, 1][..], &[0; 36], &[0], &[0xff; 4], &[1], &[0; 8], &[0], &huge].concat();
    for transaction in [inputs, outputs, witnesses] {
        let length = u8::try_from(transaction.len()).unwrap();
        let refused = Transaction::parse(&[magic, &[1, 0, length], &transaction].concat()).unwrap_err();
        assert_eq!(refused.tag, "transaction.bitcoin.encoding");
    }
}
