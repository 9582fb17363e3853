//! Many answers together mean no more than each alone, on Solana. Whoever has a client's key, and the
//! key of a pinned fee payer, pools the signatures of all answers and puts them under any message that
//! it can think of. Whatever transaction comes out whole was signed whole by one request: all deposit
//! keys in it are that request's, under one rule set that allows it, and it was counted with just what
//! it moves and costs.
//!
//! `solana-transaction`, which validators use, decides what is a transaction and whether it is signed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod advance;
mod adversary;
mod enclave;
mod plan;

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use adversary::{related, requests, two};
use ed25519_dalek::Signer;
use enclave::{Answer, Enclave, rule_set};
use plan::{OURS, Paid, Payment, Plan, Who};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use solana_message::VersionedMessage;
use solana_transaction::{Signature, versioned::VersionedTransaction};

/// The bytes of a transaction with these signatures, as far as there are any.
fn written(message: &VersionedMessage, signatures: &[[u8; 64]]) -> Vec<u8> {
    let count = u8::try_from(signatures.len()).unwrap();
    [&[count][..], &signatures.concat(), &message.serialize()].concat()
}

/// The signers of a message.
fn signers(message: &VersionedMessage) -> Vec<Who> {
    let count = usize::from(message.header().num_required_signatures);
    message.static_account_keys().iter().take(count).map(|signer| Who::of(signer).unwrap()).collect()
}

/// What is sent with a request: zero for every signature, or the fee payer's where the adversary has it.
fn unsigned(message: &VersionedMessage, prefilled: bool) -> Vec<u8> {
    let mut signatures = vec![[0; 64]; signers(message).len()];
    match signers(message).first() {
        Some(who @ (Who::Payer | Who::Mallory)) if prefilled => {
            signatures[0] = who.key().sign(&message.serialize()).to_bytes();
        }
        _ => (),
    }
    written(message, &signatures)
}

/// The signatures of an answer.
fn signatures(answer: &Answer) -> impl Iterator<Item = Signature> {
    let places = answer.bytes[1..=64 * usize::from(answer.bytes[0])].chunks(64);
    places.map(|place| Signature::from(<[u8; 64]>::try_from(place).unwrap()))
}

/// The message as a whole transaction, if pooled signatures and the adversary's own keys make it one.
fn completed(message: &VersionedMessage, pool: &[Signature]) -> Option<VersionedTransaction> {
    let bytes = message.serialize();
    let signature = |who: Who| match who {
        Who::Ours(_) => pool.iter().copied().find(|one| one.verify(who.address().as_array(), &bytes)),
        Who::Payer | Who::Mallory => Some(Signature::from(who.key().sign(&bytes).to_bytes())),
    };
    // Ours first: they are what is missing, and that ends the search.
    let mut signatures = vec![Signature::default(); signers(message).len()];
    let mut places: Vec<(usize, Who)> = signers(message).into_iter().enumerate().collect();
    places.sort_by_key(|(_, who)| !matches!(who, Who::Ours(_)));
    for (place, who) in places {
        signatures[place] = signature(who)?;
    }
    let transaction = VersionedTransaction { signatures, message: message.clone() };
    transaction.verify_and_hash_message().is_ok().then_some(transaction)
}

fn ours(message: &VersionedMessage) -> Vec<usize> {
    let place = |who| match who {
        Who::Ours(place) => Some(place),
        Who::Payer | Who::Mallory => None,
    };
    signers(message).into_iter().filter_map(place).collect()
}

/// That an answer alone is this transaction, and counted what the plan moves and costs.
fn covers(answer: &Answer, plan: &Plan, message: &VersionedMessage) -> bool {
    let ours = ours(message);
    let counted = |meter: &str, key: usize| {
        let amounts = answer.counted.get(meter).into_iter().flatten();
        amounts.filter(|(of, _)| *of == key).map(|(_, amount)| amount).sum::<u128>()
    };
    let moved = |key: usize| {
        let of_key = plan.moves().into_iter().filter(|(from, _, _)| *from == Who::Ours(key));
        of_key.map(|(_, _, amount)| u128::from(amount)).sum::<u128>()
    };
    let asset = format!("solana/{}", plan.asset());
    let pinned = |from: Who, to: Paid| match from {
        Who::Ours(key) => to.is_pinned_for(key),
        Who::Payer | Who::Mallory => false,
    };
    let cost = |key: usize| {
        let of_key = plan.costs().into_iter().filter(|(who, _)| *who == Who::Ours(key));
        of_key.map(|(_, cost)| cost).sum::<u128>()
    };
    answer.bytes.ends_with(&message.serialize())
        && ours.iter().all(|key| answer.keys.contains(key))
        && ours.iter().all(|key| rule_set(*key) == rule_set(ours[0]))
        && ours.iter().all(|key| counted(&asset, *key) == moved(*key))
        && ours.iter().all(|key| counted("solana/fee", *key) >= cost(*key))
        && plan.moves().into_iter().all(|(from, to, _)| pinned(from, to))
        // A closed account's lamports are not counted: they must be rent, and go to the exchange.
        && plan.closes().into_iter().all(|(from, to)| pinned(from, to) && plan.asset() != plan::mint(0).to_string())
}

