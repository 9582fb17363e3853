//! A request as the tests make it: keys, coins, a PSBT of either version, signatures. PSBTs are
//! written here pair by pair, so that any pair can be changed, added or left out.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute::LockTime,
    consensus::encode::serialize, hashes::Hash, transaction::Version,
};
use cofferdam_chains::{
    BitcoinNetwork, PublicKey, Refused, SigningInput, ToSign,
    bitcoin::{Sweep, tap_tweak},
};
use k256::{
    Scalar, SecretKey,
    ecdsa::SigningKey,
    elliptic_curve::{PrimeField, point::AffineCoordinates},
    schnorr,
};
use sha2::{Digest, Sha256};

use crate::psbt_v2::to_version_0;

/// A key that is nobody's.
pub(crate) fn secret(counter: usize) -> SecretKey {
    SecretKey::from_slice(&Sha256::digest(format!("cofferdam bitcoin key {counter}"))).unwrap()
}

pub(crate) fn public(secret: &SecretKey) -> PublicKey {
    PublicKey::Secp256k1(secret.public_key())
}

/// Which output of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    P2wpkh,
    P2tr,
}

/// The script, as the crate `bitcoin` makes it.
pub(crate) fn script(secret: &SecretKey, form: Form) -> ScriptBuf {
    let key = bitcoin::PublicKey::from_slice(&public(secret).to_bytes()).unwrap();
    match form {
        Form::P2wpkh => ScriptBuf::new_p2wpkh(&key.wpubkey_hash().unwrap()),
        Form::P2tr => {
            let secp = bitcoin::key::Secp256k1::verification_only();
            ScriptBuf::new_p2tr(&secp, key.inner.x_only_public_key().0, None)
        }
    }
}

/// An input: the position of its key among the request's, the output's form, its satoshis.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Coin {
    pub(crate) key: usize,
    pub(crate) form: Form,
    pub(crate) amount: u64,
}

/// Everything about one sweep, to be changed before it is written.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) keys: Vec<SecretKey>,
    pub(crate) coins: Vec<Coin>,
    /// What each input spends from; the coin is the second output.
    pub(crate) previous: Vec<Transaction>,
    pub(crate) transaction: Transaction,
}

/// The script that the cases pay, a P2WPKH one.
pub(crate) fn collection() -> ScriptBuf {
    script(&secret(2000), Form::P2wpkh)
}

