//! Everything that is refused for how it is written: fields, versions, shapes, encodings, counts.

use bitcoin::{Amount, Sequence, TxOut, consensus::encode::serialize};
use cofferdam_chains::bitcoin::Transaction;

use crate::support::{
    Case, Coin, Form, Maps, P2TR, P2WPKH, Pair, collection, pair, public, secret, tag, tag_of, tag_of_case,
};

#[test]
fn fields_that_no_sweep_needs_are_refused() {
    let unknown = |kind: u8| (vec![kind, 1, 2], vec![3]);
    let proprietary: Pair = (vec![0xfc, 4, b'c', b'o', b'f', b'f', 0], vec![1]);
    for added in
        [unknown(0x20), unknown(0xf0), proprietary, pair(0x0b, &[1]), (vec![0xfd, 0x00, 0x01], vec![])]
    {
        let places: [fn(&mut Maps) -> &mut Vec<Pair>; 3] =
            [|maps| &mut maps.global, |maps| &mut maps.inputs[2], |maps| &mut maps.outputs[0]];
        for place in places {
            assert_eq!(tag_of(|maps| place(maps).push(added.clone())), "transaction.bitcoin.field");
        }
    }
    // Proof of reserves, preimages (BIP-174), MuSig2 (BIP-373), silent payments (BIP-375).
    for kind in [0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e] {
        let found = tag_of(|maps| maps.inputs[P2TR].push(pair(kind, &[1; 32])));
        assert_eq!(found, "transaction.bitcoin.field", "{kind:#x}");
    }
    for kind in [0x08, 0x09, 0x0a, 0x35] {
        let found = tag_of(|maps| maps.outputs[0].push(pair(kind, &[1; 66])));
        assert_eq!(found, "transaction.bitcoin.field", "{kind:#x}");
    }
}

#[test]
fn a_key_twice_in_a_map_is_refused() {
    let derivation = || ([&[0x02][..], &public(&secret(9)).to_bytes()].concat(), vec![0; 8]);
    let xpub = || (vec![0x01; 79], vec![0; 4]);
    assert_eq!(tag_of(|maps| maps.global.extend([xpub(), xpub()])), "transaction.bitcoin.field");
    assert_eq!(
        tag_of(|maps| maps.outputs[0].extend([derivation(), derivation()])),
        "transaction.bitcoin.field"
    );
    for again in 0..2 {
        let found = tag_of(|maps| {
            let another = maps.inputs[3][again].clone();
            maps.inputs[P2WPKH].push(another);
        });
        assert_eq!(found, "transaction.bitcoin.field");
    }
}

#[test]
fn fields_of_the_other_version_are_refused() {
    // The BIP's own vectors for this are finalised PSBTs, which are refused for that too.
    let case = Case::mixed();
    let (zero, two) = (case.psbt(0), case.psbt(2));
    for field in [0x02, 0x03, 0x04, 0x05] {
        let mut maps = zero.clone();
        maps.global.push(two.global.iter().find(|(key, _)| key == &[field]).unwrap().clone());
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.version");
    }
    let mut maps = zero.clone();
    maps.global.push(pair(0x06, &[0]));
    assert_eq!(tag(&case, &maps), "transaction.bitcoin.version");
    let time = pair(0x11, &1_700_000_000u32.to_le_bytes());
    let height = pair(0x12, &9u32.to_le_bytes());
    let fields = two.inputs[0].iter().filter(|(key, _)| key[0] >= 0x0e).cloned().chain([time, height]);
    for field in fields {
        let mut maps = zero.clone();
        maps.inputs[0].push(field);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    }
    for field in two.outputs[0].clone() {
        let mut maps = zero.clone();
        maps.outputs[0].push(field);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    }
    let mut maps = two.clone();
    maps.global.push(zero.global[0].clone());
    assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    // Version 2 lacks nothing that it needs.
    for field in [0x02, 0x04, 0x05] {
        let mut maps = two.clone();
        Maps::remove(&mut maps.global, field);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    }
    for field in [0x0e, 0x0f] {
        let mut maps = two.clone();
        Maps::remove(&mut maps.inputs[0], field);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    }
    for field in [0x03, 0x04] {
        let mut maps = two.clone();
        Maps::remove(&mut maps.outputs[0], field);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.field");
    }
    for version in [1u32, 3, u32::MAX] {
        let mut maps = zero.clone();
        maps.global.push(pair(0xfb, &version.to_le_bytes()));
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.version");
    }
    // Version 0 may say so; without the fallback the locktime is 0, without a sequence it is final.
    let mut maps = zero.clone();
    maps.global.push(pair(0xfb, &[0; 4]));
    assert_eq!(case.match_bytes(&maps.to_bytes()), case.sweep(0));
    let mut maps = two.clone();
    Maps::remove(&mut maps.global, 0x03);
    assert_eq!(case.match_bytes(&maps.to_bytes()), case.sweep(2));
    maps.inputs.iter_mut().for_each(|map| Maps::remove(map, 0x10));
    let mut sequenced = case.clone();
    sequenced.transaction.input.iter_mut().for_each(|input| input.sequence = Sequence::MAX);
    assert_eq!(case.match_bytes(&maps.to_bytes()), sequenced.sweep(2));
}