#[test]
fn whatever_pooled_signatures_complete_is_one_answer_alone() {
    let enclave = Enclave::new();
    let (answered, whole) = (Cell::new(0_u32), Cell::new(0_u32));
    let count = |cell: &Cell<u32>| cell.set(cell.get() + 1);
    let config = Config { failure_persistence: None, ..Config::with_cases(256) };
    let result = TestRunner::new(config).run(&(two(), requests()), |(plans, requests)| {
        let mut answers = Vec::new();
        for (of, keys, prefilled, exact) in requests {
            let message = plans[of].message();
            let keys = if exact { ours(&message) } else { keys };
            answers.extend(enclave.ask(&keys, &unsigned(&message, prefilled)));
        }
        answers.iter().for_each(|_| count(&answered));
        let pool: Vec<Signature> = answers.iter().flat_map(signatures).collect();
        let (mut moved, mut seen) = (HashMap::new(), HashSet::new());
        for plan in related(&plans[0], &plans[1]).into_iter().chain(related(&plans[1], &plans[0])) {
            let message = plan.message();
            if ours(&message).is_empty() {
                continue;
            }
            let Some(transaction) = completed(&message, &pool) else { continue };
            count(&whole);
            let alone = answers.iter().find(|answer| covers(answer, &plan, &message));
            prop_assert!(alone.is_some(), "{plan:?}: {answers:?}");
            // That answer's own signatures are enough.
            let own: Vec<Signature> = signatures(alone.unwrap()).collect();
            prop_assert!(completed(&message, &own).is_some());
            // A validator takes each message once, by its hash.
            if seen.insert(transaction.verify_and_hash_message().unwrap()) {
                for (from, _, amount) in plan.moves() {
                    if let Who::Ours(key) = from {
                        *moved.entry((plan.asset(), key)).or_insert(0) += u128::from(amount);
                    }
                }
            }
        }
        within(&moved, &answers)
    });
    result.unwrap();
    // The numbers say that the test is not empty.
    let numbers = (answered.get(), whole.get());
    assert!(numbers.0 > 40 && numbers.1 > 40, "{numbers:?}");
}

/// That all that moved together is within what was counted together.
fn within(moved: &HashMap<(String, usize), u128>, answers: &[Answer]) -> Result<(), TestCaseError> {
    for ((asset, key), amount) in moved {
        let meters = answers.iter().filter_map(|answer| answer.counted.get(&format!("solana/{asset}")));
        let of_key = meters.flatten().filter(|(of, _)| of == key);
        let counted: u128 = of_key.map(|(_, amount)| amount).sum();
        prop_assert!(*amount <= counted, "{amount} of {asset} by {key}, counted {counted}");
    }
    Ok(())
}

/// A plan that any one rule set would allow, were it asked of its own keys. Each gives so many million
/// lamports.
fn simple(payer: Who, paid: &[(Who, u64)]) -> Plan {
    let millions = |(from, amount): &(Who, u64)| (*from, Paid::Both, amount * 1_000_000);
    let payment = Payment::Sol(paid.iter().map(millions).collect());
    Plan { version: 2, payer, blockhash: 1, nonce: None, price: None, payment }
}

/// Every request that names keys of ours, any of them, in any order.
fn everything_signed(enclave: &Enclave, message: &VersionedMessage) -> Vec<Answer> {
    let every = (1_u32..1 << OURS).map(|set| (0..OURS).filter(|key| set >> key & 1 == 1).collect::<Vec<_>>());
    every.filter_map(|keys| enclave.ask(&keys, &unsigned(message, false))).collect()
}

