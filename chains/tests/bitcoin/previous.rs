//! Previous transactions beside a PSBT count as if they were inside, and there is one way to write
//! them.

use bitcoin::{Amount, Transaction as Tx, consensus::encode::serialize};
use cofferdam_chains::{
    BitcoinNetwork, Chain, Refused,
    bitcoin::{MAX_PSBT, Sweep},
};
use data_encoding::HEXLOWER;
use serde_json::Value;

use crate::support::{Case, Coin, Form, Maps, P2TR, P2WPKH, read};

/// As the network writes it without its witness.
pub(crate) fn stripped(transaction: &Tx) -> Vec<u8> {
    let mut transaction = transaction.clone();
    transaction.input.iter_mut().for_each(|input| input.witness.clear());
    serialize(&transaction)
}

/// The PSBT without previous transactions, and these.
fn moved_out(case: &Case, version: u32) -> (Maps, Vec<Vec<u8>>) {
    let mut maps = case.psbt(version);
    maps.inputs.iter_mut().for_each(|input| Maps::remove(input, 0x00));
    (maps, case.previous.iter().map(stripped).collect())
}

fn swept(case: &Case, maps: &Maps, previous: &[Vec<u8>]) -> Result<Sweep, Refused> {
    let transaction = read(&maps.to_bytes())?.with_previous(previous)?;
    transaction.sweep(&case.public_keys(), BitcoinNetwork::Regtest)
}

fn tag(case: &Case, maps: &Maps, previous: &[Vec<u8>]) -> &'static str {
    swept(case, maps, previous).unwrap_err().tag
}

#[test]
fn previous_transactions_beside_a_psbt_are_as_those_inside() {
    let case = Case::mixed();
    for version in [0, 2] {
        let (mut maps, mut previous) = moved_out(&case, version);
        let inside = case.sweep(version).unwrap();
        assert_eq!(swept(&case, &maps, &previous).unwrap(), inside);
        // In any order, and without witness_utxo.
        previous.reverse();
        maps.inputs.iter_mut().for_each(|input| Maps::remove(input, 0x01));
        assert_eq!(swept(&case, &maps, &previous).unwrap(), inside);
        assert!(inside.spent().iter().all(|spent| spent.proven));
    }
}

#[test]
fn each_input_finds_its_output_in_a_transaction_that_they_share() {
    let coin = |key, form, amount| Coin { key, form, amount };
    let mut case = Case::new(&[coin(0, Form::P2wpkh, 50_000), coin(1, Form::P2tr, 70_000)]);
    let mut shared = case.previous[0].clone();
    shared.output[0] = case.previous[1].output[1].clone();
    case.transaction.input[1].previous_output.vout = 0;
    for input in &mut case.transaction.input {
        input.previous_output.txid = shared.compute_txid();
    }
    let (maps, _) = moved_out(&case, 0);
    let sweep = swept(&case, &maps, &[stripped(&shared)]).unwrap();
    assert_eq!(sweep.spent().iter().map(|spent| spent.amount).collect::<Vec<_>>(), [50_000, 70_000]);
    assert_eq!(sweep.fee(), 1000);
    // What is beyond its outputs is not there.
    case.transaction.input[1].previous_output.vout = 2;
    let (maps, _) = moved_out(&case, 0);
    assert_eq!(tag(&case, &maps, &[stripped(&shared)]), "transaction.bitcoin.utxo");
}

#[test]
fn one_that_is_missing_beside_is_missing() {
    let case = Case::mixed();
    let (maps, previous) = moved_out(&case, 0);
    for missing in 0..5 {
        let mut some = previous.clone();
        some.remove(missing);
        assert_eq!(tag(&case, &maps, &some), "transaction.bitcoin.utxo", "{missing}");
    }
    assert_eq!(tag(&case, &maps, &[]), "transaction.bitcoin.utxo");
}

