//! Many answers together mean no more than each alone, on Tron. Whoever has a client's key pools all
//! signatures, as they are or turned into their twins, and puts one or several of them on any message,
//! in any encoding, on any network. Whatever a node takes in a deposit key's name pays what one answer
//! pays, from the key's own account, at no more than the fee that was counted, but for bytes that nobody
//! signs.

use std::cell::Cell;

use cofferdam_chains::{
    Check, Count, Meter, Summary, ToSign,
    tron::{Transaction, TronAddress, TronRules},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use prost::Message;
use serde_json::json;

use crate::{
    messages::{NOW, Raw, SignedTransaction, contract, destination, key, owner, raw, signer, token},
    node::{self, BLOCKS, MAX_BYTES, Network, joint, recovered, twins, written},
};

const DAY: i64 = 86_400_000;

fn rules() -> TronRules {
    let velocity = json!({"per_key_per_day": u128::MAX.to_string(), "per_day": u128::MAX.to_string()});
    serde_json::from_value(json!({
        "destinations": [destination()],
        "native": {
            "min_amount": "1", "max_fee_permille": 1000,
            "per_key_per_day": velocity["per_key_per_day"], "per_day": velocity["per_day"],
        },
        "tokens": [{"contract": token(), "symbol": "USDT", "min_amount": "1", "velocity": velocity}],
        "fee": {"per_transaction": "31000000", "per_day": "900000000"},
        "max_expiration_seconds": 86_400,
        "confirmations": 19,
    }))
    .unwrap()
}

/// What came of a request: the signature, what was said, and what was counted.
#[derive(Debug)]
struct Answer {
    raw: Raw,
    signed: Vec<u8>,
    signature: Vec<u8>,
    summary: Summary,
    meters: Vec<Meter>,
}

/// What the enclave does with a request: read, match, check, count, sign, assemble.
fn ask(rules: &TronRules, raw: &Raw) -> Option<Answer> {
    let sweep = Transaction::parse(&raw.encode_to_vec()).ok()?.sweep(&[key()]).ok()?;
    if rules.check(&sweep, NOW).iter().find_map(Check::refusal).is_some() {
        return None;
    }
    let ToSign::Ecdsa(digest) = sweep.signing_inputs()[0].message else { panic!("ECDSA") };
    let (signature, recovery) = signer().sign_prehash_recoverable(&digest);
    let signature = [&signature.to_bytes()[..], &[recovery.to_byte()]].concat();
    let signed = sweep.assemble(std::slice::from_ref(&signature)).unwrap().bytes;
    let (summary, meters) = (sweep.summary(), rules.meters(&sweep));
    Some(Answer { raw: raw.clone(), signed, signature, summary, meters })
}

impl Answer {
    /// Whether this answer alone says that the key's account makes this payment, and counted it.
    fn is(&self, taken: &SignedTransaction) -> bool {
        let Some(raw) = &taken.raw_data else { return false };
        let Some(payment) = node::payment(raw) else { return false };
        let asset = payment.token.map_or("native".to_owned(), |token| token.to_string());
        let [transfer] = self.summary.transfers.as_slice() else { return false };
        let count = |name: String| {
            let meter = self.meters.iter().find(|meter| meter.name == name)?;
            let [Count { key: 0, amount, .. }] = meter.counts.as_slice() else { return None };
            Some(amount.get())
        };
        let fee = node::most_fee(taken);
        payment.owner == owner()
            && payment.destination == destination()
            && self.summary.fee.get() >= fee
            && transfer.asset == asset
            && transfer.amount.get() == payment.amount
            && transfer.destination == payment.destination.to_string()
            && count(format!("tron/{asset}")) == Some(payment.amount)
            && count("tron/fee".into()).is_some_and(|counted| counted >= fee)
            && raw.expiration <= i64::try_from(NOW).unwrap() + DAY
    }
}

/// Another's account, whose permissions name the key: its signature would be good there.
fn joint_account() -> Vec<u8> {
    joint().to_bytes().to_vec()
}

fn raws() -> impl Strategy<Value = Raw> {
    let owners = prop_oneof![12 => Just(owner().to_bytes().to_vec()), 1 => Just(joint_account())];
    let to = prop_oneof![12 => Just(destination()), 1 => Just(TronAddress::from_account([0x66; 20]))];
    let times = (0_usize..BLOCKS.len(), select(vec![60_000_i64, DAY, DAY + 1]), 0_i64..2);
    let limits = (1_i64..3, prop_oneof![12 => Just(0), 1 => Just(2)]);
    (owners, to, any::<bool>(), times, limits).prop_map(|(owner, to, trx, (block, time, at), (limit, id))| {
        let now = i64::try_from(NOW).unwrap();
        let mut contract = if trx {
            let to_address = to.to_bytes().to_vec();
            let message =
                crate::messages::TransferContract { owner_address: owner, to_address, amount: limit };
            contract(1, "TransferContract", &message)
        } else {
            let mut call = crate::messages::call();
            (call.owner_address, call.data[67]) = (owner, u8::try_from(limit).unwrap());
            call.data[16..36].copy_from_slice(&to.to_bytes()[1..]);
            contract(31, "TriggerSmartContract", &call)
        };
        contract.permission_id = id;
        let (ref_block_bytes, ref_block_hash) = (BLOCKS[block].0.to_vec(), BLOCKS[block].1.to_vec());
        let (expiration, timestamp) = (now + time, at * now);
        let fee_limit = if trx { 0 } else { limit };
        Raw { ref_block_bytes, ref_block_hash, expiration, timestamp, fee_limit, ..raw(contract) }
    })
}

/// The same, or with a part of it changed.
fn changed(raw: &Raw, change: u8) -> Raw {
    let mut raw = raw.clone();
    match change {
        0 => raw.fee_limit += 1,
        1 => raw.expiration += 1,
        2 => raw.contract[0].permission_id ^= 2,
        3 => (raw.ref_block_bytes, raw.ref_block_hash) = (BLOCKS[2].0.to_vec(), BLOCKS[2].1.to_vec()),
        4 => raw.data = b"memo".to_vec(),
        5 => raw.contract.push(raw.contract[0].clone()),
        6 => raw.timestamp += 1,
        _ => (),
    }
    raw
}

#[test]
fn whatever_a_node_takes_of_pooled_signatures_pays_what_one_answer_pays() {
    let rules = rules();
    let (answered, taken) = (Cell::new(0_u32), Cell::new([0_u32; 3]));
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(64) });
    let strategy =
        (vec(raws(), 1..4), any::<[u8; 2]>(), vec(written(), 3), any::<[prop::sample::Index; 3]>());
    let result = runner.run(&strategy, |(requests, changes, forms, picks)| {
        let answers: Vec<Answer> = requests.iter().filter_map(|raw| ask(&rules, raw)).collect();
        answered.set(answered.get() + u32::try_from(answers.len()).unwrap());
        let pool: Vec<Vec<u8>> = answers.iter().flat_map(|answer| twins(&answer.signature)).collect();
        let mut candidates: Vec<Raw> = requests.clone();
        candidates.extend(requests.iter().flat_map(|raw| changes.map(|change| changed(raw, change % 8))));
        let mut sets: Vec<Vec<Vec<u8>>> = pool.iter().map(|one| vec![one.clone()]).collect();
        if !pool.is_empty() {
            sets.push(picks.iter().map(|pick| pick.get(&pool).clone()).collect());
        }
        for raw in &candidates {
            let written = forms.iter().flat_map(|form| sets.iter().map(move |set| (form, set)));
            for (form, signatures) in written {
                let bytes = form.write(&raw.encode_to_vec(), signatures);
                for (network, count) in Network::all().iter().zip(0..) {
                    let Some(read) = network.takes(&bytes) else { continue };
                    let mut all = taken.get();
                    all[count] += 1;
                    taken.set(all);
                    let alone = answers.iter().find(|answer| answer.is(&read));
                    prop_assert!(alone.is_some(), "{}: {read:?}", network.name);
                }
            }
        }
        for answer in &answers {
            let read = SignedTransaction::decode(answer.signed.as_slice()).unwrap();
            prop_assert_eq!(read.raw_data.as_ref(), Some(&answer.raw));
            prop_assert!(answer.is(&read));
        }
        Ok(())
    });
    result.unwrap();
    // The numbers say that the test is not empty, on any of the networks.
    assert!(answered.get() > 20 && taken.get().iter().all(|count| *count > 20), "{answered:?} {taken:?}");
}

