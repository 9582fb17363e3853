//! Coins and a transaction that spends them, and PSBTs of it that say what is not so.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness, absolute::LockTime,
    consensus::encode::serialize, hashes::Hash, transaction::Version,
};
use cofferdam_chains::{BitcoinNetwork, PublicKey, bitcoin::Sweep};
use k256::SecretKey;
use sha2::{Digest, Sha256};

use crate::{
    previous::stripped,
    support::{Form, Maps, collection, pair, public, script, secret},
};

/// How a coin is locked. The last two are never swept, but one may have been paid to such a script
/// of a key all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    P2wpkh,
    P2tr,
    P2pkh,
    P2shP2wpkh,
}

impl Lock {
    pub(crate) fn script(self, key: &SecretKey) -> ScriptBuf {
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
pub(crate) struct Coin {
    pub(crate) key: usize,
    pub(crate) lock: Lock,
    pub(crate) amount: u64,
}

/// What there is: coins, and one transaction that spends them all.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) coins: Vec<Coin>,
    pub(crate) previous: Vec<Transaction>,
    pub(crate) transaction: Transaction,
}

impl Truth {
    /// Pays these amounts. Where `shared`, one transaction paid all coins.
    pub(crate) fn new(coins: &[Coin], paid: &[u64], shared: bool) -> Self {
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

    pub(crate) fn paid(&self) -> u64 {
        self.transaction.output.iter().map(|output| output.value.to_sat()).sum()
    }

    pub(crate) fn spent(&self) -> Vec<TxOut> {
        self.coins.iter().map(|coin| output(coin.amount, coin.lock.script(&secret(coin.key)))).collect()
    }
}

pub(crate) fn output(amount: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut { value: Amount::from_sat(amount), script_pubkey }
}

pub(crate) fn payout(number: usize, output: Vec<TxOut>) -> Transaction {
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
pub(crate) enum Proof {
    None,
    Inside,
    Beside,
    ForgedInside,
    ForgedBeside,
}

/// What an amount is claimed to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Claimed {
    True,
    Is(u64),
    More(i64),
    /// What the outputs pay, and this.
    Paid(u64),
}

/// What a PSBT says of an input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    /// The true lock and key, unless another is claimed.
    pub(crate) lock: Option<Lock>,
    pub(crate) key: Option<usize>,
    pub(crate) amount: Claimed,
    pub(crate) proof: Proof,
    pub(crate) witness_utxo: bool,
    pub(crate) sighash: Option<u32>,
}

impl Claim {
    pub(crate) const TRUE: Self = Self {
        lock: None,
        key: None,
        amount: Claimed::True,
        proof: Proof::Inside,
        witness_utxo: true,
        sighash: None,
    };

    /// P2TR of the same key, with so many satoshis, and no proof.
    pub(crate) const fn taproot(amount: u64) -> Self {
        let amount = Claimed::Is(amount);
        Self { lock: Some(Lock::P2tr), amount, proof: Proof::None, ..Self::TRUE }
    }
}

/// A PSBT of the transaction: its version, and a claim for each input.
#[derive(Debug, Clone)]
pub(crate) struct Lies {
    pub(crate) version: u32,
    pub(crate) claims: Vec<Claim>,
}

impl Lies {
    /// The sweep that the PSBT is taken for, if it is for one, and the keys of the request.
    pub(crate) fn sweep(&self, truth: &Truth) -> Option<(Sweep, Vec<usize>)> {
        let (psbt, beside, keys) = self.written(truth);
        let public: Vec<PublicKey> = keys.iter().map(|key| public(&secret(*key))).collect();
        let transaction = read(&psbt, &beside)?;
        Some((transaction.sweep(&public, BitcoinNetwork::Regtest).ok()?, keys))
    }

    pub(crate) fn written(&self, truth: &Truth) -> (Vec<u8>, Vec<Vec<u8>>, Vec<usize>) {
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

pub(crate) fn read(psbt: &[u8], beside: &[Vec<u8>]) -> Option<cofferdam_chains::bitcoin::Transaction> {
    crate::support::read(psbt).ok()?.with_previous(beside).ok()
}
