//! A transaction that matched the template: what it does, what is signed, how large it gets, and
//! how it looks with its signatures.

use k256::{
    ecdsa::{self, RecoveryId},
    elliptic_curve::scalar::IsHigh,
    schnorr,
};

use super::{
    BitcoinNetwork,
    address::{key_hash, output_key},
    codec::{put_bytes, put_compact_size},
    raw::{RawTransaction, TxIn, TxOut, txid_text},
    script::{Script, describe},
    sighash::{ALL, DEFAULT, Sighashes},
};
use crate::{
    Amount, Anchor, Count, Outpoint, PublicKey, Refused, Signed, SigningInput, Source, Spends, Summary,
    ToSign, Transfer,
};

/// The asset of every amount here.
const NATIVE: &str = "native";

/// The witness of a P2WPKH input at its largest: two items, a signature in DER with low s of 71
/// bytes and its sighash type, a compressed key.
const P2WPKH_WITNESS: usize = 1 + 1 + 71 + 1 + 1 + 33;

/// The witness of a P2TR input: one item, a signature of 64 bytes; SIGHASH_ALL has a byte more.
const P2TR_WITNESS: usize = 1 + 1 + 64;

/// A sweep: every input belongs to a key of the request, every output pays an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    network: BitcoinNetwork,
    transaction: RawTransaction,
    spends: Vec<Spend>,
    payments: Vec<Payment>,
    fee: u64,
}

/// An input of one of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spend {
    /// The position of the key among the request's.
    pub(super) key: usize,
    pub(super) public: k256::PublicKey,
    pub(super) spent: TxOut,
    pub(super) unlock: Unlock,
    /// Whether the transaction that it spends from was there.
    pub(super) proven: bool,
}

/// The output that an input spends, as the signer takes it to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The position of its key among the request's.
    pub key: usize,
    /// The txid, as people write it, and the index.
    pub outpoint: String,
    /// Its own address, which is one of the two that its key has.
    pub address: String,
    /// Satoshis.
    pub amount: u64,
    /// Whether its transaction shows this; otherwise it is a claim of the PSBT, to which every
    /// signature commits.
    pub proven: bool,
}

/// What it takes to spend an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unlock {
    /// ECDSA of BIP-143, and the key.
    P2wpkh { key_hash: [u8; 20] },
    /// BIP-340 by the output key, of BIP-341 with this hash type.
    P2tr { output_key: [u8; 32], hash_type: u8 },
}

/// An output, whose script has an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Payment {
    pub(super) script: Script,
    pub(super) amount: u64,
}

impl Sweep {
    pub(super) const fn new(
        network: BitcoinNetwork,
        transaction: RawTransaction,
        spends: Vec<Spend>,
        payments: Vec<Payment>,
        fee: u64,
    ) -> Self {
        Self { network, transaction, spends, payments, fee }
    }

    /// The network that the addresses are of.
    pub const fn network(&self) -> BitcoinNetwork {
        self.network
    }

    /// What the miner takes, in satoshis.
    pub const fn fee(&self) -> u64 {
        self.fee
    }

    /// The txid, as people write it; [`Self::assemble`] does not change it.
    pub fn txid(&self) -> String {
        txid_text(&self.transaction.txid())
    }

    pub(super) fn payments(&self) -> &[Payment] {
        &self.payments
    }

    /// What the inputs spend, in their order.
    pub fn spent(&self) -> Vec<Spent> {
        let inputs = self.transaction.inputs.iter().zip(&self.spends);
        let spent = |(input, spend): (&TxIn, &Spend)| Spent {
            key: spend.key,
            outpoint: input.previous.to_string(),
            address: describe(&spend.spent.script, self.network),
            amount: spend.spent.amount,
            proven: spend.proven,
        };
        inputs.map(spent).collect()
    }

