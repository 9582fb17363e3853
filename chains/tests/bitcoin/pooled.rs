//! Whoever may ask for signatures and lies about what is spent: any number of PSBTs of one
//! transaction, each with claims of its own, every signature that comes out pooled, and every one of
//! them tried for every input in every form. Bitcoin Core's script verification decides under the
//! coins as they are. If a complete transaction comes out, its fee and its amounts are those of a
//! sweep that was checked.

use std::collections::BTreeMap;

use bitcoin::{
    ScriptBuf, Transaction, Witness,
    consensus::encode::serialize,
    script::{Builder, PushBytesBuf},
};
use cofferdam_chains::{ToSign, bitcoin::Sweep};
use proptest::prelude::*;

use crate::{
    consensus::verdicts_of,
    lies::{Claim, Claimed, Coin, Lies, Lock, Proof, Truth},
    support::{Form, public, script, secret, sign_one},
};

/// A signature in the pool, without the byte of its hash type: DER, or 64 bytes.
fn pooled(sweeps: &[(Sweep, Vec<usize>)]) -> Vec<Vec<u8>> {
    let mut pool = Vec::new();
    for (sweep, keys) in sweeps {
        for input in sweep.signing_inputs() {
            let signature = sign_one(&secret(keys[input.key]), &input.message);
            // What is 64 bytes of r and s may be tried as a BIP-340 signature as well.
            pool.push(signature[..64].to_vec());
            if let ToSign::Ecdsa(_) = input.message {
                let signature = k256::ecdsa::Signature::from_slice(&signature[..64]).unwrap();
                pool.push(signature.to_der().as_bytes().to_vec());
            }
        }
    }
    pool.sort();
    pool.dedup();
    pool
}

/// The transaction with every input unlocked by the pool, if the pool can.
fn completed(truth: &Truth, pool: &[Vec<u8>]) -> Option<Transaction> {
    let spent = truth.spent();
    let mut complete = truth.transaction.clone();
    for index in 0..truth.coins.len() {
        // No signature commits to the witness or the scriptSig of another input.
        let unlocked = unlockings(&truth.coins[index], pool).find(|(script_sig, witness)| {
            let mut tried = truth.transaction.clone();
            tried.input[index].script_sig = script_sig.clone();
            tried.input[index].witness = Witness::from_slice(witness);
            verdicts_of(&serialize(&tried), &spent, std::iter::once(index)) == [true]
        });
        let (script_sig, witness) = unlocked?;
        complete.input[index].script_sig = script_sig;
        complete.input[index].witness = Witness::from_slice(&witness);
    }
    let whole = verdicts_of(&serialize(&complete), &spent, 0..spent.len());
    assert!(whole.iter().all(|unlocked| *unlocked), "each input alone, but not together");
    Some(complete)
}

/// Every scriptSig and witness that a signature of the pool makes for a coin.
fn unlockings(coin: &Coin, pool: &[Vec<u8>]) -> impl Iterator<Item = (ScriptBuf, Vec<Vec<u8>>)> {
    let key = public(&secret(coin.key)).to_bytes();
    let nested = script(&secret(coin.key), Form::P2wpkh);
    let push = |bytes: &[u8]| PushBytesBuf::try_from(bytes.to_vec()).unwrap();
    let lock = coin.lock;
    let kinds = [None, Some(1), Some(2), Some(3), Some(0x81), Some(0x82), Some(0x83)];
    pool.iter().flat_map(move |signature| kinds.map(|kind| (signature, kind))).filter_map(
        move |(signature, kind)| {
            let typed: Vec<u8> = signature.iter().copied().chain(kind).collect();
            match lock {
                Lock::P2tr => (signature.len() == 64).then(|| (ScriptBuf::new(), vec![typed])),
                // ECDSA signatures always have the byte.
                _ if kind.is_none() || signature.len() == 64 => None,
                Lock::P2wpkh => Some((ScriptBuf::new(), vec![typed, key.clone()])),
                Lock::P2shP2wpkh => {
                    let script_sig = Builder::new().push_slice(push(nested.as_bytes())).into_script();
                    Some((script_sig, vec![typed, key.clone()]))
                }
                Lock::P2pkh => {
                    let script_sig = Builder::new().push_slice(push(&typed)).push_slice(push(&key));
                    Some((script_sig.into_script(), Vec::new()))
                }
            }
        },
    )
}

