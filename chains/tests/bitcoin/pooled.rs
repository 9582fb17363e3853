//! Whoever may ask for signatures and lies about what is spent: any number of PSBTs of one
//! transaction, each with claims of its own, every signature that comes out pooled, and every one of
//! them tried for every input in every form. Bitcoin Core's script verification decides under the
//! coins as they are. If a complete transaction comes out, its fee and its amounts are those of a
//! sweep that was checked.

use std::collections::BTreeMap;

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
    absolute::LockTime,
    consensus::encode::serialize,
    hashes::Hash,
    script::{Builder, PushBytesBuf},
    transaction::Version,
};
use chains::{BitcoinNetwork, PublicKey, ToSign, bitcoin::Sweep};
use k256::SecretKey;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::{
    consensus::verdicts_of,
    previous::stripped,
    support::{Form, Maps, collection, pair, public, script, secret, sign_one},
};

/// How a coin is locked. The last two are never swept, but one may have been paid to such a script
/// of a key all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    P2wpkh,
    P2tr,
    P2pkh,
    P2shP2wpkh,
}

impl Lock {
    fn script(self, key: &SecretKey) -> ScriptBuf {
        let whole = bitcoin::PublicKey::from_slice(&public(key).to_bytes()).unwrap();
        match self {
            Self::P2wpkh => script(key, Form::P2wpkh),
            Self::P2tr => script(key, Form::P2tr),
            Self::P2pkh => ScriptBuf::new_p2pkh(&whole.pubkey_hash()),
            Self::P2shP2wpkh => ScriptBuf::new_p2sh(&script(key, Form::P2wpkh).script_hash()),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Coin {
    key: usize,
    lock: Lock,
    amount: u64,
}

/// What there is: coins, and one transaction that spends them all.
#[derive(Debug, Clone)]
struct Truth {
    coins: Vec<Coin>,
    previous: Vec<Transaction>,
    transaction: Transaction,
}

impl Truth {
    /// Pays these amounts. Where `shared`, one transaction paid all coins.
    fn new(coins: &[Coin], paid: &[u64], shared: bool) -> Self {
        let outputs: Vec<TxOut> =
            coins.iter().map(|coin| output(coin.amount, coin.lock.script(&secret(coin.key)))).collect();
        let previous: Vec<Transaction> = (0..coins.len())
            .map(|index| match shared {
                true => payout(0, outputs.clone()),
                // The coin's place is its own number either way.
                false => payout(index, vec![outputs[index].clone(); coins.len()]),
            })
            .collect();
        let inputs = (0..).zip(&previous).map(|(index, previous)| TxIn {
            previous_output: OutPoint::new(previous.compute_txid(), index),
            sequence: Sequence(0xffff_fffd),
            ..TxIn::default()
        });
        let form = [Form::P2wpkh, Form::P2tr];
        let paid = paid.iter().enumerate().map(|(index, amount)| match index {
            0 => output(*amount, collection()),
            _ => output(*amount, script(&secret(2000 + index), form[index % 2])),
        });
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs.collect(),
            output: paid.collect(),
        };
        Self { coins: coins.to_vec(), previous, transaction }
    }

    fn paid(&self) -> u64 {
        self.transaction.output.iter().map(|output| output.value.to_sat()).sum()
    }

    fn spent(&self) -> Vec<TxOut> {
        self.coins.iter().map(|coin| output(coin.amount, coin.lock.script(&secret(coin.key)))).collect()
    }
}

fn output(amount: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(amount), script_pubkey }
}

fn payout(number: usize, output: Vec<TxOut>) -> Transaction {
    let txid = Txid::from_byte_array(Sha256::digest(format!("payout {number}")).into());
    let input = TxIn {
        previous_output: OutPoint::new(txid, 7),
        script_sig: ScriptBuf::from(vec![1, 2, 3]),
        sequence: Sequence::MAX,
        witness: Witness::from_slice(&[vec![5; 71], vec![]]),
    };
    Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: vec![input], output }
}

/// Where an input's previous transaction is given, and whether it is the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    None,
    Inside,
    Beside,
    ForgedInside,
    ForgedBeside,
}

/// What an amount is claimed to be.
#[derive(Debug, Clone, Copy)]
enum Claimed {
    True,
    Is(u64),
    More(i64),
    /// What the outputs pay, and this.
    Paid(u64),
}

