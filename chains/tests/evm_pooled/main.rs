//! Many answers together mean no more than each alone, on EVM. Whoever has a client's key gets many
//! signed answers, takes their signatures apart, and puts them, as they are or turned into their
//! twins, under any transaction of any form for any network. Whatever a node would take as a deposit
//! key's own is a transaction that was checked, and counted with just that amount and that fee.
//!
//! A node (`node.rs`) is Parity's `rlp` to read and Bitcoin Core's libsecp256k1 to recover the sender.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod cancel;
mod node;

use std::cell::Cell;

use cofferdam_chains::{
    Check, Meter, PublicKey, Summary, ToSign,
    evm::{EvmRules, Transaction},
};
use k256::ecdsa::SigningKey;
use node::{Form, Signature, Taken, Terms};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::json;

/// Those of the policy, and three that it does not list.
const LISTED: [u64; 3] = [1, 10, 1_313_161_554];
const NETWORKS: [u64; 6] = [0, 1, 10, 61, 137, 1_313_161_554];
const PINNED: [[u8; 20]; 2] = [[0x11; 20], [0x22; 20]];
const TOKEN: [u8; 20] = [0x33; 20];
const MALLORY: [u8; 20] = [0x66; 20];

fn keys() -> [SigningKey; 2] {
    [[0x5a; 32], [0x5b; 32]].map(|secret| SigningKey::from_slice(&secret).unwrap())
}

fn address(bytes: [u8; 20]) -> String {
    format!("0x{}", data_encoding::HEXLOWER.encode(&bytes))
}

fn rules() -> EvmRules {
    let velocity = json!({"per_key_per_day": u128::MAX.to_string(), "per_day": u128::MAX.to_string()});
    let network = |chain_id: u64| {
        json!({
            "chain_id": chain_id,
            "destinations": PINNED.map(address),
            "native": {
                "min_amount": "1", "max_fee_permille": 1000,
                "per_key_per_day": velocity["per_key_per_day"], "per_day": velocity["per_day"],
            },
            "tokens": [{"contract": address(TOKEN), "symbol": "USDC", "min_amount": "1", "velocity": velocity}],
            "fee": {"per_transaction": "1000000000000000", "per_day": "9000000000000000"},
            "max_fee_per_gas": "1000000000000000", "max_priority_fee_per_gas": "1000000000000000",
            "confirmations": 12,
        })
    };
    serde_json::from_value(json!({"networks": LISTED.map(network)})).unwrap()
}

/// What came of a request: who signed what, what was said of it, and what was counted.
#[derive(Debug)]
struct Answer {
    sender: [u8; 20],
    nonce: u64,
    signed: Vec<u8>,
    signature: Signature,
    summary: Summary,
    meters: Vec<Meter>,
}

/// What the enclave does with a request: read, match, check, count, sign, assemble.
fn ask(rules: &EvmRules, key: &SigningKey, unsigned: &[u8]) -> Option<Answer> {
    let public = PublicKey::Secp256k1(key.verifying_key().into());
    let sweep = Transaction::parse(unsigned).ok()?.sweep(&[public]).ok()?;
    if rules.check(&sweep, 0).iter().find_map(Check::refusal).is_some() {
        return None;
    }
    let meters = rules.meters(&sweep);
    let ToSign::Ecdsa(digest) = sweep.signing_inputs()[0].message else { panic!("ECDSA") };
    let (signature, recovery) = key.sign_prehash_recoverable(&digest);
    let bytes = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    let signed = sweep.assemble(&[bytes]).unwrap().bytes;
    let (r, s) = signature.split_bytes();
    let signature = Signature { r: r.into(), s: s.into(), y_is_odd: recovery.to_byte() == 1 };
    let (sender, nonce) = (sweep.sender().to_bytes(), sweep.transaction().nonce());
    Some(Answer { sender, nonce, signed, signature, summary: sweep.summary(), meters })
}

impl Answer {
    /// Whether this answer alone is this transaction: its network, its sender, its place in the
    /// account's order, whom it pays and how much, at which fee; and whether the policy allows that, and
    /// just that was counted.
    fn is(&self, taken: &Taken) -> bool {
        let Some((asset, destination, amount)) = taken.terms.payment() else { return false };
        let Some(network) = taken.network else { return false };
        let asset = asset.map_or("native".to_owned(), checksummed);
        let [transfer] = self.summary.transfers.as_slice() else { return false };
        let counted = |name: String, amount: u128| {
            self.meters.iter().any(|meter| {
                meter.name == name && matches!(meter.counts.as_slice(), [count] if count.key == 0 && count.amount.get() == amount)
            })
        };
        LISTED.contains(&network)
            && PINNED.contains(&destination)
            && self.summary.fee.get() == taken.terms.most_fee()
            && self.sender == taken.sender
            && self.nonce == taken.terms.nonce
            && self.summary.network == format!("evm:{network}")
            && (transfer.asset.clone(), transfer.amount.get()) == (asset.clone(), amount)
            && transfer.destination == checksummed(destination)
            && counted(format!("evm:{network}/{asset}"), amount)
            && counted(format!("evm:{network}/fee"), taken.terms.most_fee())
    }
}

fn checksummed(bytes: [u8; 20]) -> String {
    cofferdam_chains::evm::EvmAddress::new(bytes).to_string()
}

fn terms() -> impl Strategy<Value = Terms> {
    let to = prop_oneof![8 => select(PINNED.to_vec()), 1 => Just(MALLORY)];
    let data = prop_oneof![
        Just(None),
        (to.clone(), 1_u128..4).prop_map(|(to, amount)| Some(node::transfer_call(to, amount))),
    ];
    (to, data, 0_u64..3, 1_000_000_u128..1_000_003, 1_u128..4, 21_000_u64..21_003).prop_map(
        |(to, data, nonce, value, price, gas)| match data {
            None => Terms { nonce, price, gas, to, value, data: Vec::new() },
            Some(data) => Terms { nonce, price, gas, to: TOKEN, value: 0, data },
        },
    )
}