/// Whether the pool of these PSBTs' signatures completes the transaction; and if it does, that one of
/// the sweeps has said what it does.
fn nothing_unseen_is_signed(truth: &Truth, psbts: &[Lies]) -> Result<bool, TestCaseError> {
    let sweeps: Vec<(Sweep, Vec<usize>)> = psbts.iter().filter_map(|psbt| psbt.sweep(truth)).collect();
    let Some(complete) = completed(truth, &pooled(&sweeps)) else { return Ok(false) };
    let given: u64 = truth.coins.iter().map(|coin| coin.amount).sum();
    let mut sources = BTreeMap::<usize, u128>::new();
    for coin in &truth.coins {
        *sources.entry(coin.key).or_default() += u128::from(coin.amount);
    }
    let transfers: Vec<u128> = complete.output.iter().map(|output| output.value.to_sat().into()).collect();
    let fees: Vec<u64> = sweeps.iter().map(|(sweep, _)| sweep.fee()).collect();
    let seen = sweeps.iter().any(|(sweep, keys)| {
        let summary = sweep.summary();
        let checked: BTreeMap<usize, u128> =
            summary.sources.iter().map(|source| (keys[source.key], source.amount.get())).collect();
        let paid: Vec<u128> = summary.transfers.iter().map(|transfer| transfer.amount.get()).collect();
        sweep.fee() == given - truth.paid() && checked == sources && paid == transfers
    });
    prop_assert!(seen, "complete with a fee of {} satoshis, checked: {fees:?}", given - truth.paid());
    Ok(true)
}

fn lock() -> impl Strategy<Value = Lock> {
    prop_oneof![
        8 => Just(Lock::P2wpkh),
        6 => Just(Lock::P2tr),
        1 => Just(Lock::P2pkh),
        1 => Just(Lock::P2shP2wpkh),
    ]
}

fn claimed() -> impl Strategy<Value = Claimed> {
    prop_oneof![
        2 => Just(Claimed::True),
        2 => prop::sample::select(vec![0, 1, 293, 330, 1000]).prop_map(Claimed::Is),
        1 => prop::sample::select(vec![-1000, -1, 1, 1000]).prop_map(Claimed::More),
        1 => (0u64..2000).prop_map(Claimed::Paid),
        1 => prop::sample::select(vec![2_100_000_000_000_000, u64::MAX]).prop_map(Claimed::Is),
    ]
}

fn proof() -> impl Strategy<Value = Proof> {
    use Proof::{Beside, ForgedBeside, ForgedInside, Inside, None};
    prop::sample::select(vec![None, Inside, Beside, ForgedInside, ForgedBeside])
}

prop_compose! {
    fn claim()(
        // Most lies that a signer might believe have no proof beside them.
        (lock, proof) in prop_oneof![
            (lock().prop_map(Some), Just(Proof::None)),
            (prop::option::of(lock()), proof()),
        ],
        key in prop::option::weighted(0.1, 0usize..4),
        amount in claimed(),
        witness_utxo in prop::bool::weighted(0.9),
        sighash in prop::option::weighted(0.1, prop::sample::select(vec![0, 1, 2, 3, 0x81, 0x83])),
    ) -> Claim {
        Claim { lock, key, amount, proof, witness_utxo, sighash }
    }
}

prop_compose! {
    /// True for some inputs, the lie for the others; or anything for each.
    fn psbt(count: usize, lie: Claim)(
        version in prop::sample::select(vec![0u32, 2]),
        honest in prop::collection::vec(any::<bool>(), count),
        beside in any::<bool>(),
        each in prop::option::weighted(0.2, prop::collection::vec(claim(), count)),
    ) -> Lies {
        let truth = Claim { proof: if beside { Proof::Beside } else { Proof::Inside }, ..Claim::TRUE };
        let either = honest.iter().map(|honest| if *honest { truth } else { lie }).collect();
        Lies { version, claims: each.unwrap_or(either) }
    }
}