#[test]
fn keys_under_two_rule_sets_never_sign_one_message_whole() {
    let enclave = Enclave::new();
    for (payer, paid, answers) in [
        // Both give: nobody signs.
        (Who::Payer, &[(Who::Ours(0), 1), (Who::Ours(2), 1)][..], 0),
        (Who::Ours(0), &[(Who::Ours(0), 1), (Who::Ours(2), 1)], 0),
        (Who::Ours(2), &[(Who::Ours(0), 1)], 0),
        // The second rule set pins a key of the first as a fee payer: the giver signs, and is counted
        // with the fee; the payer never does, as its request would have to name the giver.
        (Who::Ours(0), &[(Who::Ours(2), 1)], 1),
        (Who::Ours(0), &[(Who::Ours(2), 1), (Who::Ours(3), 2)], 1),
    ] {
        let plan = simple(payer, paid);
        let message = plan.message();
        let signed = everything_signed(&enclave, &message);
        assert_eq!(signed.len(), answers, "{plan:?}");
        let pool: Vec<Signature> = signed.iter().flat_map(signatures).collect();
        assert!(completed(&message, &pool).is_none(), "{plan:?}");
    }
}

#[test]
fn a_deposit_key_pays_a_fee_only_in_a_request_that_names_it_and_all_who_give() {
    let enclave = Enclave::new();
    let plan = simple(Who::Ours(1), &[(Who::Ours(0), 7)]);
    let message = plan.message();
    let signed = everything_signed(&enclave, &message);
    let keys: Vec<&[usize]> = signed.iter().map(|answer| answer.keys.as_slice()).collect();
    assert_eq!(keys, [&[0][..], &[0, 1]]);
    // Alone, the giver's answer is no transaction yet; it counted the fee, under its own name.
    let [half, whole] = signed.as_slice() else { unreachable!() };
    assert!(completed(&message, &signatures(half).collect::<Vec<_>>()).is_none());
    assert_eq!(half.counted["solana/fee"], [(0, 10_000)]);
    assert!(covers(whole, &plan, &message) && !covers(half, &plan, &message));
    assert_eq!(whole.counted["solana/fee"], [(1, 10_000)]);
    // The rent of a new account is in the fee, so nobody else pays it.
    for (created, answers) in [(Who::Payer, 1), (Who::Ours(0), 0)] {
        let (paid, closed) = (vec![(Who::Ours(0), 7)], Vec::new());
        let payment = Payment::Token { mint: 1, to: Paid::Both, created: Some(created), paid, closed };
        let message = Plan { payer: Who::Payer, payment, ..plan.clone() }.message();
        assert_eq!(everything_signed(&enclave, &message).len(), answers);
    }
}

#[test]
fn every_version_of_one_content_is_a_message_of_its_own() {
    let enclave = Enclave::new();
    let plan = simple(Who::Ours(0), &[(Who::Ours(0), 1), (Who::Ours(1), 2)]);
    for (version, signed) in [(2, true), (0, true), (1, false)] {
        let plan = Plan { version, ..plan.clone() };
        let answer = enclave.ask(&[0, 1], &unsigned(&plan.message(), false));
        assert_eq!(answer.is_some(), signed, "version 1 is refused");
        let Some(answer) = answer else { continue };
        let pool: Vec<Signature> = signatures(&answer).collect();
        let whole =
            [0, 1, 2].map(|version| completed(&Plan { version, ..plan.clone() }.message(), &pool).is_some());
        assert_eq!(whole, [0, 1, 2].map(|other| other == version));
    }
}

/// The header says how many sign: a transaction with another number of signers is another message.
#[test]
fn no_other_header_makes_a_part_of_the_signatures_enough() {
    let enclave = Enclave::new();
    let plan = simple(Who::Ours(0), &[(Who::Ours(0), 1), (Who::Ours(1), 2)]);
    let VersionedMessage::Legacy(message) = plan.message() else { unreachable!() };
    let answer = enclave.ask(&[0, 1], &unsigned(&plan.message(), false)).unwrap();
    let pool: Vec<Signature> = signatures(&answer).collect();
    for signers in 1..=2 {
        for read_only in 0..signers {
            let mut other = message.clone();
            other.header.num_required_signatures = signers;
            other.header.num_readonly_signed_accounts = read_only;
            let same = other == message;
            assert_eq!(completed(&VersionedMessage::Legacy(other), &pool).is_some(), same);
        }
    }
}