    /// The signed transaction's size in virtual bytes (BIP-141), at most: a P2WPKH signature may
    /// come out a byte or, rarely, a few bytes shorter, a quarter of a virtual byte each.
    pub fn vsize(&self) -> u64 {
        let witnesses = self.spends.iter().map(|spend| match spend.unlock {
            Unlock::P2wpkh { .. } => P2WPKH_WITNESS,
            Unlock::P2tr { hash_type: DEFAULT, .. } => P2TR_WITNESS,
            Unlock::P2tr { .. } => P2TR_WITNESS.saturating_add(1),
        });
        // Marker and flag count as witness.
        let witness = witnesses.fold(2usize, usize::saturating_add);
        let weight = self.transaction.stripped_size().saturating_mul(4).saturating_add(witness);
        weight.div_ceil(4) as u64
    }

    /// What the signer sees. Transfers are the outputs in their order, sources the keys in theirs,
    /// each with the sum of its inputs.
    pub fn summary(&self) -> Summary {
        let transfer = |payment: &Payment| Transfer {
            asset: NATIVE.into(),
            amount: payment.amount.into(),
            destination: payment.script.address(self.network),
        };
        let source = |(key, amount)| Source { key, asset: NATIVE.into(), amount };
        Summary {
            kind: "bitcoin.sweep",
            network: format!("bitcoin:{}", self.network),
            transfers: self.payments.iter().map(transfer).collect(),
            sources: self.amounts().into_iter().map(source).collect(),
            fee: self.fee.into(),
        }
    }

    /// The outputs that it uses up.
    pub fn spends(&self) -> Spends {
        Spends::Outpoints(
            self.transaction.inputs.iter().map(|input| Outpoint::from(input.previous)).collect(),
        )
    }

    /// Whether it moves nothing and only uses up its inputs: all of one key, all to that key again.
    pub fn is_void(&self) -> bool {
        let ([Payment { script, .. }], Some(first)) = (self.payments.as_slice(), self.spends.first()) else {
            return false;
        };
        let own = match script {
            Script::P2wpkh(hash) => *hash == key_hash(&first.public),
            Script::P2tr(key) => output_key(&first.public).is_ok_and(|own| own == *key),
            Script::P2pkh(_) | Script::P2sh(_) | Script::P2wsh(_) => false,
        };
        own && self.spends.iter().all(|spend| spend.key == first.key)
    }

    /// What the outputs pay together.
    pub(super) fn paid(&self) -> Amount {
        // The sum of all was checked.
        self.payments.iter().fold(0u64, |sum, payment| sum.saturating_add(payment.amount)).into()
    }

    /// What leaves by each input, fee included: an output is spent once.
    pub(super) fn moved(&self) -> Vec<Count> {
        let count = |(spend, anchor): (&Spend, Anchor)| Count {
            key: spend.key,
            amount: spend.spent.amount.into(),
            anchors: vec![anchor],
        };
        self.spends.iter().zip(self.anchors()).map(count).collect()
    }

    /// One for each input, in their order.
    pub(super) fn anchors(&self) -> Vec<Anchor> {
        let anchor = |input: &TxIn| Anchor::from_name(&format!("bitcoin/{}", input.previous));
        self.transaction.inputs.iter().map(anchor).collect()
    }

    /// What leaves each key, fee included.
    fn amounts(&self) -> Vec<(usize, Amount)> {
        let mut sums = std::collections::BTreeMap::<usize, u64>::new();
        for spend in &self.spends {
            let sum = sums.entry(spend.key).or_default();
            // The sum of all was checked.
            *sum = sum.saturating_add(spend.spent.amount);
        }
        sums.into_iter().map(|(key, sum)| (key, sum.into())).collect()
    }