prop_compose! {
    /// Half the time all of one lock: what completes a transaction then is all of one scheme.
    fn coins()(
        coins in prop::collection::vec((0usize..4, lock(), 3_000u64..5_000_000), 1..5),
        all in prop::option::of(lock()),
    ) -> Vec<Coin> {
        let coin = |(key, lock, amount)| Coin { key, lock: all.unwrap_or(lock), amount };
        coins.into_iter().map(coin).collect()
    }
}

prop_compose! {
    /// Coins, and outputs that pay what one of the coins has, or all of them.
    fn truth()(
        coins in coins(),
        one in any::<bool>(),
        fee in 0u64..2_000,
        parts in prop_oneof![3 => Just(1u64), 1 => 2u64..4],
        shared in any::<bool>(),
    ) -> Truth {
        let amounts = coins.iter().map(|coin| coin.amount);
        let given = if one { amounts.min().unwrap() } else { amounts.sum() };
        let each = (given - fee) / parts;
        Truth::new(&coins, &vec![each; usize::try_from(parts).unwrap()], shared)
    }
}

prop_compose! {
    /// PSBTs that share a lie, each for other inputs: so that their signatures fit together.
    fn attack()(truth in truth(), lie in claim())(
        psbts in prop::collection::vec(psbt(truth.coins.len(), lie), 1..7),
        truth in Just(truth),
    ) -> (Truth, Vec<Lies>) {
        (truth, psbts)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn whatever_psbts_claim_their_signatures_complete_nothing_that_was_not_checked((truth, psbts) in attack()) {
        nothing_unseen_is_signed(&truth, &psbts)?;
    }
}

const fn coin(key: usize, lock: Lock, amount: u64) -> Coin {
    Coin { key, lock, amount }
}

/// Each true for one input, and every other input claimed as P2TR of the same key.
fn one_by_one(truth: &Truth, amount: u64, proof: Proof) -> Vec<Lies> {
    let lies = |honest: usize| {
        let claim =
            |index| if index == honest { Claim { proof, ..Claim::TRUE } } else { Claim::taproot(amount) };
        Lies { version: 0, claims: (0..truth.coins.len()).map(claim).collect() }
    };
    (0..truth.coins.len()).map(lies).collect()
}

#[test]
fn psbts_that_are_each_true_for_one_input_do_not_hide_a_fee() {
    let two = Truth::new(&[coin(0, Lock::P2wpkh, 5_000_000_000); 2], &[4_999_999_000], true);
    // 120 bitcoins, of which 80 would be fee.
    let three = [0, 1, 2].map(|key| coin(key, Lock::P2wpkh, 4_000_000_000));
    let three = Truth::new(&three, &[3_999_000_000], false);
    for truth in [two, three] {
        for amount in [0, 1, 330] {
            for proof in [Proof::Inside, Proof::Beside] {
                let psbts = one_by_one(&truth, amount, proof);
                assert!(!nothing_unseen_is_signed(&truth, &psbts).unwrap());
            }
        }
    }
}

#[test]
fn an_honest_psbt_is_complete_by_its_own_signatures() {
    let mixed = [coin(0, Lock::P2wpkh, 50_000), coin(1, Lock::P2tr, 70_000), coin(0, Lock::P2tr, 9_000)];
    let taproot = [coin(0, Lock::P2tr, 50_000), coin(1, Lock::P2tr, 70_000)];
    for shared in [true, false] {
        for (coins, proofs) in [
            (&mixed[..], &[Proof::Inside, Proof::Beside][..]),
            (&taproot, &[Proof::Inside, Proof::Beside, Proof::None]),
        ] {
            let truth = Truth::new(coins, &[30_000, 20_000], shared);
            for (version, proof) in
                [0, 2].into_iter().flat_map(|version| proofs.iter().map(move |proof| (version, *proof)))
            {
                let claims = vec![Claim { proof, ..Claim::TRUE }; coins.len()];
                assert!(nothing_unseen_is_signed(&truth, &[Lies { version, claims }]).unwrap(), "{proof:?}");
            }
        }
    }
}
