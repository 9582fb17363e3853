//! The transaction that moves nothing: it makes a nonce account's value another, so that what was signed
//! with the value before is worth nothing. No rule allows it by itself.

use cofferdam_chains::{
    Check, PublicKey, Spends,
    solana::{SolanaAddress, SolanaRules, Sweep, Transaction},
};
use serde_json::json;

use crate::plan::{Paid, Payment, Plan, Who};

fn advance(payer: Who, authority: Who) -> Plan {
    Plan {
        version: 0,
        payer,
        blockhash: 9,
        nonce: Some(authority),
        price: None,
        payment: Payment::Sol(Vec::new()),
    }
}

fn sweep(plan: &Plan, keys: &[usize]) -> Result<Sweep, &'static str> {
    let public = |key: &usize| PublicKey::Ed25519(Who::Ours(*key).key().verifying_key().to_bytes());
    let keys: Vec<PublicKey> = keys.iter().map(public).collect();
    let read = Transaction::parse(&crate::unsigned(&plan.message(), false))
        .and_then(|transaction| transaction.sweep(&keys));
    read.map_err(|refused| refused.tag)
}

fn rules(fee: &str, payers: &[Who], authorities: &[Who]) -> SolanaRules {
    let text = |who: &Who| who.address().to_string();
    let payers = payers.iter().map(text).chain(["self".to_owned()]).collect::<Vec<_>>();
    serde_json::from_value(json!({
        "destinations": [Paid::Both.address().to_string()],
        "native": {
            "min_amount": "1", "max_fee_permille": 1000, "per_key_per_day": "1", "per_day": "1",
        },
        "fee_payers": payers,
        "nonce_authorities": authorities.iter().map(text).collect::<Vec<_>>(),
        "fee": {"per_transaction": fee, "per_day": "900000000"},
        "max_unit_price": "0", "max_unit_limit": 1_400_000, "confirmations": 32,
    }))
    .unwrap()
}

fn denied(checks: &[Check]) -> Vec<&'static str> {
    checks.iter().filter(|check| !check.holds).map(|check| check.tag).collect()
}

#[test]
fn an_advance_alone_moves_nothing_and_every_key_has_a_part_in_it() {
    let own = Who::Ours(0);
    for (plan, keys) in [
        (advance(own, own), vec![0]),
        (advance(Who::Payer, own), vec![0]),
        (advance(own, Who::Ours(1)), vec![0, 1]),
    ] {
        let found = sweep(&plan, &keys).unwrap();
        assert!(found.is_void());
        let summary = found.summary();
        assert_eq!((summary.kind, summary.transfers.len(), summary.sources.len()), ("solana.advance", 0, 0));
        let account = SolanaAddress::new([90; 32]);
        assert_eq!(found.spends(), Spends::NonceAccount { account, value: SolanaAddress::new([9; 32]) });
    }
    // Without an instruction there is nothing to sign, and with a transfer its authority has no part.
    let nothing = Plan { nonce: None, ..advance(own, own) };
    assert_eq!(sweep(&nothing, &[0]).unwrap_err(), "transaction.solana.order");
    let pays = |authority| Plan {
        payment: Payment::Sol(vec![(own, Paid::Both, 5_000_000)]),
        ..advance(own, authority)
    };
    assert!(!sweep(&pays(own), &[0]).unwrap().is_void());
    assert_eq!(sweep(&pays(Who::Ours(1)), &[0, 1]).unwrap_err(), "transaction.solana.keys");
}

#[test]
fn no_rule_allows_it_and_an_order_leaves_payer_authority_and_fee() {
    let own = Who::Ours(0);
    let found = sweep(&advance(own, own), &[0]).unwrap();
    assert_eq!(denied(&rules("5000", &[], &[own]).check(&found, 0)), ["policy.void"]);
    assert_eq!(denied(&rules("5000", &[], &[own]).check_void(&found, 0)), [""; 0]);
    assert_eq!(denied(&rules("4999", &[], &[own]).check_void(&found, 0)), ["policy.solana.fee"]);
    let authority = ["policy.solana.nonce_authority"];
    assert_eq!(denied(&rules("5000", &[], &[]).check_void(&found, 0)), authority);
    let other = sweep(&advance(Who::Payer, own), &[0]).unwrap();
    assert_eq!(denied(&rules("10000", &[Who::Payer], &[own]).check_void(&other, 0)), [""; 0]);
    assert_eq!(denied(&rules("10000", &[], &[own]).check_void(&other, 0)), ["policy.solana.fee_payer"]);
    // Several may be mined, so each counts its fee.
    let meters = rules("5000", &[], &[own]).meters(&found);
    let [fee] = meters.as_slice() else { panic!("{meters:?}") };
    assert_eq!((fee.name.as_str(), fee.counts[0].amount.get()), ("solana/fee", 5000));
}

/// The network takes a transaction whose blockhash is recent whatever nonce it advances: two that name
/// one account and one value can both be mined, so each counts.
#[test]
fn two_messages_with_one_nonce_value_count_each_for_itself() {
    let own = Who::Ours(0);
    let pays =
        |lamports| Plan { payment: Payment::Sol(vec![(own, Paid::Both, lamports)]), ..advance(own, own) };
    let (one, other) = (sweep(&pays(1), &[0]).unwrap(), sweep(&pays(2), &[0]).unwrap());
    assert_eq!(one.spends(), other.spends());
    let rules = rules("5000", &[], &[own]);
    let anchors = |sweep: &Sweep| -> Vec<_> {
        rules
            .meters(sweep)
            .iter()
            .flat_map(|meter| meter.counts.clone())
            .flat_map(|count| count.anchors)
            .collect()
    };
    assert_eq!(anchors(&one), anchors(&sweep(&pays(1), &[0]).unwrap()));
    assert!(anchors(&one).iter().all(|anchor| !anchors(&other).contains(anchor)));
}
