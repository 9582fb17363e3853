use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const HOUR: u64 = 3_600_000;
const MANY: usize = 10_000;

fn key(byte: u8) -> PublicKey {
    PublicKey::Ed25519([byte; 32])
}

fn anchor(name: u64) -> Anchor {
    Anchor::from_name(&name.to_string())
}

/// A count of key 0 under these anchors.
fn counted(anchors: &[u64], amount: u128) -> Count {
    let anchors = anchors.iter().map(|name| anchor(*name)).collect();
    Count { key: 0, amount: Amount::new(amount), anchors }
}

fn meter(counts: Vec<Count>) -> Meter {
    Meter {
        name: "evm:1/native".into(),
        tag: "policy.evm.velocity",
        counts,
        per_key_per_day: Some(Amount::new(100)),
        per_day: Amount::new(150),
    }
}

/// A fee: no bound for each key.
fn fee(anchors: &[u64], amount: u128) -> Meter {
    Meter {
        name: "bitcoin/fee".into(),
        tag: "policy.bitcoin.fee",
        counts: vec![counted(anchors, amount)],
        per_key_per_day: None,
        per_day: Amount::new(u128::MAX),
    }
}

fn count(velocity: &Velocity, nonce: u64, of: u8, amount: u128, now: u64) -> Result<Vec<String>, Exceeded> {
    // The anchor holds the account, as a chain's does.
    let anchor = u64::from(of) << 32 | nonce;
    velocity.count("deposits", &[key(of)], &[meter(vec![counted(&[anchor], amount)])], now)
}

/// The sum of all keys.
fn sum(velocity: &Velocity, name: &str, now: u64) -> u128 {
    let counts = velocity.counts.lock().unwrap();
    counts.meters.get(name).map_or(0, |total| total.all.sum(slot(now)))
}

fn sum_of(velocity: &Velocity, name: &str, of: u8, now: u64) -> u128 {
    let counts = velocity.counts.lock().unwrap();
    counts.sum_of(counts.meters.get(name), &key(of).to_bytes(), slot(now))
}

#[test]
fn a_key_and_all_keys_together_have_bounds() {
    let velocity = Velocity::new(MANY);
    assert_eq!(count(&velocity, 1, 1, 60, HOUR), Ok(vec![]));
    assert!(count(&velocity, 2, 1, 41, HOUR).is_err());
    let near = count(&velocity, 3, 1, 40, HOUR).unwrap();
    assert_eq!(near, ["evm:1/native/key"], "near the key's bound");
    assert!(count(&velocity, 4, 2, 51, HOUR).is_err());
    assert!(count(&velocity, 5, 2, 50, HOUR).is_ok());
}

#[test]
fn what_is_refused_counts_nothing_and_the_same_transaction_counts_once() {
    let velocity = Velocity::new(MANY);
    assert!(count(&velocity, 1, 1, 101, HOUR).is_err());
    assert!(count(&velocity, 2, 1, 100, HOUR).is_ok());
    assert!(count(&velocity, 2, 1, 100, HOUR).is_ok());
    assert!(count(&velocity, 3, 1, 1, HOUR).is_err());
    let check = |nonce: u64, amount| {
        let anchor = 0x1_0000_0000 | nonce;
        velocity.check("deposits", &[key(1)], &[meter(vec![counted(&[anchor], amount)])], HOUR)
    };
    assert!(check(2, 100).is_ok() && check(3, 1).is_err());
    assert_eq!(sum(&velocity, "deposits/evm:1/native", HOUR), 100);
}

#[test]
fn a_replacement_counts_once_the_greatest_and_takes_its_place_in_time() {
    let velocity = Velocity::new(MANY);
    let name = "deposits/evm:1/native";
    // A sweep of 60 % of the key's bound, and its bumps: never a second time.
    for amount in [60, 59, 60, 70, 60] {
        assert!(count(&velocity, 1, 1, amount, HOUR).is_ok(), "{amount}");
    }
    assert_eq!((sum(&velocity, name, HOUR), sum_of(&velocity, name, 1, HOUR)), (70, 70));
    assert!(count(&velocity, 1, 1, 101, HOUR).is_err());
    assert!(count(&velocity, 2, 1, 31, HOUR).is_err());
    // What is signed again counts for a day from then on.
    assert!(count(&velocity, 1, 1, 60, 20 * HOUR).is_ok());
    assert_eq!(sum(&velocity, name, 30 * HOUR), 70);
    assert_eq!(sum(&velocity, name, 44 * HOUR), 70);
    assert_eq!(sum(&velocity, name, 45 * HOUR), 0);
}

#[test]
fn another_rule_set_another_meter_and_another_key_count_for_themselves() {
    let velocity = Velocity::new(MANY);
    let of = |rules: &str, meter: Meter| velocity.count(rules, &[key(1)], &[meter], HOUR);
    assert!(of("deposits", meter(vec![counted(&[1], 100)])).is_ok());
    assert!(of("deposits", meter(vec![counted(&[2], 1)])).is_err());
    assert!(of("others", meter(vec![counted(&[2], 100)])).is_ok());
    let other = Meter { name: "evm:137/native".into(), ..meter(vec![counted(&[2], 100)]) };
    assert!(of("deposits", other).is_ok());
}

