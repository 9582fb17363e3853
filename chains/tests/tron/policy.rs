//! Rules against sweeps: what is not pinned, listed or capped does not hold, by its tag.

use cofferdam_chains::{
    Amount, Check, Meter,
    tron::{Sweep, Transaction, TronRules},
};
use prost::Message;
use serde_json::{Value, json};

use crate::messages::{NOW, Raw, destination, key, token, trc20, trx};

fn rules() -> Value {
    json!({
        "destinations": ["TUjx6w55Nx9G4GjjRNEB4e7w5BUH3WmJTZ", destination().to_string()],
        "native": {
            "min_amount": "2000000", "max_fee_permille": 550,
            "per_key_per_day": "3000000", "per_day": "90000000",
        },
        "tokens": [{
            "contract": token().to_string(),
            "symbol": "USDT",
            "min_amount": "5000000",
            "velocity": {"per_key_per_day": "6000000", "per_day": "70000000"},
        }],
        "fee": {"per_transaction": "31000000", "per_day": "900000000"},
        "max_expiration_seconds": 3600,
        "confirmations": 19,
    })
}

fn read(rules: Value) -> TronRules {
    serde_json::from_value(rules).unwrap()
}

fn sweep(raw: &Raw) -> Sweep {
    Transaction::parse(&raw.encode_to_vec()).unwrap().sweep(&[key()]).unwrap()
}

/// The tags of the rules that do not hold.
fn denied(rules: Value, raw: &Raw, now: u64) -> Vec<&'static str> {
    let checks = read(rules).check(&sweep(raw), now);
    let refusals = checks.iter().filter_map(Check::refusal);
    refusals.map(|refused| refused.tag.strip_prefix("policy.tron.").unwrap()).collect()
}

fn with(member: &str, value: Value) -> Value {
    let mut rules = rules();
    rules[member] = value;
    rules
}

#[test]
fn a_sweep_to_a_pinned_address_within_the_caps_holds() {
    for raw in [trx(), trc20()] {
        let checks = read(rules()).check(&sweep(&raw), NOW);
        let tags: Vec<_> = checks.iter().map(|check| check.tag).collect();
        let share = (raw.fee_limit == 0).then_some("max_fee_permille");
        let all = ["asset", "destination", "min_amount"].into_iter().chain(share);
        let all = all.chain(["fee", "expiration", "timestamp"]).map(|tag| format!("policy.tron.{tag}"));
        assert_eq!(tags, all.collect::<Vec<_>>());
        assert!(checks.iter().all(|check| check.holds), "{checks:?}");
        let without = Raw { timestamp: 0, ..raw };
        let left = read(rules()).check(&sweep(&without), NOW).len();
        assert_eq!(left + 1, checks.len(), "no timestamp, no check of it");
    }
}

#[test]
fn another_destination_is_denied_with_what_would_be_right() {
    let pinned = "TUjx6w55Nx9G4GjjRNEB4e7w5BUH3WmJTZ";
    for raw in [trx(), trc20()] {
        let rules = with("destinations", json!([pinned]));
        assert_eq!(denied(rules.clone(), &raw, NOW), ["destination"]);
        let checks = read(rules).check(&sweep(&raw), NOW);
        let refused = checks.iter().find_map(Check::refusal).unwrap();
        assert_eq!((refused.allowed.as_str(), refused.found), (pinned, destination().to_string()));
    }
}

#[test]
fn assets_that_are_not_named_are_denied_and_have_a_bound_of_zero() {
    let mut no_trx = rules();
    no_trx.as_object_mut().unwrap().remove("native").unwrap();
    let mut no_tokens = rules();
    no_tokens.as_object_mut().unwrap().remove("tokens").unwrap();
    let other_token = with(
        "tokens",
        json!([{
            "contract": "TUjx6w55Nx9G4GjjRNEB4e7w5BUH3WmJTZ",
            "symbol": "USDT",
            "min_amount": "1",
            "velocity": rules()["tokens"][0]["velocity"],
        }]),
    );
    let mut other_token = other_token;
    other_token["destinations"] = json!([destination().to_string()]);
    for (rules, raw) in [(no_trx, trx()), (no_tokens, trc20()), (other_token, trc20())] {
        assert_eq!(denied(rules.clone(), &raw, NOW), ["asset"]);
        let meters = read(rules).meters(&sweep(&raw));
        assert_eq!((meters[0].per_day, meters[0].per_key_per_day), (Amount::ZERO, Some(Amount::ZERO)));
    }
}