#[test]
fn a_witness_utxo_must_say_what_the_transaction_beside_says() {
    let case = Case::mixed();
    for input in [P2WPKH, P2TR] {
        let (mut maps, previous) = moved_out(&case, 0);
        let mut claimed = case.previous[input].output[1].clone();
        claimed.value += Amount::from_sat(1);
        Maps::set(&mut maps.inputs[input], 0x01, &serialize(&claimed));
        assert_eq!(tag(&case, &maps, &previous), "transaction.bitcoin.utxo");
    }
    // Also where a claim alone would have been enough.
    let case = Case::one(Form::P2tr);
    let (mut maps, previous) = moved_out(&case, 0);
    assert!(swept(&case, &maps, &previous).unwrap().spent()[0].proven);
    Maps::set(&mut maps.inputs[0], 0x01, &serialize(&Case::mixed().previous[P2TR].output[1]));
    assert_eq!(tag(&case, &maps, &previous), "transaction.bitcoin.utxo");
}

#[test]
fn what_is_not_one_list_of_what_is_spent_is_refused() {
    let case = Case::mixed();
    let (maps, previous) = moved_out(&case, 0);
    let refused = |previous: &[Vec<u8>]| swept(&case, &maps, previous).unwrap_err();
    let expect = |previous: &[Vec<u8>], allowed: &str| {
        let refused = refused(previous);
        assert_eq!(refused.tag, "transaction.bitcoin.previous", "{refused}");
        assert_eq!(refused.allowed, allowed);
    };
    let replaced = |index: usize, bytes: Vec<u8>| {
        let mut list = previous.clone();
        list[index] = bytes;
        list
    };
    let one_too_many = [previous.clone(), previous[..1].to_vec()].concat();
    expect(&one_too_many, "at most 5 previous transactions, one for each input");
    expect(&replaced(1, previous[0].clone()), "each previous transaction once");
    let with_witness = serialize(&case.previous[2]);
    expect(&replaced(2, with_witness), "previous transactions without witnesses");
    let mut foreign = case.previous[3].clone();
    foreign.output[0].value += Amount::from_sat(1);
    expect(&replaced(3, stripped(&foreign)), "previous transactions that an input spends from");
    for bytes in [vec![], previous[0][1..].to_vec(), [previous[0].as_slice(), &[0]].concat()] {
        assert_eq!(refused(&replaced(0, bytes)).tag, "transaction.bitcoin.encoding");
    }
}

#[test]
fn inside_and_beside_at_once_is_refused() {
    let case = Case::mixed();
    let (_, previous) = moved_out(&case, 0);
    for kept in 0..5 {
        let (mut maps, _) = moved_out(&case, 0);
        Maps::set(&mut maps.inputs[kept], 0x00, &serialize(&case.previous[kept]));
        assert_eq!(tag(&case, &maps, &previous), "transaction.bitcoin.previous");
        let others: Vec<Vec<u8>> = previous
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != kept)
            .map(|(_, bytes)| bytes.clone())
            .collect();
        assert_eq!(tag(&case, &maps, &others), "transaction.bitcoin.previous");
    }
}

#[test]
fn together_they_are_bounded_before_they_are_read() {
    let case = Case::mixed();
    let (maps, _) = moved_out(&case, 0);
    let half = vec![0xff; MAX_PSBT / 2];
    let refused = swept(&case, &maps, &[half.clone(), half, vec![0xff; 2]]).unwrap_err();
    assert_eq!(refused.tag, "transaction.bitcoin.encoding");
    assert!(refused.allowed.contains("together"), "{refused}");
}

#[test]
fn other_families_have_none() {
    let all = include_str!("../../../tests/vectors/evm/eth-account.jsonl");
    let case: Value = serde_json::from_str(all.lines().next().unwrap()).unwrap();
    let bytes = HEXLOWER.decode(case["unsigned"].as_str().unwrap().as_bytes()).unwrap();
    let evm = cofferdam_chains::Transaction::parse(Chain::Evm, &bytes).unwrap();
    assert!(evm.clone().with_previous(&[]).is_ok());
    let previous = moved_out(&Case::mixed(), 0).1;
    assert_eq!(evm.with_previous(&previous).unwrap_err().tag, "transaction.encoding");
}
