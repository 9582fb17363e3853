//! Bitcoin Core's script verification (libbitcoinconsensus) takes every input of what comes out.

use bitcoin::{TxOut, consensus::encode::deserialize};
use bitcoinconsensus::{Utxo, VERIFY_ALL_PRE_TAPROOT, VERIFY_TAPROOT, verify_with_flags};

use crate::support::{Case, Coin, Form, Maps, sign, sign_one, tweaked};

/// Whether Bitcoin Core lets each of these inputs of the transaction spend its output.
pub(crate) fn verdicts_of(
    transaction: &[u8],
    spent: &[TxOut],
    inputs: impl Iterator<Item = usize>,
) -> Vec<bool> {
    let scripts: Vec<Vec<u8>> = spent.iter().map(|output| output.script_pubkey.to_bytes()).collect();
    let utxos: Vec<Utxo> = spent
        .iter()
        .zip(&scripts)
        .map(|(output, script)| Utxo {
            script_pubkey: script.as_ptr(),
            script_pubkey_len: u32::try_from(script.len()).unwrap(),
            value: i64::try_from(output.value.to_sat()).unwrap(),
        })
        .collect();
    let flags = VERIFY_ALL_PRE_TAPROOT | VERIFY_TAPROOT;
    inputs
        .map(|index| {
            let amount = spent[index].value.to_sat();
            verify_with_flags(&scripts[index], amount, transaction, Some(&utxos), index, flags).is_ok()
        })
        .collect()
}

/// Whether Bitcoin Core lets each input of the transaction spend its output.
fn verdicts(transaction: &[u8], spent: &[TxOut]) -> Vec<bool> {
    verdicts_of(transaction, spent, 0..spent.len())
}

fn assembled(case: &Case, version: u32) -> Vec<u8> {
    let sweep = case.sweep(version).unwrap();
    let signed = sweep.assemble(&sign(&case.keys, &sweep.signing_inputs())).unwrap();
    let transaction: bitcoin::Transaction = deserialize(&signed.bytes).unwrap();
    assert_eq!(transaction.compute_txid().to_string(), signed.id);
    assert_eq!(signed.id, sweep.txid());
    // Two witness bytes are half a virtual byte: DER drops leading zeroes only.
    let actual = transaction.vsize() as u64;
    assert!(actual <= sweep.vsize() && sweep.vsize() - actual <= case.coins.len() as u64);
    signed.bytes
}

#[test]
fn bitcoin_core_verifies_a_sweep_of_p2wpkh_and_p2tr_by_three_keys() {
    let case = Case::mixed();
    for version in [0, 2] {
        let transaction = assembled(&case, version);
        assert_eq!(verdicts(&transaction, &case.spent()), [true; 5]);
    }
}

#[test]
fn bitcoin_core_verifies_taproot_signatures_with_sighash_all() {
    let case = Case::mixed();
    let mut maps = case.psbt(0);
    for input in &mut maps.inputs {
        Maps::set(input, 0x03, &1u32.to_le_bytes());
    }
    let sweep = case.match_bytes(&maps.to_bytes()).unwrap();
    let signed = sweep.assemble(&sign(&case.keys, &sweep.signing_inputs())).unwrap();
    assert_eq!(verdicts(&signed.bytes, &case.spent()), [true; 5]);
    let transaction: bitcoin::Transaction = deserialize(&signed.bytes).unwrap();
    assert_eq!(transaction.input[1].witness[0].len(), 65);
    assert!(transaction.vsize() as u64 <= sweep.vsize());
}

#[test]
fn bitcoin_core_verifies_a_sweep_of_a_hundred_keys() {
    let coins: Vec<Coin> = (0..100)
        .map(|key| Coin {
            key,
            form: if key % 3 == 0 { Form::P2tr } else { Form::P2wpkh },
            amount: 10_000 + key as u64,
        })
        .collect();
    let case = Case::new(&coins);
    for version in [0, 2] {
        let transaction = assembled(&case, version);
        assert_eq!(verdicts(&transaction, &case.spent()), [true; 100]);
    }
}

#[test]
fn bitcoin_core_refuses_what_the_template_lets_nobody_complete() {
    // All are P2TR, and the amount of one is claimed too low: the transaction matches, but no
    // signature of it counts on the chain. That is why witness_utxo suffices there.
    let coin = |key, amount| Coin { key, form: Form::P2tr, amount };
    let case = Case::new(&[coin(0, 50_000), coin(1, 900_000), coin(2, 70_000)]);
    let mut lied = case.clone();
    lied.transaction.output[0].value = bitcoin::Amount::from_sat(100_000);
    let truthful = lied.clone();
    // Claimed: 51,000. The fee looks small.
    lied.previous[1].output[1].value = bitcoin::Amount::from_sat(51_000);
    let sweep = lied.sweep(0).unwrap();
    assert_eq!(sweep.fee(), 71_000);
    assert_eq!(truthful.sweep(0).unwrap().fee(), 920_000);
    let signed = sweep.assemble(&sign(&case.keys, &sweep.signing_inputs())).unwrap();
    assert_eq!(verdicts(&signed.bytes, &case.spent()), [false; 3]);
}

#[test]
fn signatures_that_are_not_the_keys_of_the_inputs_do_not_come_out() {
    let case = Case::mixed();
    let sweep = case.sweep(0).unwrap();
    let inputs = sweep.signing_inputs();
    let good = sign(&case.keys, &inputs);
    assert!(sweep.assemble(&good).is_ok());

    let refused = |index: usize, signature: Vec<u8>| {
        let mut signatures = good.clone();
        signatures[index] = signature;
        assert_eq!(sweep.assemble(&signatures).unwrap_err().tag, "transaction.bitcoin.signature", "{index}");
    };
    for (index, input) in inputs.iter().enumerate() {
        // Another key, another input's, nothing, too long, too short, every flipped byte.
        refused(index, sign_one(&case.keys[(input.key + 1) % 3], &input.message));
        refused(index, good[(index + 1) % 5].clone());
        refused(index, Vec::new());
        refused(index, [good[index].as_slice(), &[1]].concat());
        refused(index, good[index][..good[index].len() - 1].to_vec());
        for at in 0..good[index].len() {
            let mut flipped = good[index].clone();
            flipped[at] ^= 1;
            refused(index, flipped);
        }
    }
    // The same signature with a high s, and an untweaked key.
    let mut high = good[0].clone();
    let signature = k256::ecdsa::Signature::from_slice(&high[..64]).unwrap();
    let negated =
        k256::ecdsa::Signature::from_scalars(signature.r().to_bytes(), (-*signature.s()).to_bytes());
    high[..64].copy_from_slice(&negated.unwrap().to_bytes());
    high[64] ^= 1;
    refused(0, high);
    let cofferdam_chains::ToSign::TaprootKeySpend(digest) = &inputs[1].message else {
        panic!("P2TR was expected")
    };
    let untweaked = k256::schnorr::SigningKey::from(&case.keys[1]).sign_raw(digest, &[0; 32]).unwrap();
    refused(1, untweaked.to_bytes().to_vec());
    let by_hand = tweaked(&case.keys[1]).sign_raw(digest, &[9; 32]).unwrap().to_bytes().to_vec();
    let mut signatures = good.clone();
    signatures[1] = by_hand;
    assert!(sweep.assemble(&signatures).is_ok(), "any nonce of the right key is as good");

    assert!(sweep.assemble(&good[..4]).is_err());
    assert!(sweep.assemble(&[good.as_slice(), &good[..1]].concat()).is_err());
}