impl Case {
    /// Sweeps the coins to [`collection`], for a fee of 1,000 satoshis.
    pub(crate) fn new(coins: &[Coin]) -> Self {
        let count = coins.iter().map(|coin| coin.key + 1).max().unwrap_or(0);
        let keys: Vec<SecretKey> = (0..count).map(secret).collect();
        let previous: Vec<Transaction> =
            coins.iter().enumerate().map(|(index, coin)| deposit(&keys, index, *coin)).collect();
        let input = previous.iter().map(|previous| TxIn {
            previous_output: OutPoint::new(previous.compute_txid(), 1),
            script_sig: ScriptBuf::new(),
            sequence: Sequence(0xffff_fffd),
            witness: Witness::new(),
        });
        let total: u64 = coins.iter().map(|coin| coin.amount).sum();
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: input.collect(),
            output: vec![TxOut { value: Amount::from_sat(total - 1000), script_pubkey: collection() }],
        };
        Self { keys, coins: coins.to_vec(), previous, transaction }
    }

    /// P2WPKH and P2TR, three keys, one of them with two inputs.
    pub(crate) fn mixed() -> Self {
        let coin = |key, form, amount| Coin { key, form, amount };
        Self::new(&[
            coin(0, Form::P2wpkh, 50_000),
            coin(1, Form::P2tr, 70_000),
            coin(0, Form::P2tr, 90_001),
            coin(2, Form::P2wpkh, 1_234_567),
            coin(1, Form::P2wpkh, 20_000),
        ])
    }

    pub(crate) fn one(form: Form) -> Self {
        Self::new(&[Coin { key: 0, form, amount: 100_000 }])
    }

    pub(crate) fn public_keys(&self) -> Vec<PublicKey> {
        self.keys.iter().map(public).collect()
    }

    /// The outputs that the inputs spend.
    pub(crate) fn spent(&self) -> Vec<TxOut> {
        self.previous.iter().map(|previous| previous.output[1].clone()).collect()
    }

    /// The PSBT, of version 0 or 2. Where all inputs are P2TR, without previous transactions.
    pub(crate) fn psbt(&self, version: u32) -> Maps {
        let transaction = &self.transaction;
        let mut maps = Maps::default();
        if version == 0 {
            maps.global.push(pair(0x00, &serialize(transaction)));
        } else {
            maps.global.push(pair(0x02, &transaction.version.0.to_le_bytes()));
            maps.global.push(pair(0x03, &transaction.lock_time.to_consensus_u32().to_le_bytes()));
            maps.global.push(pair(0x04, &[u8::try_from(transaction.input.len()).unwrap()]));
            maps.global.push(pair(0x05, &[u8::try_from(transaction.output.len()).unwrap()]));
            maps.global.push(pair(0xfb, &2u32.to_le_bytes()));
        }
        let proven = self.coins.iter().any(|coin| coin.form == Form::P2wpkh);
        for (input, previous) in transaction.input.iter().zip(&self.previous) {
            let mut map = Vec::new();
            if proven {
                map.push(pair(0x00, &serialize(previous)));
            }
            map.push(pair(0x01, &serialize(&previous.output[1])));
            if version == 2 {
                map.push(pair(0x0e, &input.previous_output.txid.to_byte_array()));
                map.push(pair(0x0f, &input.previous_output.vout.to_le_bytes()));
                map.push(pair(0x10, &input.sequence.0.to_le_bytes()));
            }
            maps.inputs.push(map);
        }
        for output in &transaction.output {
            let mut map = Vec::new();
            if version == 2 {
                map.push(pair(0x03, &output.value.to_sat().to_le_bytes()));
                map.push(pair(0x04, output.script_pubkey.as_bytes()));
            }
            maps.outputs.push(map);
        }
        maps
    }

    /// The sweep, through the PSBT of that version.
    pub(crate) fn sweep(&self, version: u32) -> Result<Sweep, Refused> {
        self.match_bytes(&self.psbt(version).to_bytes())
    }

    /// Any PSBT, matched with this case's keys on regtest.
    pub(crate) fn match_bytes(&self, bytes: &[u8]) -> Result<Sweep, Refused> {
        read(bytes)?.sweep(&self.public_keys(), BitcoinNetwork::Regtest)
    }
}

/// Reads a PSBT; one of version 2 as the command line makes it one of version 0.
pub(crate) fn read(bytes: &[u8]) -> Result<cofferdam_chains::bitcoin::Transaction, Refused> {
    let converted = to_version_0(bytes)?;
    cofferdam_chains::bitcoin::Transaction::parse(converted.as_deref().unwrap_or(bytes))
}

/// The transaction that pays a coin, with a witness as a node would hand it out.
pub(crate) fn deposit(keys: &[SecretKey], index: usize, coin: Coin) -> Transaction {
    let txid = Txid::from_byte_array(Sha256::digest(format!("coin {index} {}", coin.amount)).into());
    let change = TxOut { value: Amount::from_sat(123_456), script_pubkey: ScriptBuf::from(vec![0x51]) };
    let paid =
        TxOut { value: Amount::from_sat(coin.amount), script_pubkey: script(&keys[coin.key], coin.form) };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(txid, 7),
            script_sig: ScriptBuf::from(vec![1, 2, 3]),
            sequence: Sequence::MAX,
            witness: Witness::from_slice(&[vec![5; 71], vec![]]),
        }],
        output: vec![change, paid],
    }
}

/// The key and the value of one pair.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// A pair whose key is its type alone.
pub(crate) fn pair(kind: u8, value: &[u8]) -> Pair {
    (vec![kind], value.to_vec())
}