#[test]
fn an_unlimited_fee_is_denied() {
    for fee_limit in [31_000_000, 15_000_000_000, i64::MAX - 1_000_000, i64::MAX] {
        assert_eq!(denied(rules(), &Raw { fee_limit, ..trc20() }, NOW), ["fee"]);
    }
    // 345 bytes of bandwidth come on top of the fee limit.
    let fee = sweep(&trc20()).fee().get();
    assert_eq!(fee, 30_000_000 + 345_000);
    let cap = |cap: u128| with("fee", json!({"per_transaction": cap.to_string(), "per_day": "1"}));
    assert!(denied(cap(fee), &trc20(), NOW).is_empty());
    assert_eq!(denied(cap(fee - 1), &trc20(), NOW), ["fee"]);
    assert_eq!(denied(cap(1_099_999), &trx(), NOW), ["fee"]);
    assert!(denied(cap(1_100_000), &trx(), NOW).is_empty());
}

#[test]
fn expired_and_far_expirations_are_denied() {
    let now = i64::try_from(NOW).unwrap();
    for raw in [trx(), trc20()] {
        for (expiration, holds) in [
            (1, false),
            (now - 1, false),
            (now, false),
            (now + 1, true),
            (now + 3_600_000, true),
            (now + 3_600_001, false),
            (now * 1_000, false),
            (i64::MAX, false),
        ] {
            let denied = denied(rules(), &Raw { expiration, ..raw.clone() }, NOW);
            assert_eq!(denied, if holds { vec![] } else { vec!["expiration"] }, "{expiration}");
        }
        assert_eq!(denied(rules(), &raw, 0), ["expiration", "timestamp"], "a clock that does not go");
        assert_eq!(denied(rules(), &raw, u64::MAX), ["expiration", "timestamp"]);
    }
}

#[test]
fn a_timestamp_of_another_day_or_unit_is_denied() {
    let now = i64::try_from(NOW).unwrap();
    let day = 86_400_000;
    for (timestamp, holds) in [
        (now - day, true),
        (now + day, true),
        (now - day - 1, false),
        (now + day + 1, false),
        (now / 1_000, false),
        (now * 1_000, false),
        (i64::MAX, false),
    ] {
        let denied = denied(rules(), &Raw { timestamp, ..trx() }, NOW);
        assert_eq!(denied, if holds { vec![] } else { vec!["timestamp"] }, "{timestamp}");
    }
}

#[test]
fn a_sweep_counts_its_asset_and_its_fee() {
    let counted = |meter: &Meter| {
        let [count] = meter.counts.as_slice() else { panic!("{meter:?}") };
        assert_eq!(count.key, 0);
        (meter.name.clone(), meter.tag, count.amount.get())
    };
    let amount = |of: u128| Amount::new(of);
    for (raw, name, moved, fee, bounds) in [
        (trx(), "tron/native", 2_000_000, 1_100_000, (3_000_000, 90_000_000)),
        (trc20(), "tron/TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", 5_000_000, 30_345_000, (6_000_000, 70_000_000)),
    ] {
        let meters = read(rules()).meters(&sweep(&raw));
        assert_eq!(counted(&meters[0]), (name.to_owned(), "policy.tron.velocity", moved));
        assert_eq!(counted(&meters[1]), ("tron/fee".to_owned(), "policy.tron.fee", fee));
        assert_eq!(meters[0].per_key_per_day, Some(amount(bounds.0)));
        assert_eq!((meters[0].per_day, meters[1].per_day), (amount(bounds.1), amount(900_000_000)));
        assert_eq!((meters[1].per_key_per_day, meters.len()), (None, 2));
        assert_eq!(meters[0].counts[0].anchors, meters[1].counts[0].anchors, "its id");
        let later = Raw { expiration: raw.expiration + 1, ..raw };
        let other = read(rules()).meters(&sweep(&later));
        assert_ne!(other[0].counts[0].anchors, meters[0].counts[0].anchors, "both can be mined");
        let expiration = later.expiration.cast_unsigned();
        assert_eq!(sweep(&later).spends(), cofferdam_chains::Spends::Expiration(expiration));
    }
}

#[test]
fn less_than_the_least_and_a_fee_of_more_than_its_share_are_denied() {
    let change = |asset: &str, member: &str, value: Value| {
        let mut rules = rules();
        match asset {
            "native" => rules["native"][member] = value,
            _ => rules["tokens"][0][member] = value,
        }
        rules
    };
    // 1.1 TRX of 2 are 550 thousandths.
    assert_eq!(denied(change("native", "max_fee_permille", json!(550)), &trx(), NOW), [""; 0]);
    assert_eq!(denied(change("native", "max_fee_permille", json!(549)), &trx(), NOW), ["max_fee_permille"]);
    assert_eq!(denied(change("native", "min_amount", json!("2000001")), &trx(), NOW), ["min_amount"]);
    assert_eq!(denied(change("token", "min_amount", json!("5000001")), &trc20(), NOW), ["min_amount"]);
    for (asset, member) in [("native", "min_amount"), ("native", "max_fee_permille"), ("token", "min_amount")]
    {
        assert!(serde_json::from_value::<TronRules>(change(asset, member, json!("x"))).is_err(), "{member}");
    }
    for share in [0, 1001] {
        assert!(
            serde_json::from_value::<TronRules>(change("native", "max_fee_permille", json!(share))).is_err()
        );
    }
}