#[test]
fn a_psbt_of_version_2_is_refused_by_the_reader_which_says_what_to_do() {
    for maps in [Case::mixed().psbt(2), Maps { global: vec![pair(0xfb, &[2, 0, 0, 0])], ..Maps::default() }] {
        let refused = Transaction::parse(&maps.to_bytes()).unwrap_err();
        assert_eq!(refused.tag, "transaction.bitcoin.version");
        assert!(refused.allowed.contains("`cofferdam transaction convert`"), "{refused}");
    }
}

#[test]
fn a_psbt_that_may_be_modified_is_refused() {
    let case = Case::mixed();
    for flags in [&[1u8][..], &[2], &[4], &[8], &[0xff], &[], &[0, 0]] {
        let mut maps = case.psbt(2);
        maps.global.push(pair(0x06, flags));
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.modifiable");
    }
    let mut maps = case.psbt(2);
    maps.global.push(pair(0x06, &[0]));
    assert_eq!(case.match_bytes(&maps.to_bytes()), case.sweep(2));
}

#[test]
fn none_or_more_than_a_hundred_inputs_or_outputs_are_refused() {
    let found = tag_of_case(|case| case.transaction.output.clear());
    assert_eq!(found, "transaction.bitcoin.outputs");
    let found = tag_of_case(|case| {
        let output = TxOut { value: Amount::from_sat(1000), script_pubkey: collection() };
        case.transaction.output = vec![output; 101];
    });
    assert_eq!(found, "transaction.bitcoin.outputs");
    let coins: Vec<Coin> =
        (0..101).map(|index| Coin { key: 0, form: Form::P2tr, amount: 1000 + index }).collect();
    let case = Case::new(&coins);
    for version in [0, 2] {
        assert_eq!(tag(&case, &case.psbt(version)), "transaction.bitcoin.inputs");
    }
    let mut maps = Case::mixed().psbt(2);
    Maps::set(&mut maps.global, 0x04, &[0]);
    assert_eq!(tag(&Case::mixed(), &maps), "transaction.bitcoin.inputs");
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    let derivation = |kind: u8, length: usize| [&[kind][..], &vec![2; length]].concat();
    for (input, added) in [
        // Keys of 65 and 32 bytes, paths that are none.
        (P2WPKH, (derivation(0x06, 65), vec![0; 8])),
        (P2WPKH, (derivation(0x06, 32), vec![0; 8])),
        (P2WPKH, (derivation(0x06, 33), vec![0; 7])),
        (P2WPKH, (derivation(0x06, 33), vec![])),
        (P2TR, (derivation(0x16, 33), vec![0; 5])),
        (P2TR, (derivation(0x16, 32), vec![0; 4])),
        (P2TR, (derivation(0x16, 32), vec![1; 36])),
        (P2TR, (derivation(0x16, 32), vec![])),
        (P2TR, pair(0x17, &[2; 33])),
        (P2TR, (vec![0x17, 0], vec![2; 32])),
        (P2TR, pair(0x03, &[1])),
        (P2TR, (vec![0x03, 0], vec![1, 0, 0, 0])),
    ] {
        let found = tag_of(|maps| maps.inputs[input].push(added.clone()));
        assert_eq!(found, "transaction.bitcoin.encoding", "{added:?}");
    }
    let empty = tag_of(|maps| Maps::set(&mut maps.inputs[P2TR], 0x00, &[]));
    assert_eq!(empty, "transaction.bitcoin.encoding");
    for added in [pair(0x05, &[2; 33]), (vec![0x00, 1], vec![]), (derivation(0x07, 33), vec![0; 5])] {
        let found = tag_of(|maps| maps.outputs[0].push(added.clone()));
        assert_eq!(found, "transaction.bitcoin.encoding", "{added:?}");
    }
    let xpub = tag_of(|maps| maps.global.push((vec![0x01, 4], vec![0; 4])));
    assert_eq!(xpub, "transaction.bitcoin.encoding");
    let trailing = tag_of(|maps| maps.inputs[P2TR][0].1.push(0));
    assert_eq!(trailing, "transaction.bitcoin.encoding");
}

#[test]
fn a_previous_transaction_has_one_encoding() {
    let case = Case::mixed();
    let previous = serialize(&case.previous[P2WPKH]);
    let mut stripped = case.previous[P2WPKH].clone();
    stripped.input[0].witness.clear();
    let without = serialize(&stripped);
    assert!(without.len() < previous.len());

    // With witnesses and without, both are what a node hands out, and mean the same.
    let mut maps = case.psbt(0);
    Maps::set(&mut maps.inputs[P2WPKH], 0x00, &without);
    assert_eq!(case.match_bytes(&maps.to_bytes()), case.sweep(0));

    // A flag without any witness, another flag, a longer count, a byte more.
    let superfluous =
        [&without[..4], &[0, 1], &without[4..without.len() - 4], &[0], &without[without.len() - 4..]];
    let mut flag = previous.clone();
    flag[5] = 2;
    let longer = [&without[..4], &[0xfd, 1, 0], &without[5..]].concat();
    for bad in
        [superfluous.concat(), flag, longer, [without.as_slice(), &[0]].concat(), without[..9].to_vec()]
    {
        let found = tag_of(|maps| Maps::set(&mut maps.inputs[P2WPKH], 0x00, &bad));
        assert_eq!(found, "transaction.bitcoin.encoding");
    }
}