/// What bounds a replay: `raw_data` names no network, but a block that must be among its last 65,536,
/// and a time after which no network takes it.
#[test]
fn a_network_with_other_blocks_takes_nothing_and_a_fork_takes_the_same_payment_until_it_expires() {
    let [main, fork, other] = Network::all();
    let now = i64::try_from(NOW).unwrap();
    let ask_at = |block: usize| {
        let (bytes, hash) = BLOCKS[block];
        let raw =
            Raw { ref_block_bytes: bytes.to_vec(), ref_block_hash: hash.to_vec(), ..crate::messages::trx() };
        ask(&rules(), &raw).unwrap()
    };
    // Whether the main network, its fork and another one take it; each that does takes just this.
    let takers = |answer: &Answer| {
        [&main, &fork, &other].map(|network| {
            network.takes(&answer.signed).is_some_and(|taken| {
                assert!(answer.is(&taken));
                taken.raw_data == Some(answer.raw.clone())
            })
        })
    };
    let (shared, of_main, of_other) = (ask_at(0), ask_at(1), ask_at(2));
    assert_eq!(takers(&of_main), [true, false, false]);
    assert_eq!(takers(&of_other), [false, false, true]);
    // A block from before the fork: both take it, once each, and the same payment of the same account.
    assert_eq!(takers(&shared), [true, true, false]);
    let later = |milliseconds: i64| Network { time: now + milliseconds, ..Network::all()[1].clone() };
    assert!(later(59_999).takes(&shared.signed).is_some());
    assert!(later(60_000).takes(&shared.signed).is_none());
    // The rules let nothing live longer than a day.
    assert!(ask(&rules(), &Raw { expiration: now + DAY, ..shared.raw.clone() }).is_some());
    assert!(ask(&rules(), &Raw { expiration: now + DAY + 1, ..shared.raw }).is_none());
}

