//! The transaction that moves nothing: all inputs of one key, all of it to that key again. No rule allows
//! it by itself; Bitcoin Core takes it for outputs that another transaction then cannot spend.

use bitcoin::{Amount, ScriptBuf, TxOut, consensus::encode::deserialize};
use cofferdam_chains::{
    Check, Spends,
    bitcoin::{BitcoinRules, Sweep},
};
use serde_json::json;

use crate::{
    consensus::verdicts_of,
    support::{Case, Coin, Form, collection, script, secret, sign},
};

fn rules() -> BitcoinRules {
    let collection = bitcoin::Address::from_script(&collection(), bitcoin::Network::Regtest).unwrap();
    serde_json::from_value(json!({
        "destinations": [collection.to_string()],
        "velocity": { "per_key_per_day": "5000000", "per_day": "90000000" },
        "min_amount": "1000000", "max_fee_permille": 10,
        "fee": { "per_transaction": "1000", "per_day": "20000" },
        "fee_rate": "7", "confirmations": 3,
    }))
    .unwrap()
}

/// Two outputs of one key, to that key again.
fn case(to: ScriptBuf) -> Case {
    let mut case = Case::new(&[
        Coin { key: 0, form: Form::P2wpkh, amount: 50_000 },
        Coin { key: 0, form: Form::P2tr, amount: 90_001 },
    ]);
    case.transaction.output[0].script_pubkey = to;
    case
}

fn denied(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds).map(|check| check.tag).collect()
}

fn void() -> Sweep {
    case(script(&secret(0), Form::P2tr)).sweep(0).unwrap()
}

#[test]
fn only_what_pays_its_one_key_alone_moves_nothing() {
    for form in [Form::P2wpkh, Form::P2tr] {
        assert!(case(script(&secret(0), form)).sweep(2).unwrap().is_void());
    }
    assert!(!case(collection()).sweep(0).unwrap().is_void());
    assert!(!case(script(&secret(1), Form::P2tr)).sweep(0).unwrap().is_void(), "another key's");
    let mut two = case(script(&secret(0), Form::P2tr));
    two.transaction.output[0].value -= Amount::from_sat(20_000);
    two.transaction.output.push(TxOut { value: Amount::from_sat(20_000), script_pubkey: collection() });
    assert!(!two.sweep(0).unwrap().is_void(), "a second output");
    let mut others = Case::mixed();
    others.transaction.output[0].script_pubkey = script(&secret(0), Form::P2tr);
    let others = others.sweep(0).unwrap();
    assert!(!others.is_void(), "another key's inputs to it");
    assert!(denied(&rules().check(&others, 0)).contains(&"policy.bitcoin.destination"));
}

#[test]
fn no_rule_allows_it_and_an_order_leaves_all_that_bounds_its_fee() {
    let void = void();
    assert_eq!(denied(&rules().check(&void, 0)), ["policy.void"]);
    assert_eq!(denied(&rules().check_void(&void, 0)), [""; 0]);
    let written = serde_json::to_value(rules()).unwrap();
    for (member, value, tag) in [
        ("max_fee_permille", json!(7), "policy.bitcoin.max_fee_permille"),
        ("fee", json!({ "per_transaction": "999", "per_day": "999" }), "policy.bitcoin.fee"),
        ("fee_rate", json!("1"), "policy.bitcoin.fee_rate"),
    ] {
        let mut less = written.clone();
        less[member] = value;
        let less: BitcoinRules = serde_json::from_value(less).unwrap();
        assert_eq!(denied(&less.check_void(&void, 0)), [tag]);
    }
}

#[test]
fn what_it_uses_up_is_what_it_ends_and_it_counts_nowhere() {
    let (void, swept) = (void(), case(collection()).sweep(0).unwrap());
    assert_eq!(void.spends(), swept.spends());
    let Spends::Outpoints(outpoints) = void.spends() else { panic!("outpoints") };
    let outpoints: Vec<String> = outpoints.iter().map(ToString::to_string).collect();
    let mut expected: Vec<String> = void.spent().into_iter().map(|spent| spent.outpoint).collect();
    expected.sort();
    assert_eq!(outpoints, expected);
    assert_eq!((rules().meters(&void).len(), rules().meters(&swept).len()), (0, 2));
}

#[test]
fn bitcoin_core_takes_it() {
    let case = case(script(&secret(0), Form::P2wpkh));
    let void = case.sweep(0).unwrap();
    let signed = void.assemble(&sign(&case.keys, &void.signing_inputs())).unwrap();
    let transaction: bitcoin::Transaction = deserialize(&signed.bytes).unwrap();
    assert_eq!(transaction.output[0].script_pubkey, script(&secret(0), Form::P2wpkh));
    assert_eq!(verdicts_of(&signed.bytes, &case.spent(), 0..2), [true; 2]);
}
