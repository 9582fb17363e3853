//! The one transaction that moves nothing: what it must be, that no rule allows it by itself, and that a
//! node takes it for the very nonce of what it ends.

use cofferdam_chains::{Spends, evm::Sweep};
use k256::ecdsa::SigningKey;
use serde_json::json;

use super::*;

fn sweep(key: &SigningKey, form: Form, terms: &Terms) -> Result<Sweep, &'static str> {
    let public = PublicKey::Secp256k1(key.verifying_key().into());
    let read = Transaction::parse(&form.unsigned(terms)).and_then(|transaction| transaction.sweep(&[public]));
    read.map_err(|refused| refused.tag)
}

fn own(key: &SigningKey) -> [u8; 20] {
    cofferdam_chains::evm::account(&key.verifying_key().into())
}

fn cancel(key: &SigningKey, nonce: u64) -> Terms {
    Terms { nonce, price: 3, gas: 21_000, to: own(key), value: 0, data: Vec::new() }
}

#[test]
fn nothing_is_moved_by_type_2_to_the_keys_own_account_alone() {
    let [key, other] = keys();
    let good = cancel(&key, 5);
    let found = sweep(&key, Form::Eip1559(1), &good).unwrap();
    assert!(found.is_void());
    assert_eq!(found.spends(), Spends::Nonce { chain_id: 1, nonce: 5 });
    let summary = found.summary();
    assert_eq!((summary.kind, summary.fee.get()), ("evm.cancel", 63_000));
    assert!(summary.transfers.is_empty() && summary.sources.is_empty());
    let zero = "transaction.evm.amount";
    for (form, terms) in [
        (Form::Eip155(1), good.clone()),
        (Form::Eip1559(1), Terms { to: own(&other), ..good.clone() }),
        (Form::Eip1559(1), Terms { to: PINNED[0], ..good.clone() }),
        (Form::Eip1559(1), Terms { to: TOKEN, data: node::transfer_call(PINNED[0], 0), ..good.clone() }),
        (Form::Eip1559(1), Terms { to: TOKEN, data: node::transfer_call(own(&key), 0), ..good.clone() }),
    ] {
        assert_eq!(sweep(&key, form, &terms).unwrap_err(), zero, "{form:?} {terms:?}");
    }
    // A wei to itself is a sweep to a destination that is not pinned.
    let one = sweep(&key, Form::Eip1559(1), &Terms { value: 1, ..good.clone() }).unwrap();
    assert!(!one.is_void());
    assert!(sweep(&key, Form::Eip1559(1), &Terms { data: vec![0], ..good }).is_err());
}

#[test]
fn no_rule_allows_it_and_an_order_leaves_all_that_bounds_its_fee() {
    let [key, _] = keys();
    let denied = |checks: Vec<Check>| {
        checks.iter().filter(|check| !check.holds).map(|check| check.tag).collect::<Vec<_>>()
    };
    let found = |terms: &Terms, network| sweep(&key, Form::Eip1559(network), terms).unwrap();
    let good = found(&cancel(&key, 5), 1);
    assert_eq!(denied(rules().check(&good, 0)), ["policy.void"]);
    assert!(ask(&rules(), &key, &Form::Eip1559(1).unsigned(&cancel(&key, 5))).is_none());
    assert_eq!(denied(rules().check_void(&good, 0)), [""; 0]);
    assert_eq!(rules().meters(&good), [], "what an order allows once counts nowhere");

    let mut written = serde_json::to_value(rules()).unwrap();
    let network = &mut written["networks"][0];
    for (member, least, tag) in [
        ("fee", json!({"per_transaction": "62999", "per_day": "62999"}), "policy.evm.fee"),
        ("max_fee_per_gas", json!("2"), "policy.evm.max_fee_per_gas"),
        ("max_priority_fee_per_gas", json!("0"), "policy.evm.max_priority_fee_per_gas"),
        ("max_nonce", json!(4), "policy.evm.max_nonce"),
    ] {
        let before = std::mem::replace(&mut network[member], least);
        let rules: EvmRules = serde_json::from_value(json!({"networks": [network.clone()]})).unwrap();
        assert_eq!(denied(rules.check_void(&good, 0)), [tag]);
        network[member] = before;
        if network[member].is_null() {
            network.as_object_mut().unwrap().remove(member);
        }
    }
    let unlisted = NETWORKS.into_iter().find(|network| *network != 0 && !LISTED.contains(network)).unwrap();
    assert_eq!(denied(rules().check_void(&found(&cancel(&key, 5), unlisted), 0)), ["policy.evm.network"]);
    // A sweep passes for none, whatever an order says.
    let moves = Terms { to: PINNED[0], value: 5_000_000, ..cancel(&key, 5) };
    let all =
        cofferdam_chains::Rules::Evm(&rules()).check_void(&cofferdam_chains::Sweep::Evm(found(&moves, 1)), 0);
    assert_eq!(denied(all), ["policy.void"]);
}

#[test]
fn a_node_takes_it_for_the_nonce_of_what_it_ends() {
    let (rules, [key, _]) = (rules(), keys());
    let moves = Terms { to: PINNED[0], value: 5_000_000, ..cancel(&key, 5) };
    let signed = ask(&rules, &key, &Form::Eip155(1).unsigned(&moves)).unwrap();
    let ends = sweep(&key, Form::Eip1559(1), &cancel(&key, 5)).unwrap();
    let ToSign::Ecdsa(digest) = ends.signing_inputs()[0].message else { panic!("ECDSA") };
    let (signature, recovery) = key.sign_prehash_recoverable(&digest);
    let bytes = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    let ending = node::taken(&ends.assemble(&[bytes]).unwrap().bytes).unwrap();
    let ended = node::taken(&signed.signed).unwrap();
    assert_eq!((ending.sender, ending.network), (ended.sender, ended.network));
    assert_eq!((ending.terms.nonce, ending.terms.value, ending.terms.to), (5, 0, own(&key)));
    assert_eq!(ending.terms.nonce, ended.terms.nonce);
}