/// The maps of a PSBT, in the order in which they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maps {
    pub(crate) global: Vec<Pair>,
    pub(crate) inputs: Vec<Vec<Pair>>,
    pub(crate) outputs: Vec<Vec<Pair>>,
}

impl Maps {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"psbt\xff".to_vec();
        for map in std::iter::once(&self.global).chain(&self.inputs).chain(&self.outputs) {
            for (key, value) in map {
                // A byte vector of the crate `bitcoin` is written with its compact size.
                out.extend(serialize(key));
                out.extend(serialize(value));
            }
            out.push(0);
        }
        out
    }

    /// Replaces the value of the pair of this type in a map.
    pub(crate) fn set(map: &mut Vec<Pair>, kind: u8, value: &[u8]) {
        map.retain(|(key, _)| key != &[kind]);
        map.push(pair(kind, value));
    }

    /// Takes the pair of this type out of a map.
    pub(crate) fn remove(map: &mut Vec<Pair>, kind: u8) {
        map.retain(|(key, _)| key != &[kind]);
    }
}

/// Signs as the enclave is to: RFC 6979 with low s, r ‖ s ‖ recovery id; BIP-340 by the key tweaked
/// as BIP-86 says.
pub(crate) fn sign(keys: &[SecretKey], inputs: &[SigningInput]) -> Vec<Vec<u8>> {
    inputs.iter().map(|input| sign_one(&keys[input.key], &input.message)).collect()
}

pub(crate) fn sign_one(key: &SecretKey, message: &ToSign) -> Vec<u8> {
    match message {
        ToSign::Ecdsa(digest) => {
            let (signature, recovery) = SigningKey::from(key).sign_prehash_recoverable(digest);
            let mut bytes = signature.to_bytes().to_vec();
            bytes.push(recovery.to_byte());
            bytes
        }
        ToSign::TaprootKeySpend(digest) => {
            let signature = tweaked(key).sign_raw(digest, &[0; 32]).unwrap();
            signature.to_bytes().to_vec()
        }
        ToSign::Ed25519(_) => unreachable!("Bitcoin has no Ed25519"),
    }
}

/// The key of the P2TR output.
pub(crate) fn tweaked(key: &SecretKey) -> schnorr::SigningKey {
    let public = key.public_key();
    let scalar: Scalar = *key.to_nonzero_scalar();
    let even = if bool::from(public.as_affine().y_is_odd()) { -scalar } else { scalar };
    let tweak = Scalar::from_repr(tap_tweak(&public).into()).unwrap();
    schnorr::SigningKey::from_bytes(&(even + tweak).to_bytes()).unwrap()
}

/// The tag, after checking that the unchanged case is a sweep.
pub(crate) fn tag(case: &Case, maps: &Maps) -> &'static str {
    Case::mixed().sweep(0).unwrap();
    case.match_bytes(&maps.to_bytes()).unwrap_err().tag
}

/// The tag for a change of the PSBT, which must be the same for both versions.
pub(crate) fn tag_of(change: impl Fn(&mut Maps)) -> &'static str {
    let tags = [0, 2].map(|version| {
        let case = Case::mixed();
        let mut maps = case.psbt(version);
        change(&mut maps);
        tag(&case, &maps)
    });
    assert_eq!(tags[0], tags[1]);
    tags[0]
}

/// The tag for a change of the transaction, which must be the same for both versions.
pub(crate) fn tag_of_case(change: impl Fn(&mut Case)) -> &'static str {
    let mut case = Case::mixed();
    change(&mut case);
    let tags = [0, 2].map(|version| tag(&case, &case.psbt(version)));
    assert_eq!(tags[0], tags[1]);
    tags[0]
}

/// Inputs 0, 3 and 4 of the mixed case are P2WPKH, 1 and 2 are P2TR.
pub(crate) const P2WPKH: usize = 0;
pub(crate) const P2TR: usize = 1;