/// A known limit, so that nobody takes the counted fee for more than it is: `raw_data` is signed, and
/// the transaction around it is not. A node charges the owner for every byte of it: also for those behind
/// the 65 of a signature, which `checkWeight` does not look at (pull request 6782 leaves 3 of them to
/// whoever sends, any to whoever makes a block); and for fields that it does not know, which it keeps
/// while the chain parameter `getAllowProtoFilterNum` is 0.
#[test]
fn bytes_that_nobody_signs_cost_more_than_was_counted_and_at_most_512_trx() {
    let (bytes, hash) = BLOCKS[0];
    for raw in [crate::messages::trx(), crate::messages::trc20()] {
        let raw = Raw { ref_block_bytes: bytes.to_vec(), ref_block_hash: hash.to_vec(), ..raw };
        let answer = ask(&rules(), &raw).unwrap();
        let behind_the_signature = |count: usize| {
            let signature = vec![[&answer.signature[..], &vec![0; count]].concat()];
            SignedTransaction { raw_data: Some(raw.clone()), signature }.encode_to_vec()
        };
        let unknown_field = |count: usize| {
            let mut length = Vec::new();
            prost::encoding::encode_varint(count as u64, &mut length);
            [&answer.signed[..], &[0xfa, 0x07], &length, &vec![0; count]].concat()
        };
        let paddings: [&dyn Fn(usize) -> Vec<u8>; 2] = [&behind_the_signature, &unknown_field];
        for padded in paddings {
            // Room for two results, the length of the field and its tag.
            let longest = padded(MAX_BYTES - 2 * 64 - answer.signed.len() - 5);
            let taken = Network::all()[0].takes(&longest).unwrap();
            assert_eq!(taken.raw_data.as_ref(), Some(&raw), "the same payment");
            assert_eq!(node::id(&longest), node::id(&answer.signed), "the same transaction");
            let cost = node::bandwidth(longest.len());
            assert!(answer.summary.fee.get() < cost && cost <= 512_000_000, "{cost}");
        }
    }
}

#[test]
fn a_twin_of_a_signature_is_the_same_transaction() {
    let answer = ask(&rules(), &crate::messages::trc20()).unwrap();
    let id = node::id(&answer.signed).unwrap();
    let mut valid = 0;
    for twin in twins(&answer.signature) {
        let bytes = SignedTransaction { raw_data: Some(answer.raw.clone()), signature: vec![twin.clone()] };
        let bytes = bytes.encode_to_vec();
        assert_eq!(node::id(&bytes), Some(id), "nodes take each id once");
        valid += u32::from(recovered(&id, &twin) == Some(owner()));
    }
    // Last bytes of 0 or 1, 27 or 28, 31 or 32; each with s and with -s.
    assert_eq!(valid, 6);
}
