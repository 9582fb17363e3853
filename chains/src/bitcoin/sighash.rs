//! What an input's signature is of: BIP-143 (version 0, SIGHASH_ALL) and BIP-341 (key path,
//! SIGHASH_DEFAULT or SIGHASH_ALL). Every one commits to all inputs and all outputs; no other kind
//! can be made here.

use sha2::{Digest, Sha256};

use super::{
    address::tagged_hash,
    codec::put_bytes,
    raw::{RawTransaction, TxIn, TxOut, sha256d},
    script::Script,
};

/// SIGHASH_DEFAULT of BIP-341: all, and no byte in the witness that says so.
pub(super) const DEFAULT: u8 = 0x00;
/// SIGHASH_ALL.
pub(super) const ALL: u8 = 0x01;

/// The digests of one transaction.
pub(super) struct Sighashes<'a> {
    transaction: &'a RawTransaction,
    // SHA-256 once, as BIP-341 takes them; BIP-143 takes the hashes of three of them.
    previous: [u8; 32],
    amounts: [u8; 32],
    scripts: [u8; 32],
    sequences: [u8; 32],
    outputs: [u8; 32],
}

impl<'a> Sighashes<'a> {
    /// `spent` are the outputs that the inputs spend, in the inputs' order.
    pub(super) fn new<'b>(
        transaction: &'a RawTransaction,
        spent: impl Iterator<Item = &'b TxOut> + Clone,
    ) -> Self {
        let inputs = || transaction.inputs.iter();
        Self {
            previous: hash_all(inputs(), |input, out| input.previous.put(out)),
            amounts: hash_all(spent.clone(), |output, out| out.extend(output.amount.to_le_bytes())),
            scripts: hash_all(spent, |output, out| put_bytes(out, &output.script)),
            sequences: hash_all(inputs(), |input, out| out.extend(input.sequence.to_le_bytes())),
            outputs: hash_all(transaction.outputs.iter(), TxOut::put),
            transaction,
        }
    }

    /// BIP-143 of a P2WPKH input that spends `amount` of the key with this HASH160.
    pub(super) fn p2wpkh(&self, input: &TxIn, amount: u64, key_hash: [u8; 20]) -> [u8; 32] {
        let mut out = Vec::new();
        out.extend(self.transaction.version.to_le_bytes());
        out.extend(Sha256::digest(self.previous));
        out.extend(Sha256::digest(self.sequences));
        input.previous.put(&mut out);
        // The script code is that of P2PKH.
        put_bytes(&mut out, &Script::P2pkh(key_hash).to_bytes());
        out.extend(amount.to_le_bytes());
        out.extend(input.sequence.to_le_bytes());
        out.extend(Sha256::digest(self.outputs));
        out.extend(self.transaction.lock_time.to_le_bytes());
        out.extend(u32::from(ALL).to_le_bytes());
        sha256d(&out)
    }

    /// BIP-341 of the input at `index`, by its key, without an annex.
    pub(super) fn p2tr(&self, index: u32, hash_type: u8) -> [u8; 32] {
        tagged_hash(b"TapSighash")
            // The epoch.
            .chain_update([0x00])
            .chain_update([hash_type])
            .chain_update(self.transaction.version.to_le_bytes())
            .chain_update(self.transaction.lock_time.to_le_bytes())
            .chain_update(self.previous)
            .chain_update(self.amounts)
            .chain_update(self.scripts)
            .chain_update(self.sequences)
            .chain_update(self.outputs)
            // The spend type: key path, no annex.
            .chain_update([0x00])
            .chain_update(index.to_le_bytes())
            .finalize()
            .into()
    }
}

fn hash_all<T>(items: impl Iterator<Item = T>, put: impl Fn(T, &mut Vec<u8>)) -> [u8; 32] {
    let mut out = Vec::new();
    for item in items {
        put(item, &mut out);
    }
    Sha256::digest(out).into()
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use serde_json::Value;

    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_native_p2wpkh_example_of_bip_143_has_this_digest() {
        let transaction = RawTransaction::parse(&unhex(concat!(
            "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff",
            "ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb20600",
            "0000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e",
            "4dbe6a21b2d50ce2f0167faa815988ac11000000"
        )))
        .unwrap();
        let spent =
            TxOut { amount: 600_000_000, script: unhex("00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1") };
        let sighashes = Sighashes::new(&transaction, std::iter::once(&spent));
        let Some(Script::P2wpkh(key_hash)) = Script::parse(&spent.script) else {
            panic!("P2WPKH was expected")
        };
        let digest = sighashes.p2wpkh(&transaction.inputs[1], spent.amount, key_hash);
        let expected = "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670";
        assert_eq!(HEXLOWER.encode(&digest), expected);
    }

    #[test]
    fn bip_341s_wallet_vectors_have_these_digests_and_witnesses() {
        let all: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/bitcoin/bip-0341-wallet.json"))
                .unwrap();
        let mut checked = Vec::new();
        for case in all["keyPathSpending"].as_array().unwrap() {
            let transaction =
                RawTransaction::parse(&unhex(case["given"]["rawUnsignedTx"].as_str().unwrap())).unwrap();
            let spent: Vec<TxOut> = case["given"]["utxosSpent"]
                .as_array()
                .unwrap()
                .iter()
                .map(|output| TxOut {
                    amount: output["amountSats"].as_u64().unwrap(),
                    script: unhex(output["scriptPubKey"].as_str().unwrap()),
                })
                .collect();
            let sighashes = Sighashes::new(&transaction, spent.iter());
            let field = |name: &str| unhex(case["intermediary"][name].as_str().unwrap());
            assert_eq!(sighashes.amounts.as_slice(), field("hashAmounts"));
            assert_eq!(sighashes.outputs.as_slice(), field("hashOutputs"));
            assert_eq!(sighashes.previous.as_slice(), field("hashPrevouts"));
            assert_eq!(sighashes.scripts.as_slice(), field("hashScriptPubkeys"));
            assert_eq!(sighashes.sequences.as_slice(), field("hashSequences"));
            for input in case["inputSpending"].as_array().unwrap() {
                let hash_type = u8::try_from(input["given"]["hashType"].as_u64().unwrap()).unwrap();
                let index = u32::try_from(input["given"]["txinIndex"].as_u64().unwrap()).unwrap();
                if ![DEFAULT, ALL].contains(&hash_type) {
                    continue;
                }
                let digest = sighashes.p2tr(index, hash_type);
                assert_eq!(HEXLOWER.encode(&digest), input["intermediary"]["sigHash"]);
                let key = unhex(input["intermediary"]["tweakedPrivkey"].as_str().unwrap());
                let key = k256::schnorr::SigningKey::from_slice(&key).unwrap();
                let mut witness = key.sign_raw(&digest, &[0; 32]).unwrap().to_bytes().to_vec();
                if hash_type != DEFAULT {
                    witness.push(hash_type);
                }
                assert_eq!(HEXLOWER.encode(&witness), input["expected"]["witness"][0]);
                checked.push((index, hash_type));
            }
        }
        assert_eq!(checked, [(3, ALL), (4, DEFAULT)]);
    }
}