/// The same, or with one part of it changed.
fn changed(terms: &Terms, change: u8) -> Terms {
    let mut terms = terms.clone();
    match change {
        0 => terms.nonce += 1,
        1 => terms.price += 1,
        2 => terms.gas += 1,
        3 => terms.to = MALLORY,
        4 => terms.value += 1,
        5 if terms.data.len() > 35 => terms.data[35] ^= 1,
        6 => terms.data.push(0),
        _ => (),
    }
    terms
}

type Request = (usize, Terms, Form);

fn requests() -> impl Strategy<Value = Vec<Request>> {
    let network = prop_oneof![6 => select(LISTED.to_vec()), 1 => select(NETWORKS.to_vec())];
    let form = prop_oneof![
        8 => network.clone().prop_map(Form::Eip155),
        8 => network.clone().prop_map(Form::Eip1559),
        1 => network.prop_map(Form::Eip2930),
        1 => Just(Form::Unprotected),
    ];
    // Some are asked for with a part that no sweep has.
    let terms = (terms(), 3_u8..40).prop_map(|(terms, change)| changed(&terms, change));
    prop::collection::vec((0_usize..2, terms, form), 2..5)
}

/// What the adversary makes of what was asked: other forms, other networks, other terms.
fn candidates(requests: &[Request], changes: [u8; 2], other: u64) -> Vec<(Terms, Form)> {
    let networks = requests.iter().filter_map(|(_, _, form)| form.network()).chain([other, 0]);
    let forms = networks.flat_map(|network| {
        [Form::Eip155(network), Form::Eip1559(network), Form::Eip2930(network), Form::Unprotected]
    });
    let mut all = Vec::new();
    for form in forms {
        for (_, terms, _) in requests {
            all.push((terms.clone(), form));
            all.extend(changes.map(|change| (changed(terms, change), form)));
        }
    }
    all.sort();
    all.dedup();
    all
}

#[test]
fn whatever_a_node_takes_of_pooled_signatures_is_one_answer_alone() {
    let (rules, keys) = (rules(), keys());
    let ours = keys.clone().map(|key| cofferdam_chains::evm::account(&key.verifying_key().into()));
    let (answered, taken_as_ours) = (Cell::new(0_u32), Cell::new(0_u32));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
    let strategy = (requests(), any::<[u8; 2]>(), select(NETWORKS.to_vec()));
    let result = runner.run(&strategy, |(requests, changes, other)| {
        let ask = |(key, terms, form): &Request| ask(&rules, &keys[*key], &form.unsigned(terms));
        let answers: Vec<Answer> = requests.iter().filter_map(ask).collect();
        answered.set(answered.get() + u32::try_from(answers.len()).unwrap());
        for answer in &answers {
            let taken = node::taken(&answer.signed).expect("a node takes an answer");
            prop_assert!(answer.is(&taken), "{answer:?}, {taken:?}");
        }
        let pool = answers.iter().flat_map(|answer| answer.signature.twins());
        let pool: Vec<Signature> = pool.collect();
        for (terms, form) in candidates(&requests, changes.map(|change| change % 8), other) {
            for signature in &pool {
                let Some(taken) = node::taken(&form.signed(&terms, signature)) else { continue };
                if ours.contains(&taken.sender) {
                    taken_as_ours.set(taken_as_ours.get() + 1);
                    prop_assert!(answers.iter().any(|answer| answer.is(&taken)), "{form:?}, {taken:?}");
                }
            }
        }
        Ok(())
    });
    result.unwrap();
    // The numbers say that the test is not empty: a low and a high s of each answer, at least.
    let (answered, taken_as_ours) = (answered.get(), taken_as_ours.get());
    assert!(answered > 40 && taken_as_ours >= answered, "{answered} {taken_as_ours}");
}

#[test]
fn a_signature_for_one_network_is_the_keys_on_no_other() {
    let (rules, [key, _]) = (rules(), keys());
    let ours = cofferdam_chains::evm::account(&key.verifying_key().into());
    let terms = Terms { nonce: 0, price: 7, gas: 21_000, to: PINNED[0], value: 5_000_000, data: Vec::new() };
    for network in LISTED {
        for form in [Form::Eip155(network), Form::Eip1559(network)] {
            let answer = ask(&rules, &key, &form.unsigned(&terms)).unwrap();
            let takes = |form: &Form| {
                let taken = |signature| node::taken(&form.signed(&terms, &signature));
                answer.signature.twins().into_iter().filter_map(taken).any(|taken| taken.sender == ours)
            };
            let every =
                NETWORKS.into_iter().flat_map(|n| [Form::Eip155(n), Form::Eip1559(n), Form::Eip2930(n)]);
            let taken: Vec<Form> = every.chain([Form::Unprotected]).filter(takes).collect();
            assert_eq!(taken, [form]);
        }
    }
}

#[test]
fn no_answer_is_for_a_network_that_is_not_listed_or_for_all() {
    let (rules, [key, _]) = (rules(), keys());
    let terms = Terms { nonce: 0, price: 7, gas: 21_000, to: PINNED[0], value: 5_000_000, data: Vec::new() };
    let unlisted = NETWORKS.into_iter().filter(|network| !LISTED.contains(network));
    let forms = unlisted.flat_map(|network| [Form::Eip155(network), Form::Eip1559(network)]);
    for form in forms.chain([Form::Unprotected, Form::Eip2930(1)]) {
        assert!(ask(&rules, &key, &form.unsigned(&terms)).is_none(), "{form:?}");
    }
}