    /// What is signed: one for each input, in the inputs' order.
    pub fn signing_inputs(&self) -> Vec<SigningInput> {
        let sighashes = Sighashes::new(&self.transaction, self.spends.iter().map(|spend| &spend.spent));
        let inputs = self.transaction.inputs.iter().zip(&self.spends);
        (0u32..)
            .zip(inputs)
            .map(|(index, (input, spend))| {
                let message = match spend.unlock {
                    Unlock::P2wpkh { key_hash } => {
                        ToSign::Ecdsa(sighashes.p2wpkh(input, spend.spent.amount, key_hash))
                    }
                    Unlock::P2tr { hash_type, .. } => {
                        ToSign::TaprootKeySpend(sighashes.p2tr(index, hash_type))
                    }
                };
                SigningInput { key: spend.key, message }
            })
            .collect()
    }

    /// The signed transaction, from one signature for each of [`Self::signing_inputs`]: 65 bytes
    /// r ‖ s ‖ recovery id for ECDSA, 64 bytes for BIP-340. Each is verified, against the key or
    /// the key's output key; nothing comes out otherwise.
    ///
    /// # Errors
    /// [`Refused`] with the tag `transaction.bitcoin.signature`.
    pub fn assemble(&self, signatures: &[Vec<u8>]) -> Result<Signed, Refused> {
        if signatures.len() != self.spends.len() {
            let allowed = format!("{} signatures", self.spends.len());
            return Err(Refused::new(TAG, allowed, signatures.len().to_string()));
        }
        let mut witnesses = Vec::new();
        for (index, ((spend, input), signature)) in
            self.spends.iter().zip(self.signing_inputs()).zip(signatures).enumerate()
        {
            let verified = match (&spend.unlock, input.message) {
                (Unlock::P2wpkh { .. }, ToSign::Ecdsa(digest)) => {
                    verified_ecdsa(&spend.public, &digest, signature)
                        .map(|signature| vec![signature, PublicKey::Secp256k1(spend.public).to_bytes()])
                }
                (Unlock::P2tr { output_key, hash_type }, ToSign::TaprootKeySpend(digest)) => {
                    verified_schnorr(output_key, &digest, signature, *hash_type)
                        .map(|signature| vec![signature])
                }
                _ => None,
            };
            let Some(items) = verified else {
                let allowed = format!("the signature of key {} for input {index}", spend.key);
                return Err(Refused::new(TAG, allowed, "one that does not verify"));
            };
            put_compact_size(&mut witnesses, items.len());
            for item in items {
                put_bytes(&mut witnesses, &item);
            }
        }
        let signed = RawTransaction { witnesses, ..self.transaction.clone() };
        Ok(Signed { bytes: signed.to_bytes(), id: txid_text(&signed.txid()) })
    }
}

const TAG: &str = "transaction.bitcoin.signature";

/// DER with the sighash type behind it, if the signature is the key's, with a low s (BIP-146).
fn verified_ecdsa(key: &k256::PublicKey, digest: &[u8; 32], signature: &[u8]) -> Option<Vec<u8>> {
    let (recovery, both) = signature.split_last()?;
    // From 2 on, r would have been reduced.
    let recovery = (*recovery < 2).then(|| RecoveryId::from_byte(*recovery))??;
    let signature = ecdsa::Signature::from_slice(both).ok()?;
    if bool::from(signature.s().is_high()) {
        return None;
    }
    // Recovery verifies the signature with the key that it finds.
    let found = ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, recovery).ok()?;
    if found != ecdsa::VerifyingKey::from(key) {
        return None;
    }
    let mut der = signature.to_der().as_bytes().to_vec();
    der.push(ALL);
    Some(der)
}

/// The signature, with the hash type behind it unless that is the default, if it is the output
/// key's.
fn verified_schnorr(
    output_key: &[u8; 32],
    digest: &[u8; 32],
    bytes: &[u8],
    hash_type: u8,
) -> Option<Vec<u8>> {
    let signature = schnorr::Signature::from_slice(bytes).ok()?;
    let key = schnorr::VerifyingKey::from_slice(output_key).ok()?;
    key.verify_raw(digest, &signature).ok()?;
    let mut witness = bytes.to_vec();
    if hash_type != DEFAULT {
        witness.push(hash_type);
    }
    Some(witness)
}
