//! What holds for every input: nothing panics, one transaction has one encoding, what is read is
//! what another decoder reads, and a signature stands for one meaning.

use cofferdam_chains::{
    Asset, ToSign,
    tron::{Sweep, Transaction, TronAddress, TronRules},
};
use proptest::{collection::vec, prelude::*};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::messages::{
    Contract, NOW, Raw, TransferContract, TriggerSmartContract, contract, destination, key, owner, raw,
    trc20, trx,
};

fn digest(sweep: &Sweep) -> [u8; 32] {
    let ToSign::Ecdsa(digest) = sweep.signing_inputs()[0].message else { panic!("ECDSA") };
    digest
}

/// What prost, which takes much more, reads of a transaction that we take.
fn agrees(bytes: &[u8], transaction: &Transaction) {
    assert_eq!(transaction.to_bytes(), bytes, "read and written");
    let theirs = Raw::decode(bytes).unwrap();
    assert_eq!(theirs.encode_to_vec(), bytes, "prost writes the same");
    let [contract] = theirs.contract.as_slice() else { panic!("one contract") };
    let any = contract.parameter.as_ref().unwrap();
    let Ok(sweep) = transaction.sweep(&[key()]) else { return };
    let parts = match (contract.r#type, any.type_url.as_str()) {
        (1, "type.googleapis.com/protocol.TransferContract") => {
            let message = TransferContract::decode(any.value.as_slice()).unwrap();
            let amount = u128::try_from(message.amount).unwrap();
            (message.owner_address, message.to_address, Asset::Native, amount)
        }
        (31, "type.googleapis.com/protocol.TriggerSmartContract") => {
            let message = TriggerSmartContract::decode(any.value.as_slice()).unwrap();
            assert_eq!((message.call_value, message.call_token_value, message.token_id), (0, 0, 0));
            assert_eq!((message.data.len(), &message.data[..16]), (68, &trc20_head()[..]));
            let to = [&[0x41], &message.data[16..36]].concat();
            let amount = u128::from_be_bytes(message.data[52..].try_into().unwrap());
            assert_eq!(message.data[36..52], [0; 16]);
            let token = TronAddress::from_bytes(&message.contract_address).unwrap();
            (message.owner_address, to, Asset::Token(token), amount)
        }
        other => panic!("a contract of a sweep: {other:?}"),
    };
    assert_eq!(parts.0, owner().to_bytes());
    assert_eq!(parts.1, sweep.destination().to_bytes());
    assert_eq!((parts.2, parts.3), (sweep.asset(), sweep.amount().get()));
    assert_eq!(sweep.expiration(), u64::try_from(theirs.expiration).unwrap());
    assert_eq!(sweep.timestamp().unwrap_or_default(), u64::try_from(theirs.timestamp).unwrap());
    assert!(sweep.fee().get() >= u128::try_from(theirs.fee_limit).unwrap());
    let rest =
        Contract { r#type: contract.r#type, parameter: contract.parameter.clone(), ..Contract::default() };
    assert_eq!(*contract, rest);
    assert_eq!(
        (theirs.data.len(), theirs.auths.len(), theirs.scripts.len(), theirs.ref_block_num),
        (0, 0, 0, 0)
    );
    assert_eq!(digest(&sweep), <[u8; 32]>::from(Sha256::digest(bytes)));
}

fn trc20_head() -> [u8; 16] {
    let mut head = [0; 16];
    head[..4].copy_from_slice(&[0xa9, 0x05, 0x9c, 0xbb]);
    head
}

fn read(bytes: &[u8]) -> Option<Transaction> {
    let transaction = Transaction::parse(bytes).ok()?;
    agrees(bytes, &transaction);
    Some(transaction)
}

/// Either of the two sweeps.
fn bases() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![Just(trx().encode_to_vec()), Just(trc20().encode_to_vec())]
}

/// Bytes are replaced, put in, taken out, or a part is repeated.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let one = prop_oneof![
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Mutation::Replace(at, byte)),
        (any::<prop::sample::Index>(), vec(any::<u8>(), 1..6))
            .prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (any::<prop::sample::Index>(), 1_usize..24).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<prop::sample::Index>(), 1_usize..80).prop_map(|(at, count)| Mutation::Repeat(at, count)),
    ];
    vec(one, 1..4)
}

