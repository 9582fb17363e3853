//! Everything that is refused for what it does, by name.

use bitcoin::{
    Amount, ScriptBuf, Sequence, TxOut, absolute::LockTime, consensus::encode::serialize,
    transaction::Version,
};
use cofferdam_chains::{BitcoinNetwork, Curve, PublicKey, bitcoin::Transaction};

use crate::support::{
    Case, Coin, Form, Maps, P2TR, P2WPKH, collection, pair, public, script, secret, tag, tag_of, tag_of_case,
};

#[test]
fn every_sighash_type_but_all_and_default_is_refused() {
    for input in [P2WPKH, P2TR] {
        // NONE, SINGLE, each with ANYONECANPAY, ALL with it, and what is no type.
        for kind in [0x02u32, 0x03, 0x81, 0x82, 0x83, 0x80, 0x04, 0x0100, 0x0101, u32::MAX] {
            let found = tag_of(|maps| Maps::set(&mut maps.inputs[input], 0x03, &kind.to_le_bytes()));
            assert_eq!(found, "transaction.bitcoin.sighash", "{kind:#x}");
        }
    }
    let default_for_version_0 = tag_of(|maps| Maps::set(&mut maps.inputs[P2WPKH], 0x03, &[0; 4]));
    assert_eq!(default_for_version_0, "transaction.bitcoin.sighash");
}

#[test]
fn an_input_of_another_user_is_refused() {
    // Another key of ours or anybody's: it is not among the request's.
    for (index, form) in [(P2WPKH, Form::P2wpkh), (P2TR, Form::P2tr)] {
        let found = tag_of_case(|case| {
            case.previous[index].output[1].script_pubkey = script(&secret(77), form);
            case.transaction.input[index].previous_output.txid = case.previous[index].compute_txid();
        });
        assert_eq!(found, "transaction.bitcoin.owner");
    }
    // The request names one key, the inputs are of three.
    let case = Case::mixed();
    let transaction = Transaction::parse(&case.psbt(0).to_bytes()).unwrap();
    let refused = transaction.sweep(&[public(&case.keys[0])], BitcoinNetwork::Regtest).unwrap_err();
    assert_eq!(refused.tag, "transaction.bitcoin.owner");
    assert!(refused.found.contains("bcrt1p"), "{refused}");
}

#[test]
fn inputs_that_are_not_p2wpkh_or_p2tr_are_refused() {
    let key = public(&secret(0)).to_bytes();
    let own = bitcoin::PublicKey::from_slice(&key).unwrap();
    for other in [
        ScriptBuf::new_p2sh(&script(&secret(0), Form::P2wpkh).script_hash()),
        ScriptBuf::new_p2pkh(&own.pubkey_hash()),
        ScriptBuf::new_p2pk(&own),
        ScriptBuf::new_p2wsh(&ScriptBuf::new_p2pk(&own).wscript_hash()),
        // P2TR of the key itself, without BIP-86's tweak.
        ScriptBuf::from([&[0x51, 32], &key[1..]].concat()),
        ScriptBuf::new(),
    ] {
        let found = tag_of_case(|case| {
            case.previous[P2WPKH].output[1].script_pubkey = other.clone();
            case.transaction.input[P2WPKH].previous_output.txid = case.previous[P2WPKH].compute_txid();
        });
        assert_eq!(found, "transaction.bitcoin.owner", "{other}");
    }
    // P2SH-P2WPKH as a wallet writes it, with the script that it wraps.
    let wrapped = script(&secret(0), Form::P2wpkh);
    let redeem = tag_of(|maps| maps.inputs[P2WPKH].push(pair(0x04, wrapped.as_bytes())));
    assert_eq!(redeem, "transaction.bitcoin.script");
    let witness = tag_of(|maps| maps.inputs[P2WPKH].push(pair(0x05, &[0x51])));
    assert_eq!(witness, "transaction.bitcoin.script");
}

