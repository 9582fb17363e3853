//! What a policy allows: destinations, fees, fee rates; what it counts; which rules are none.

use bitcoin::{Amount, Network, TxOut};
use cofferdam_chains::{
    BitcoinNetwork, Check,
    bitcoin::{BitcoinRules, Sweep, Transaction},
};
use serde_json::{Value, json};

use crate::support::{Case, Form, script, secret};

fn address(counter: usize, form: Form, network: Network) -> String {
    bitcoin::Address::from_script(&script(&secret(counter), form), network).unwrap().to_string()
}

fn written(network: Network) -> Value {
    json!({
        "destinations": [address(2000, Form::P2wpkh, network), address(2001, Form::P2tr, network)],
        "velocity": { "per_key_per_day": "5000000", "per_day": "90000000" },
        "min_amount": "1000000",
        "max_fee_permille": 1,
        "fee": { "per_transaction": "1000", "per_day": "20000" },
        "fee_rate": "3",
        "confirmations": 3,
    })
}

fn rules(written: &Value) -> BitcoinRules {
    serde_json::from_value(written.clone()).unwrap()
}

fn failed(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds).map(|check| check.tag).collect()
}

fn mixed() -> (Case, Sweep) {
    let case = Case::mixed();
    let sweep = case.sweep(0).unwrap();
    (case, sweep)
}

#[test]
fn a_sweep_within_the_rules_passes_every_check() {
    let (_, sweep) = mixed();
    let checks = rules(&written(Network::Regtest)).check(&sweep, 0);
    assert_eq!(
        checks.iter().map(|check| (check.tag, check.holds)).collect::<Vec<_>>(),
        [
            ("policy.bitcoin.destination", true),
            ("policy.bitcoin.min_amount", true),
            ("policy.bitcoin.max_fee_permille", true),
            ("policy.bitcoin.fee", true),
            ("policy.bitcoin.fee_rate", true)
        ]
    );
    assert!(checks.iter().all(|check| check.refusal().is_none()));
}

#[test]
fn one_output_to_another_script_is_denied_whatever_the_others_pay() {
    let (mut case, _) = mixed();
    let own = &mut case.transaction.output[0];
    own.value = Amount::from_sat(own.value.to_sat() - 100_000);
    let other = script(&secret(2000), Form::P2tr);
    case.transaction.output.insert(0, TxOut { value: Amount::from_sat(100_000), script_pubkey: other });
    let checks = rules(&written(Network::Regtest)).check(&case.sweep(2).unwrap(), 0);
    assert_eq!(
        checks.iter().map(|check| check.holds).collect::<Vec<_>>(),
        [false, true, true, true, true, true],
        "the same key's other address is another script"
    );
    let refusal = checks[0].refusal().unwrap();
    assert_eq!(refusal.tag, "policy.bitcoin.destination");
    assert_eq!(refusal.found, address(2000, Form::P2tr, Network::Regtest));
}

#[test]
fn a_destination_of_another_network_is_no_destination() {
    let (case, sweep) = mixed();
    for network in [Network::Bitcoin, Network::Testnet] {
        let rules = rules(&written(network));
        assert_eq!(failed(&rules.check(&sweep, 0)), ["policy.bitcoin.destination"]);
        assert!(!rules.are_for(BitcoinNetwork::Regtest));
    }
    assert!(rules(&written(Network::Regtest)).are_for(BitcoinNetwork::Regtest));
    // Signet's addresses are testnet's.
    let parsed = Transaction::parse(&case.psbt(0).to_bytes()).unwrap();
    let sweep = parsed.sweep(&case.public_keys(), BitcoinNetwork::Signet).unwrap();
    let testnet = rules(&written(Network::Testnet));
    assert_eq!(failed(&testnet.check(&sweep, 0)), [""; 0]);
    assert!(testnet.are_for(BitcoinNetwork::Signet) && testnet.are_for(BitcoinNetwork::Testnet));
}