fn mutate(mut bytes: Vec<u8>, mutations: Vec<Mutation>) -> Vec<u8> {
    for mutation in mutations {
        if bytes.is_empty() {
            break;
        }
        match mutation {
            Mutation::Replace(at, byte) => *at.get_mut(&mut bytes) = byte,
            Mutation::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new);
            }
            Mutation::Remove(at, count) => {
                let at = at.index(bytes.len());
                let end = (at + count).min(bytes.len());
                bytes.drain(at..end);
            }
            Mutation::Repeat(at, count) => {
                let at = at.index(bytes.len());
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn every_changed_byte_is_refused_or_means_what_another_decoder_reads() {
    for base in [trx(), trc20()].map(|raw| raw.encode_to_vec()) {
        let original = read(&base).unwrap().sweep(&[key()]).unwrap();
        let mut taken = 0;
        for position in 0..base.len() {
            for byte in 0..=u8::MAX {
                let mut changed = base.clone();
                changed[position] = byte;
                let sweep = read(&changed).and_then(|transaction| transaction.sweep(&[key()]).ok());
                let Some(sweep) = sweep else { continue };
                taken += 1;
                let same = (sweep.summary() == original.summary(), digest(&sweep) == digest(&original));
                assert_eq!(same.1, changed == base, "the digest commits to every byte");
                assert!(same.0 || !same.1, "one digest, one meaning");
            }
        }
        assert!(taken > 256 * 20, "of the recipient's bytes, any: {taken}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_mutated_transaction_is_refused_or_signs_another_digest(base in bases(), mutations in mutations()) {
        let original = read(&base).unwrap().sweep(&[key()]).unwrap();
        let mutated = mutate(base.clone(), mutations);
        if let Some(sweep) = read(&mutated).and_then(|transaction| transaction.sweep(&[key()]).ok()) {
            prop_assert_eq!(mutated == base, digest(&sweep) == digest(&original));
            prop_assert!(mutated != base || sweep == original);
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..1200)) {
        read(&bytes);
    }

    #[test]
    fn arbitrary_messages_do_no_harm(
        r#type in prop_oneof![Just(1), Just(31), any::<i32>()],
        name in prop_oneof![Just("TransferContract"), Just("TriggerSmartContract"), Just("Other")],
        value in vec(any::<u8>(), 0..200),
        limits: (i64, i64, i64),
    ) {
        let mut contract = contract(r#type, name, &TransferContract::default());
        contract.parameter.as_mut().unwrap().value = value;
        let raw = Raw { expiration: limits.0, timestamp: limits.1, fee_limit: limits.2, ..raw(contract) };
        read(&raw.encode_to_vec());
    }

    #[test]
    fn what_another_encoder_writes_is_read(
        (to, token) in any::<([u8; 20], [u8; 20])>(),
        amount in 1_u128..,
        bits in 0_u32..127,
        times in (1_i64.., 0_i64..),
        fee_limit in 1_i64..,
        block in any::<([u8; 2], [u8; 8])>(),
    ) {
        let amount = (amount >> bits).max(1);
        let [to, token] = [to, token].map(TronAddress::from_account);
        let around = |contract| Raw {
            ref_block_bytes: block.0.to_vec(),
            ref_block_hash: block.1.to_vec(),
            expiration: times.0,
            timestamp: times.1,
            ..raw(contract)
        };
        let sun = i64::try_from(amount & u128::from(u64::MAX >> 1)).unwrap().max(1);
        let (owner_address, to_address) = (owner().to_bytes().to_vec(), to.to_bytes().to_vec());
        let message = TransferContract { owner_address: owner_address.clone(), to_address, amount: sun };
        let bytes = around(contract(1, "TransferContract", &message)).encode_to_vec();
        let sweep = read(&bytes).unwrap().sweep(&[key()]).unwrap();
        prop_assert_eq!((sweep.asset(), sweep.destination()), (Asset::Native, to));
        prop_assert_eq!(sweep.amount().get(), u128::try_from(sun).unwrap());

        let data = [&trc20_head()[..], &to.to_bytes()[1..], &[0; 16], &amount.to_be_bytes()].concat();
        let contract_address = token.to_bytes().to_vec();
        let message =
            TriggerSmartContract { owner_address, contract_address, data, ..TriggerSmartContract::default() };
        let raw = Raw { fee_limit, ..around(contract(31, "TriggerSmartContract", &message)) };
        let sweep = read(&raw.encode_to_vec()).unwrap().sweep(&[key()]).unwrap();
        prop_assert_eq!((sweep.asset(), sweep.destination()), (Asset::Token(token), to));
        prop_assert_eq!(sweep.amount().get(), amount);
    }

    #[test]
    fn arbitrary_signatures_do_no_harm(signatures in vec(vec(any::<u8>(), 0..80), 0..3), exact: [[u8; 32]; 2]) {
        let sweep = read(&trx().encode_to_vec()).unwrap().sweep(&[key()]).unwrap();
        prop_assert!(sweep.assemble(&signatures).is_err());
        let whole = [&exact[0][..], &exact[1], &[0]].concat();
        prop_assert!(sweep.assemble(&[whole]).is_err());
    }

    #[test]
    fn arbitrary_rules_do_no_harm(text: String, now: u64) {
        prop_assert!(serde_json::from_str::<TronRules>(&text).is_err());
        let rules = serde_json::json!({
            "destinations": [destination()],
            "native": {
                "min_amount": "1", "max_fee_permille": 1, "per_key_per_day": "1", "per_day": "1",
            },
            "fee": {"per_transaction": "2000000", "per_day": "2000000"},
            "max_expiration_seconds": 86_400,
            "confirmations": 1,
        });
        let rules: TronRules = serde_json::from_value(rules).unwrap();
        let sweep = read(&trx().encode_to_vec()).unwrap().sweep(&[key()]).unwrap();
        let expiration = rules.check(&sweep, now).into_iter().find(|check| check.tag == "policy.tron.expiration");
        let window = NOW + 60_000 - 86_400_000..NOW + 60_000;
        prop_assert_eq!(expiration.unwrap().holds, window.contains(&now));
    }
}