#[test]
fn script_path_spends_are_refused() {
    let leaf = ([&[0x15, 0xc0][..], &[2; 32]].concat(), vec![0x51, 0xc0]);
    let signature = ([&[0x14][..], &[2; 64]].concat(), vec![1; 64]);
    for added in [leaf, signature, pair(0x18, &[7; 32])] {
        let found = tag_of(|maps| maps.inputs[P2TR].push(added.clone()));
        assert_eq!(found, "transaction.bitcoin.script_path");
    }
    // An output that commits to a script has another key than BIP-86's.
    let secp = bitcoin::key::Secp256k1::verification_only();
    let own =
        bitcoin::PublicKey::from_slice(&public(&secret(1)).to_bytes()).unwrap().inner.x_only_public_key().0;
    let root = bitcoin::hashes::Hash::from_byte_array([7; 32]);
    let committed = ScriptBuf::new_p2tr(&secp, own, Some(root));
    let found = tag_of_case(|case| {
        case.previous[P2TR].output[1].script_pubkey = committed.clone();
        case.transaction.input[P2TR].previous_output.txid = case.previous[P2TR].compute_txid();
    });
    assert_eq!(found, "transaction.bitcoin.owner");
    // What the PSBT says is the internal key must be.
    let other = tag_of(|maps| maps.inputs[P2TR].push(pair(0x17, &[7; 32])));
    assert_eq!(other, "transaction.bitcoin.internal_key");
    let needless = tag_of(|maps| maps.inputs[P2WPKH].push(pair(0x17, &[7; 32])));
    assert_eq!(needless, "transaction.bitcoin.internal_key");
}

#[test]
fn beside_a_p2wpkh_input_every_input_brings_the_transaction_it_spends_from() {
    // Also the P2TR ones: that they are is a claim.
    for input in 0..5 {
        let missing = tag_of(|maps| Maps::remove(&mut maps.inputs[input], 0x00));
        assert_eq!(missing, "transaction.bitcoin.utxo", "{input}");
    }
    // It is enough without witness_utxo.
    let case = Case::mixed();
    let mut maps = case.psbt(0);
    maps.inputs.iter_mut().for_each(|input| Maps::remove(input, 0x01));
    assert_eq!(case.match_bytes(&maps.to_bytes()).unwrap(), case.sweep(0).unwrap());
}

#[test]
fn inputs_that_are_all_p2tr_need_one_of_the_two() {
    let coin = |key, amount| Coin { key, form: Form::P2tr, amount };
    let case = Case::new(&[coin(0, 50_000), coin(1, 70_000)]);
    let claimed = case.sweep(0).unwrap();
    assert!(claimed.spent().iter().all(|spent| !spent.proven));
    for version in [0, 2] {
        let mut maps = case.psbt(version);
        Maps::remove(&mut maps.inputs[1], 0x01);
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.utxo");
        Maps::set(&mut maps.inputs[1], 0x00, &serialize(&case.previous[1]));
        let proven = case.match_bytes(&maps.to_bytes()).unwrap();
        assert_eq!(proven.signing_inputs(), claimed.signing_inputs());
        assert_eq!(proven.spent().iter().map(|spent| spent.proven).collect::<Vec<_>>(), [false, true]);
    }
}

#[test]
fn inputs_of_nothing_are_refused() {
    for input in [P2WPKH, P2TR] {
        let found = tag_of_case(|case| {
            case.previous[input].output[1].value = Amount::ZERO;
            case.transaction.input[input].previous_output.txid = case.previous[input].compute_txid();
            case.transaction.output[0].value = Amount::from_sat(1000);
        });
        assert_eq!(found, "transaction.bitcoin.amount");
    }
    // As a claim, where a claim is enough.
    let coin = |key, amount| Coin { key, form: Form::P2tr, amount };
    let case = Case::new(&[coin(0, 50_000), coin(1, 0)]);
    for version in [0, 2] {
        assert_eq!(tag(&case, &case.psbt(version)), "transaction.bitcoin.amount");
    }
}

#[test]
fn a_destination_stands_in_a_transaction_once() {
    let again = |case: &mut Case| {
        case.transaction.output[0].value = Amount::from_sat(40_000);
        case.transaction.output.push(case.transaction.output[0].clone());
    };
    assert_eq!(tag_of_case(again), "transaction.bitcoin.destination");
    let mut case = Case::mixed();
    again(&mut case);
    case.transaction.output[1].value = Amount::from_sat(50_000);
    let refused = case.sweep(0).unwrap_err();
    assert_eq!(refused.tag, "transaction.bitcoin.destination", "of another amount");
    assert!(refused.found.starts_with("bcrt1q") && refused.found.ends_with("again in output 1"), "{refused}");
    // The other address of the same key is another destination.
    case.transaction.output[1].script_pubkey = script(&secret(2000), Form::P2tr);
    case.sweep(0).unwrap();
}