#[test]
fn of_several_keys_each_counts_its_own_and_all_are_refused_together() {
    let velocity = Velocity::new(MANY);
    let of = |first: u128, second: u128, anchors: [u64; 2]| {
        let second = Count { key: 1, ..counted(&anchors[1..], second) };
        let counts = vec![counted(&anchors[..1], first), second];
        velocity.count("deposits", &[key(1), key(2)], &[meter(counts)], HOUR)
    };
    assert!(of(100, 50, [1, 2]).is_ok());
    assert!(of(0, 1, [3, 4]).is_err(), "of all keys");
    let name = "deposits/evm:1/native";
    assert_eq!((sum_of(&velocity, name, 1, HOUR), sum_of(&velocity, name, 2, HOUR)), (100, 50));
}

/// What owns an output is what a transaction says of it. A false one, whose signature is worth nothing,
/// neither pays for the true one nor takes anything from it.
#[test]
fn what_was_counted_of_another_key_under_the_same_anchor_pays_for_nothing() {
    let velocity = Velocity::new(MANY);
    let name = "deposits/evm:1/native";
    let claim = |of: u8, output: u64, amount| {
        let meter = Meter { per_day: Amount::new(10_000), ..meter(vec![counted(&[output], amount)]) };
        velocity.count("deposits", &[key(of)], &[meter], HOUR)
    };
    claim(1, 100, 40).unwrap();
    for output in 0..8 {
        claim(2 + u8::try_from(output).unwrap(), output, 50).unwrap();
    }
    // Eight outputs, each of which counts for another key already.
    assert!(claim(1, 0, 50).is_ok() && sum_of(&velocity, name, 1, HOUR) == 90);
    for output in 1..8 {
        assert!(claim(1, output, 50).is_err(), "the bound of the key that gives");
    }
    // One message that several keys give by counts for each what it gives.
    let counts = vec![counted(&[200], 60), Count { key: 1, ..counted(&[200], 70) }];
    let meter = Meter { per_day: Amount::new(10_000), ..meter(counts) };
    velocity.count("deposits", &[key(20), key(21)], &[meter], HOUR).unwrap();
    assert_eq!([20, 21].map(|of| sum_of(&velocity, name, of, HOUR)), [60, 70]);
}

#[test]
fn a_bound_holds_for_24_hours_and_is_free_again_after_25() {
    let velocity = Velocity::new(MANY);
    assert!(count(&velocity, 1, 1, 100, HOUR + 5).is_ok());
    assert!(count(&velocity, 2, 1, 1, 25 * HOUR).is_err());
    assert!(count(&velocity, 2, 1, 1, 26 * HOUR).is_ok());
}

#[test]
fn a_sum_that_overflows_is_over_every_bound() {
    let velocity = Velocity::new(MANY);
    assert!(count(&velocity, 1, 1, 1, HOUR).is_ok());
    assert!(count(&velocity, 2, 1, u128::MAX, HOUR).is_err());
    assert!(count(&velocity, 1, 1, u128::MAX, HOUR).is_err());
}

#[test]
fn a_full_memory_refuses_nothing_and_forgets_no_amount() {
    // Two anchors and two keys.
    let velocity = Velocity::new(4);
    let name = "deposits/evm:1/native";
    for of in 0..30 {
        assert!(count(&velocity, 1, of, 5, HOUR).is_ok(), "{of}");
    }
    assert_eq!(sum(&velocity, name, HOUR), 150);
    assert!(count(&velocity, 1, 40, 1, HOUR).is_err(), "the bound of all keys holds");
    for of in 0..30 {
        assert!(sum_of(&velocity, name, of, HOUR) >= 5, "a key's own is never forgotten");
    }
    let counts = velocity.counts.lock().unwrap();
    assert!(counts.anchors.len() <= 2 && counts.keys.len() <= 2);
    drop(counts);
    // A transaction whose anchor is forgotten counts again: more, never less.
    assert!(count(&velocity, 1, 0, 5, HOUR).is_err());
}

#[test]
fn what_is_too_old_leaves_the_memory() {
    let velocity = Velocity::new(4);
    for of in 0..30 {
        assert!(count(&velocity, 1, of, 5, HOUR).is_ok());
    }
    velocity.expire(25 * HOUR);
    assert_eq!(sum(&velocity, "deposits/evm:1/native", 25 * HOUR), 150);
    velocity.expire(26 * HOUR);
    let counts = velocity.counts.lock().unwrap();
    assert!(counts.meters.is_empty() && counts.anchors.is_empty() && counts.keys.is_empty());
}

/// A transaction of the model: what it uses up, the amount, and by whom.
type Signed = (BTreeSet<u64>, u128, u8);

/// The most that can be mined of these: no two that use up the same.
fn minable(signed: &[Signed], of: impl Fn(&Signed) -> u128) -> u128 {
    (0_u32..1 << signed.len())
        .filter_map(|set| {
            let chosen = signed.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
            let (mut used, mut sum) = (BTreeSet::new(), 0_u128);
            for (_, one) in chosen {
                if one.0.iter().any(|name| !used.insert(*name)) {
                    return None;
                }
                sum += of(one);
            }
            Some(sum)
        })
        .max()
        .unwrap_or(0)
}

