//! Whatever bytes come: no panic, one form for one transaction, and no message with two meanings.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use cofferdam_chains::{Curve, PublicKey, solana::Transaction};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::SigningKey;
use proptest::{prelude::*, sample::Index};
use serde_json::Value;

/// An unsigned transaction, and the keys that shall sign it.
type Case = (Vec<u8>, Vec<PublicKey>);

fn cases() -> Vec<Case> {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../tests/vectors/solana/sweeps.json")).unwrap();
    let key = |seed: &Value| {
        let seed = HEXLOWER.decode(seed.as_str().unwrap().as_bytes()).unwrap();
        let key = SigningKey::from_bytes(&seed.try_into().unwrap()).verifying_key();
        PublicKey::from_bytes(Curve::Ed25519, key.as_bytes()).unwrap()
    };
    let case = |vector: &Value| {
        let bytes = BASE64.decode(vector["unsigned"].as_str().unwrap().as_bytes()).unwrap();
        (bytes, vector["seeds"].as_array().unwrap().iter().map(key).collect())
    };
    vectors.iter().map(case).collect()
}

fn case() -> impl Strategy<Value = Case> {
    proptest::sample::select(cases())
}

#[derive(Debug, Clone)]
enum Change {
    Flip(Index, u8),
    Set(Index, u8),
    Remove(Index),
    Insert(Index, u8),
    /// A part of the transaction stands elsewhere as well.
    Copy(Index, Index, usize),
    Swap(Index, Index, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Self::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Self::Set(at, to) => bytes[at.index(length)] = *to,
            Self::Remove(at) => drop(bytes.remove(at.index(length))),
            Self::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Self::Copy(from, to, count) => {
                let from = from.index(length);
                let part = bytes[from..(from + count).min(length)].to_vec();
                let to = to.index(length);
                let end = (to + part.len()).min(length);
                bytes.splice(to..end, part);
            }
            Self::Swap(one, other, count) => {
                let [one, other] = [one, other].map(|at| at.index(length));
                for step in 0..*count {
                    if one.max(other) + step < length {
                        bytes.swap(one + step, other + step);
                    }
                }
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let length = prop_oneof![Just(1usize), Just(32), 1usize..64];
    prop_oneof![
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (any::<Index>(), prop_oneof![0u8..16, any::<u8>()]).prop_map(|(at, to)| Change::Set(at, to)),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        2 => (any::<Index>(), any::<Index>(), length.clone()).prop_map(|(a, b, n)| Change::Copy(a, b, n)),
        2 => (any::<Index>(), any::<Index>(), length).prop_map(|(a, b, n)| Change::Swap(a, b, n)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..1300)) {
        if let Ok(transaction) = Transaction::parse(&bytes) {
            prop_assert_eq!(transaction.to_bytes(), bytes);
        }
    }

    /// What is read is written again; and what is still a sweep means the same, or signs another
    /// message.
    #[test]
    fn a_mutated_transaction_is_refused_or_signs_another_message(
        (bytes, keys) in case(),
        changes in proptest::collection::vec(change(), 1..4),
    ) {
        let original = Transaction::parse(&bytes).unwrap().sweep(&keys).unwrap();
        let mut mutant = bytes.clone();
        changes.iter().for_each(|change| change.apply(&mut mutant));
        let Ok(transaction) = Transaction::parse(&mutant) else { return Ok(()) };
        prop_assert_eq!(transaction.to_bytes(), &mutant[..]);
        let Ok(sweep) = transaction.sweep(&keys) else { return Ok(()) };
        if sweep.signing_inputs() == original.signing_inputs() {
            prop_assert_eq!(sweep.summary(), original.summary());
        }
    }

    /// What a mutated sweep pays is written in the message that is signed: the amounts and the
    /// destinations of its summary are there, byte by byte.
    #[test]
    fn what_a_summary_says_is_in_what_is_signed((bytes, keys) in case(), change in change()) {
        let mut mutant = bytes;
        change.apply(&mut mutant);
        let Ok(transaction) = Transaction::parse(&mutant) else { return Ok(()) };
        let Ok(sweep) = transaction.sweep(&keys) else { return Ok(()) };
        let message = transaction.message_bytes();
        let holds = |part: &[u8]| message.windows(part.len()).any(|window| window == part);
        for transfer in sweep.summary().transfers {
            let amount = u64::try_from(transfer.amount.get()).unwrap();
            prop_assert!(holds(&amount.to_le_bytes()));
            let destination: cofferdam_chains::solana::SolanaAddress = transfer.destination.parse().unwrap();
            prop_assert!(holds(destination.as_bytes()));
        }
    }
}