#[test]
fn a_previous_transaction_that_is_another_is_refused() {
    let case = Case::mixed();
    let of_another_input = serialize(&case.previous[3]);
    let mut amount = case.previous[P2WPKH].clone();
    amount.output[1].value = Amount::from_sat(49_999);
    let mut version = case.previous[P2WPKH].clone();
    version.version = Version::ONE;
    for previous in [of_another_input.clone(), serialize(&amount), serialize(&version)] {
        let found = tag_of(|maps| {
            Maps::remove(&mut maps.inputs[P2WPKH], 0x01);
            Maps::set(&mut maps.inputs[P2WPKH], 0x00, &previous);
        });
        assert_eq!(found, "transaction.bitcoin.utxo");
    }
    // Where it need not be there, it must be true all the same.
    let mut taproot = Case::one(Form::P2tr);
    let mut maps = taproot.psbt(0);
    Maps::set(&mut maps.inputs[0], 0x00, &of_another_input);
    assert_eq!(tag(&taproot, &maps), "transaction.bitcoin.utxo");
    taproot.transaction.input[0].previous_output.vout = 2;
    Maps::set(&mut maps.global, 0x00, &serialize(&taproot.transaction));
    Maps::set(&mut maps.inputs[0], 0x00, &serialize(&taproot.previous[0]));
    assert_eq!(tag(&taproot, &maps), "transaction.bitcoin.utxo");
    let of_another_input = serialize(&case.previous[3]);
    let found = tag_of(|maps| Maps::set(&mut maps.inputs[P2TR], 0x00, &of_another_input));
    assert_eq!(found, "transaction.bitcoin.utxo");
    let beyond = tag_of_case(|case| case.transaction.input[P2WPKH].previous_output.vout = 2);
    assert_eq!(beyond, "transaction.bitcoin.utxo");
}

#[test]
fn a_witness_utxo_that_differs_from_the_previous_transaction_is_refused() {
    let spent = Case::mixed().spent()[P2WPKH].clone();
    let more = TxOut { value: spent.value + Amount::from_sat(1), ..spent.clone() };
    let other = TxOut { script_pubkey: script(&secret(1), Form::P2wpkh), ..spent };
    for claimed in [more, other] {
        let found = tag_of(|maps| Maps::set(&mut maps.inputs[P2WPKH], 0x01, &serialize(&claimed)));
        assert_eq!(found, "transaction.bitcoin.utxo");
    }
}

#[test]
fn signatures_and_final_scripts_are_refused() {
    let key = public(&secret(0)).to_bytes();
    let partial = ([&[0x02], key.as_slice()].concat(), vec![0x30; 71]);
    for added in [partial, pair(0x07, &[]), pair(0x08, &[0]), pair(0x13, &[1; 64])] {
        let found = tag_of(|maps| maps.inputs[P2TR].push(added.clone()));
        assert_eq!(found, "transaction.bitcoin.signed");
    }
    let mut case = Case::one(Form::P2tr);
    case.transaction.input[0].script_sig = ScriptBuf::from(vec![0x51]);
    assert_eq!(case.sweep(0).unwrap_err().tag, "transaction.bitcoin.signed");
    let mut case = Case::one(Form::P2tr);
    case.transaction.input[0].witness = bitcoin::Witness::from_slice(&[[1; 64]]);
    assert_eq!(case.sweep(0).unwrap_err().tag, "transaction.bitcoin.signed");
}

#[test]
fn outputs_without_an_address_are_refused() {
    let key = bitcoin::PublicKey::from_slice(&public(&secret(0)).to_bytes()).unwrap();
    let program = ScriptBuf::from([&[0x52, 32][..], &[7; 32]].concat());
    for other in [
        ScriptBuf::new_op_return(b"data"),
        ScriptBuf::new_op_return([]),
        ScriptBuf::from(vec![0x6a]),
        ScriptBuf::new_p2pk(&key),
        ScriptBuf::new(),
        // A future segwit version, anchors (BIP-433), a program of another length, one byte more.
        program,
        ScriptBuf::from(vec![0x51, 2, 0x4e, 0x73]),
        ScriptBuf::from([&[0x00, 16][..], &[7; 16]].concat()),
        ScriptBuf::from([collection().as_bytes(), &[0x51]].concat()),
    ] {
        let found = tag_of_case(|case| case.transaction.output[0].script_pubkey = other.clone());
        assert_eq!(found, "transaction.bitcoin.output", "{other}");
        let added = tag_of_case(|case| {
            case.transaction.output.push(TxOut { value: Amount::ZERO, script_pubkey: other.clone() });
        });
        assert!(["transaction.bitcoin.output", "transaction.bitcoin.amount"].contains(&added));
    }
}