fn inputs() -> impl Strategy<Value = BTreeSet<u64>> {
    prop::collection::btree_set(0_u64..6, 1..4)
}

fn days() -> impl Strategy<Value = Vec<(BTreeSet<u64>, u128, u64)>> {
    prop::collection::vec((inputs(), 1_u128..50, 0_u64..30), 1..9)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    /// Fees stand under one of several anchors. However transactions replace each other, whenever they
    /// were signed, however little is remembered: never less is counted than can be mined of what was
    /// signed within 24 hours.
    #[test]
    fn never_less_is_counted_than_can_be_mined(days in days(), most in prop_oneof![Just(2_usize), Just(MANY)]) {
        let velocity = Velocity::new(most);
        let mut days = days;
        days.sort_by_key(|(_, _, hour)| *hour);
        let mut signed: Vec<(Signed, u64)> = Vec::new();
        for (inputs, amount, hour) in days {
            let now = hour * HOUR;
            let anchors: Vec<u64> = inputs.iter().copied().collect();
            velocity.count("deposits", &[key(1)], &[fee(&anchors, amount)], now).unwrap();
            signed.push(((inputs, amount, 1), hour));
            let recent: Vec<Signed> =
                signed.iter().filter(|(_, at)| at + 24 >= hour).map(|(one, _)| one.clone()).collect();
            let counted = sum(&velocity, "deposits/bitcoin/fee", now);
            prop_assert!(counted >= minable(&recent, |one| one.1), "{counted} of {recent:?}");
        }
    }

    /// Amounts stand each under its own input, of its own key: of one key, too, never less.
    #[test]
    fn of_each_key_never_less_is_counted(
        days in prop::collection::vec((inputs(), 0_u64..30, 0_u8..4), 1..9),
        most in prop_oneof![Just(2_usize), Just(8), Just(MANY)],
    ) {
        let velocity = Velocity::new(most);
        // Each output has an owner and a value of its own. Some say that it is another's: nobody mines
        // what is signed then, and it pays for nothing.
        let value = |name: u64| 10 + u128::from(name);
        let owner = |name: u64| u8::try_from(name % 3).unwrap();
        let keys = [key(0), key(1), key(2)];
        let mut days = days;
        days.sort_by_key(|(_, hour, _)| *hour);
        let mut signed: Vec<(Signed, u64)> = Vec::new();
        for (inputs, hour, lie) in days {
            let now = hour * HOUR;
            let claimed = |name: u64| if lie == 3 { (owner(name) + 1) % 3 } else { owner(name) };
            let counts = inputs.iter().map(|name| Count {
                key: usize::from(claimed(*name)),
                ..counted(&[*name], value(*name))
            });
            let meter = Meter {
                per_key_per_day: Some(Amount::new(u128::MAX)),
                per_day: Amount::new(u128::MAX),
                ..meter(counts.collect())
            };
            velocity.count("deposits", &keys, &[meter], now).unwrap();
            if lie != 3 {
                signed.push(((inputs, 0, 0), hour));
            }
            let recent: Vec<Signed> =
                signed.iter().filter(|(_, at)| at + 24 >= hour).map(|(one, _)| one.clone()).collect();
            let name = "deposits/evm:1/native";
            for of in 0..3 {
                let leaves = |one: &Signed| one.0.iter().filter(|name| owner(**name) == of).map(|name| value(*name)).sum();
                let counted = sum_of(&velocity, name, of, now);
                prop_assert!(counted >= minable(&recent, leaves), "{counted} of key {of}, {recent:?}");
            }
            let all = |one: &Signed| one.0.iter().map(|name| value(*name)).sum();
            prop_assert!(sum(&velocity, name, now) >= minable(&recent, all));
        }
    }

    /// Whoever bumps honestly pays one bound: each replacement keeps an input of the first.
    #[test]
    fn honest_chains_of_bumps_count_exactly_once(
        chains in prop::collection::vec((1_u128..50, prop::collection::vec(0_u64..4, 0..5)), 1..5),
    ) {
        let velocity = Velocity::new(MANY);
        let (mut expected, mut hour) = (0, 1);
        for (number, (first, bumps)) in (0_u64..).zip(chains) {
            let own = number * 100;
            let mut greatest = first;
            let mut count = |inputs: &[u64], amount| {
                // Hours go by, less than a day for all of them.
                hour += 1;
                velocity.count("deposits", &[key(1)], &[fee(inputs, amount)], hour * HOUR)
            };
            count(&[own], first).unwrap();
            for (step, more) in (1_u128..).zip(bumps) {
                greatest = first + step;
                // Inputs are added to pay for it, as wallets do.
                let added: Vec<u64> = (0..=more).map(|n| own + n).collect();
                count(&added, greatest).unwrap();
            }
            expected += greatest;
        }
        prop_assert_eq!(sum(&velocity, "deposits/bitcoin/fee", hour * HOUR), expected);
    }
}