/// What a PSBT says of an input.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// The true lock and key, unless another is claimed.
    lock: Option<Lock>,
    key: Option<usize>,
    amount: Claimed,
    proof: Proof,
    witness_utxo: bool,
    sighash: Option<u32>,
}

impl Claim {
    const TRUE: Self = Self {
        lock: None,
        key: None,
        amount: Claimed::True,
        proof: Proof::Inside,
        witness_utxo: true,
        sighash: None,
    };

    /// P2TR of the same key, with so many satoshis, and no proof.
    const fn taproot(amount: u64) -> Self {
        let amount = Claimed::Is(amount);
        Self { lock: Some(Lock::P2tr), amount, proof: Proof::None, ..Self::TRUE }
    }
}

/// A PSBT of the transaction: its version, and a claim for each input.
#[derive(Debug, Clone)]
struct Lies {
    version: u32,
    claims: Vec<Claim>,
}

impl Lies {
    /// The sweep that the PSBT is taken for, if it is for one, and the keys of the request.
    fn sweep(&self, truth: &Truth) -> Option<(Sweep, Vec<usize>)> {
        let (psbt, beside, keys) = self.written(truth);
        let public: Vec<PublicKey> = keys.iter().map(|key| public(&secret(*key))).collect();
        let transaction = read(&psbt, &beside)?;
        Some((transaction.sweep(&public, BitcoinNetwork::Regtest).ok()?, keys))
    }

    fn written(&self, truth: &Truth) -> (Vec<u8>, Vec<Vec<u8>>, Vec<usize>) {
        let Truth { coins, previous, transaction } = truth;
        let mut maps = Maps::default();
        if self.version == 0 {
            maps.global.push(pair(0x00, &serialize(transaction)));
        } else {
            maps.global.push(pair(0x02, &transaction.version.0.to_le_bytes()));
            maps.global.push(pair(0x04, &[u8::try_from(coins.len()).unwrap()]));
            maps.global.push(pair(0x05, &[u8::try_from(transaction.output.len()).unwrap()]));
            maps.global.push(pair(0xfb, &2u32.to_le_bytes()));
        }
        let (mut beside, mut keys) = (Vec::new(), Vec::new());
        for (index, (coin, claim)) in coins.iter().zip(&self.claims).enumerate() {
            let key = claim.key.unwrap_or(coin.key);
            let amount = match claim.amount {
                Claimed::True => coin.amount,
                Claimed::Is(amount) => amount,
                Claimed::More(more) => coin.amount.saturating_add_signed(more),
                Claimed::Paid(more) => truth.paid() + more,
            };
            let claimed = output(amount, claim.lock.unwrap_or(coin.lock).script(&secret(key)));
            let mut forged = previous[index].clone();
            forged.output[index] = claimed.clone();
            let mut map = Vec::new();
            match claim.proof {
                Proof::None => {}
                Proof::Inside => map.push(pair(0x00, &serialize(&previous[index]))),
                Proof::Beside => beside.push(stripped(&previous[index])),
                Proof::ForgedInside => map.push(pair(0x00, &serialize(&forged))),
                Proof::ForgedBeside => beside.push(stripped(&forged)),
            }
            if claim.witness_utxo {
                map.push(pair(0x01, &serialize(&claimed)));
            }
            if let Some(kind) = claim.sighash {
                map.push(pair(0x03, &kind.to_le_bytes()));
            }
            let input = &transaction.input[index];
            if self.version == 2 {
                map.push(pair(0x0e, &input.previous_output.txid.to_byte_array()));
                map.push(pair(0x0f, &input.previous_output.vout.to_le_bytes()));
                map.push(pair(0x10, &input.sequence.0.to_le_bytes()));
            }
            maps.inputs.push(map);
            // Without witness_utxo the key is that of the output itself.
            let owner = if claim.witness_utxo { key } else { coin.key };
            if !keys.contains(&owner) {
                keys.push(owner);
            }
        }
        for output in &transaction.output {
            let of_version_2 = || {
                let amount = output.value.to_sat().to_le_bytes();
                vec![pair(0x03, &amount), pair(0x04, output.script_pubkey.as_bytes())]
            };
            maps.outputs.push(if self.version == 2 { of_version_2() } else { Vec::new() });
        }
        beside.sort();
        beside.dedup();
        (maps.to_bytes(), beside, keys)
    }
}

fn read(psbt: &[u8], beside: &[Vec<u8>]) -> Option<chains::bitcoin::Transaction> {
    chains::bitcoin::Transaction::parse(psbt).ok()?.with_previous(beside).ok()
}

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