#[test]
fn dust_is_refused_at_the_networks_own_limits() {
    let key = bitcoin::PublicKey::from_slice(&public(&secret(0)).to_bytes()).unwrap();
    for script in [
        ScriptBuf::new_p2pkh(&key.pubkey_hash()),
        ScriptBuf::new_p2sh(&collection().script_hash()),
        collection(),
        ScriptBuf::new_p2wsh(&collection().wscript_hash()),
        script(&secret(0), Form::P2tr),
    ] {
        // The crate `bitcoin` has Bitcoin Core's formula.
        let limit = script.minimal_non_dust();
        let pay = |value: Amount| {
            move |case: &mut Case| {
                case.transaction.output = vec![TxOut { value, script_pubkey: script.clone() }]
            }
        };
        let mut case = Case::mixed();
        pay.clone()(limit)(&mut case);
        case.sweep(0).unwrap();
        assert_eq!(tag_of_case(pay(limit - Amount::from_sat(1))), "transaction.bitcoin.dust");
    }
}

#[test]
fn more_out_than_in_and_more_than_there_is_are_refused() {
    let total: u64 = Case::mixed().coins.iter().map(|coin| coin.amount).sum();
    let set = |value: u64| move |case: &mut Case| case.transaction.output[0].value = Amount::from_sat(value);
    let mut case = Case::mixed();
    set(total)(&mut case);
    assert_eq!(case.sweep(0).unwrap().fee(), 0);
    for value in [total + 1, 2_100_000_000_000_000, 2_100_000_000_000_001, i64::MAX as u64, u64::MAX] {
        assert_eq!(tag_of_case(set(value)), "transaction.bitcoin.amount");
    }
    // Each amount is possible, their sum is not.
    let coin = |key| Coin { key, form: Form::P2tr, amount: 2_000_000_000_000_000 };
    let mut case = Case::new(&[coin(0), coin(1)]);
    case.transaction.output[0].value = Amount::from_sat(1000);
    assert_eq!(case.sweep(0).unwrap_err().tag, "transaction.bitcoin.amount");
}

#[test]
fn an_outpoint_that_is_spent_twice_is_refused() {
    let found = tag_of_case(|case| {
        case.coins[3] = case.coins[0];
        case.previous[3] = case.previous[0].clone();
        case.transaction.input[3] = case.transaction.input[0].clone();
    });
    assert_eq!(found, "transaction.bitcoin.outpoint");
}

#[test]
fn requests_with_the_wrong_keys_are_refused() {
    let case = Case::mixed();
    let transaction = Transaction::parse(&case.psbt(0).to_bytes()).unwrap();
    let refused = |keys: &[PublicKey]| {
        let refused = transaction.sweep(keys, BitcoinNetwork::Regtest).unwrap_err();
        assert_eq!(refused.tag, "transaction.bitcoin.keys");
    };
    let keys = case.public_keys();
    refused(&[]);
    refused(&[keys.clone(), keys[..1].to_vec()].concat());
    refused(&[keys.clone(), vec![public(&secret(77))]].concat());
    let ed25519 = PublicKey::from_bytes(
        Curve::Ed25519,
        &ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes(),
    );
    refused(&[keys.clone(), vec![ed25519.unwrap()]].concat());
    refused(&(0..101).map(|counter| public(&secret(counter))).collect::<Vec<_>>());
    // A key and its negative share their P2TR address: whose input would it be?
    let mut negative = keys[0].to_bytes();
    negative[0] ^= 1;
    refused(&[keys.clone(), vec![PublicKey::from_bytes(Curve::Secp256k1, &negative).unwrap()]].concat());
}

#[test]
fn versions_locktimes_and_sequences_that_no_sweep_needs_are_refused() {
    for version in [0, 3, -1, i32::MAX] {
        let found = tag_of_case(|case| case.transaction.version = Version::non_standard(version));
        assert_eq!(found, "transaction.bitcoin.version");
    }
    for time in [500_000_000u32, 1_700_000_000, u32::MAX] {
        let found = tag_of_case(|case| case.transaction.lock_time = LockTime::from_consensus(time));
        assert_eq!(found, "transaction.bitcoin.locktime");
    }
    // What version 2 requires of a locktime must be of its kind, and of the template's.
    for (field, value) in [(0x11, 499_999_999u32), (0x11, 1_700_000_000), (0x12, 0), (0x12, 500_000_000)] {
        let case = Case::mixed();
        let mut maps = case.psbt(2);
        maps.inputs[P2TR].push(pair(field, &value.to_le_bytes()));
        assert_eq!(tag(&case, &maps), "transaction.bitcoin.locktime", "{field:#x}: {value}");
    }
    // Relative locks of blocks and of time, and what only looks like one.
    for sequence in [0u32, 1, 0x0040_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_fffc] {
        let found = tag_of_case(|case| case.transaction.input[2].sequence = Sequence(sequence));
        assert_eq!(found, "transaction.bitcoin.sequence", "{sequence:#x}");
    }
}