#[test]
fn a_satoshi_over_the_fee_cap_or_the_fee_rate_is_denied() {
    let (mut case, sweep) = mixed();
    let mut written = written(Network::Regtest);
    assert_eq!(sweep.fee(), 1000);
    case.transaction.output[0].value -= Amount::from_sat(1);
    let dearer = case.sweep(0).unwrap();
    assert_eq!(failed(&rules(&written).check(&dearer, 0)), ["policy.bitcoin.fee"]);

    // Three times the size is still allowed, a satoshi more is not.
    written["fee"]["per_transaction"] = json!("100000");
    let most = 3 * sweep.vsize();
    case.transaction.output[0].value -= Amount::from_sat(most - 1001);
    let at_the_cap = case.sweep(0).unwrap();
    assert_eq!(at_the_cap.fee(), most);
    assert_eq!(failed(&rules(&written).check(&at_the_cap, 0)), [""; 0]);
    case.transaction.output[0].value -= Amount::from_sat(1);
    let over = rules(&written).check(&case.sweep(0).unwrap(), 0);
    assert_eq!(failed(&over), ["policy.bitcoin.fee_rate"]);

    // All caps at zero deny any fee.
    written["fee"]["per_transaction"] = json!("0");
    written["fee_rate"] = json!("0");
    assert_eq!(failed(&rules(&written).check(&sweep, 0)), ["policy.bitcoin.fee", "policy.bitcoin.fee_rate"]);
}

#[test]
fn meters_count_what_leaves_each_key_and_the_whole_fee() {
    let (_, sweep) = mixed();
    let meters = rules(&written(Network::Regtest)).meters(&sweep);
    let counted = |index: usize| {
        let counts = &meters[index].counts;
        counts.iter().map(|count| (count.key, count.amount.get())).collect::<Vec<_>>()
    };
    assert_eq!(meters.len(), 2);
    assert_eq!((meters[0].name.as_str(), meters[0].tag), ("bitcoin/native", "policy.bitcoin.velocity"));
    assert_eq!(counted(0), [(0, 50_000), (1, 70_000), (0, 90_001), (2, 1_234_567), (1, 20_000)]);
    // An output is spent once, so each has an anchor of its own; the fee is under any of them.
    let anchors = |index: usize| meters[index].counts.iter().flat_map(|count| count.anchors.clone());
    assert_eq!(anchors(0).collect::<Vec<_>>(), anchors(1).collect::<Vec<_>>());
    assert_eq!(anchors(0).collect::<std::collections::BTreeSet<_>>().len(), 5);
    assert_eq!(meters[0].per_key_per_day.unwrap().get(), 5_000_000);
    assert_eq!(meters[0].per_day.get(), 90_000_000);
    assert_eq!((meters[1].name.as_str(), meters[1].tag), ("bitcoin/fee", "policy.bitcoin.fee"));
    assert_eq!(counted(1), [(0, 1000)]);
    assert_eq!(meters[1].per_key_per_day, None);
    assert_eq!(meters[1].per_day.get(), 20_000);
}

#[test]
fn rules_are_written_as_they_were_read_and_nothing_else_is_read() {
    let good = written(Network::Regtest);
    assert_eq!(serde_json::to_value(rules(&good)).unwrap(), good);
    assert_eq!(rules(&good).confirmations(), 3);

    let twice = json!([good["destinations"][0], good["destinations"][0]]);
    let upper = good["destinations"][0].as_str().unwrap().to_uppercase();
    let many: Vec<String> = (0..257).map(|key| address(key, Form::P2wpkh, Network::Regtest)).collect();
    for (field, value) in [
        ("destinations", json!(["0x52908400098527886E0F7030069857D2E4169EE7"])),
        ("destinations", json!([upper])),
        ("destinations", twice),
        ("destinations", json!(many)),
        ("velocity", json!({ "per_key_per_day": "1" })),
        ("velocity", json!({ "per_key_per_day": "1", "per_day": 2 })),
        ("fee", json!({ "per_transaction": "1", "per_day": "1", "per_hour": "1" })),
        ("fee_rate", json!("1.5")),
        ("fee_rate", json!("-1")),
        ("fee_rate", json!(5)),
        ("fee_rate", Value::Null),
        ("confirmations", json!(0)),
        ("confirmations", json!(-1)),
        ("anything", json!(1)),
    ] {
        let mut bad = good.clone();
        bad[field] = value.clone();
        assert!(serde_json::from_value::<BitcoinRules>(bad).is_err(), "{field}: {value}");
    }
    let mut nobody = good.clone();
    nobody["destinations"] = json!([]);
    let checks = rules(&nobody).check(&mixed().1, 0);
    assert_eq!(failed(&checks), ["policy.bitcoin.destination"]);
    assert_eq!(checks[0].allowed, "none");
    for field in ["destinations", "velocity", "fee", "fee_rate", "confirmations"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(field);
        assert!(serde_json::from_value::<BitcoinRules>(bad).is_err(), "without {field}");
    }
}
