//! A PSBT and its previous transactions, taken apart: what wallets write has each of them inside,
//! with its witness and once for every input. Beside the PSBT each stands once and without.

use super::psbt::{MAGIC, number, sized};

const UNSIGNED_TX: u8 = 0x00;
const NON_WITNESS_UTXO: u8 = 0x00;

/// The PSBT without previous transactions, and these; `None` where it cannot be read, which the strict
/// reader then says better.
pub(super) fn split(psbt: &[u8]) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let mut rest = psbt.strip_prefix(MAGIC)?;
    let mut inputs = None;
    while let Some((key, value)) = pair(&mut rest)? {
        if key == [UNSIGNED_TX] {
            inputs = number(value.get(4..)?).map(|(count, _)| count);
        }
    }
    let global = psbt.len().checked_sub(rest.len())?;
    let (mut without, mut previous) = (psbt.get(..global)?.to_vec(), Vec::new());
    for _ in 0..inputs? {
        loop {
            let before = rest;
            let found = pair(&mut rest)?;
            if let Some(([NON_WITNESS_UTXO], transaction)) = found {
                let transaction = stripped(transaction)?;
                if !previous.contains(&transaction) {
                    previous.push(transaction);
                }
            } else {
                without.extend(before.get(..before.len().checked_sub(rest.len())?)?);
            }
            if found.is_none() {
                break;
            }
        }
    }
    without.extend(rest);
    Some((without, previous))
}

/// The next pair of a map, or that the map has ended.
fn pair<'a>(rest: &mut &'a [u8]) -> Option<Option<(&'a [u8], &'a [u8])>> {
    let (key, after) = sized(rest)?;
    *rest = after;
    if key.is_empty() {
        return Some(None);
    }
    let (value, after) = sized(rest)?;
    *rest = after;
    Some(Some((key, value)))
}

/// A transaction without its witness (BIP-144).
fn stripped(transaction: &[u8]) -> Option<Vec<u8>> {
    let (version, after) = transaction.split_first_chunk::<4>()?;
    let Some(body) = after.strip_prefix(&[0, 1]) else {
        return Some(transaction.to_vec());
    };
    let (inputs, mut rest) = number(body)?;
    for _ in 0..inputs {
        // An outpoint, a script, a sequence.
        rest = sized(rest.get(36..)?)?.1.get(4..)?;
    }
    let (outputs, mut rest) = number(rest)?;
    for _ in 0..outputs {
        // An amount, a script.
        rest = sized(rest.get(8..)?)?.1;
    }
    let body = body.get(..body.len().checked_sub(rest.len())?)?;
    let (_, lock_time) = rest.split_last_chunk::<4>()?;
    Some([version.as_slice(), body, lock_time].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::psbt_v2::to_version_0;
    use chains::bitcoin::Transaction;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use serde_json::Value;

    fn cases() -> Vec<Value> {
        let of = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
        let embit = of(include_str!("../../../tests/vectors/bitcoin/psbt-embit.json"));
        let bitcoinjs = of(include_str!("../../../tests/vectors/bitcoin/psbt-bitcoinjs.json"));
        [embit, bitcoinjs].concat()
    }

    fn unhex(value: &Value) -> Vec<u8> {
        HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn what_is_split_matches_as_what_was_whole() {
        let mut moved = 0;
        for case in cases().iter().filter(|case| case["refused"].is_null()) {
            let whole = unhex(&case["psbt"]);
            let whole = to_version_0(&whole).unwrap().unwrap_or(whole);
            let (psbt, previous) = split(&whole).unwrap();
            let keys: Vec<_> = case["keys"].as_array().unwrap().iter().map(unhex).collect();
            let keys: Vec<_> = keys
                .iter()
                .map(|key| chains::PublicKey::from_bytes(chains::Curve::Secp256k1, key).unwrap())
                .collect();
            let sweep = |psbt: &[u8], previous: &[Vec<u8>]| {
                let transaction = Transaction::parse(psbt).unwrap().with_previous(previous).unwrap();
                transaction.sweep(&keys, chains::BitcoinNetwork::Mainnet).unwrap()
            };
            assert_eq!(sweep(&psbt, &previous), sweep(&whole, &[]), "{}", case["name"]);
            // Split once, there is nothing left to take out.
            assert_eq!(split(&psbt), Some((psbt, Vec::new())));
            moved += previous.len();
        }
        assert!(moved > 30, "{moved}");
    }

    #[test]
    fn a_transaction_that_inputs_share_comes_once_and_without_its_witness() {
        let transaction = |witness: bool| {
            let (flag, items): (&[u8], &[u8]) = if witness { (&[0, 1], &[1, 2, 7, 7]) } else { (&[], &[]) };
            let input = [&[1][..], &[3; 36], &[0], &[0xff; 4]].concat();
            let output = [&[1][..], &[5; 8], &[1, 0x51]].concat();
            [&[2, 0, 0, 0][..], flag, &input, &output, items, &[9, 0, 0, 0]].concat()
        };
        let length = u8::try_from(transaction(true).len()).unwrap();
        let input = [&[1, 0, length][..], &transaction(true), &[1, 3, 4, 1, 0, 0, 0, 0]].concat();
        let output = [1, 0, 1, 0x51, 0];
        let global = [&[1, 0, 5][..], &[2, 0, 0, 0, 2], &[0]].concat();
        let psbt = [MAGIC, &global, &input, &input, &output].concat();
        let without = [1, 3, 4, 1, 0, 0, 0, 0];
        let expected = [MAGIC, &global, &without, &without, &output].concat();
        assert_eq!(split(&psbt), Some((expected, vec![transaction(false)])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_split_or_not_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            split(&[MAGIC, &bytes].concat());
            stripped(&bytes);
            let mut psbt = unhex(&cases()[2]["psbt"]);
            for (at, byte) in bytes.iter().enumerate() {
                let at = (at * 251 + usize::from(*byte)) % psbt.len();
                psbt[at] ^= byte;
            }
            split(&psbt);
        }
    }
}
