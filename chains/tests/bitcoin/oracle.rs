//! The crate `bitcoin` as another opinion: txids, sighashes and PSBTs of version 0 of transactions
//! that proptest makes.

use bitcoin::{
    Amount, Psbt, ScriptBuf, Sequence, TapSighashType, TxOut,
    absolute::LockTime,
    bip32::{ChildNumber, DerivationPath, Fingerprint, Xpriv, Xpub},
    hashes::Hash,
    psbt::PsbtSighashType,
    sighash::{EcdsaSighashType, Prevouts, SighashCache},
    transaction::Version,
};
use cofferdam_chains::{
    BitcoinNetwork, ToSign,
    bitcoin::{BitcoinRules, Transaction},
};
use proptest::prelude::*;

use crate::{
    psbt_v2::to_version_0,
    support::{Case, Coin, Form, pair, script, secret},
};

fn coins() -> impl Strategy<Value = Vec<Coin>> {
    let coin = (0usize..4, any::<bool>(), 3_000u64..5_000_000_000).prop_map(|(key, taproot, amount)| Coin {
        key,
        form: if taproot { Form::P2tr } else { Form::P2wpkh },
        amount,
    });
    prop::collection::vec(coin, 1..7).prop_map(|mut coins| {
        // Every key up to the greatest owns an input.
        let mut present: Vec<usize> = coins.iter().map(|coin| coin.key).collect();
        present.sort_unstable();
        present.dedup();
        for coin in &mut coins {
            coin.key = present.iter().position(|key| *key == coin.key).unwrap();
        }
        coins
    })
}

prop_compose! {
    /// A case that matches the template, in all that the template leaves open.
    pub(crate) fn case()(
        coins in coins(),
        version in 1i32..=2,
        height in 0u32..500_000_000,
        sequences in prop::collection::vec(0xffff_fffdu32..=u32::MAX, 7),
        parts in prop::collection::btree_map(0usize..6, 546u64..700, 1..4),
    ) -> Case {
        let mut case = Case::new(&coins);
        case.transaction.version = if version == 1 { Version::ONE } else { Version::TWO };
        case.transaction.lock_time = LockTime::from_height(height).unwrap();
        for (input, sequence) in case.transaction.input.iter_mut().zip(sequences) {
            input.sequence = Sequence(sequence);
        }
        case.transaction.output = parts
            .into_iter()
            .map(|(owner, amount)| TxOut {
                value: Amount::from_sat(amount),
                script_pubkey: script(&secret(3000 + owner), if owner % 2 == 0 { Form::P2tr } else { Form::P2wpkh }),
            })
            .collect();
        case
    }
}

/// What the crate `bitcoin` says is to be signed.
fn expected(case: &Case) -> Vec<[u8; 32]> {
    let spent = case.spent();
    let mut cache = SighashCache::new(&case.transaction);
    case.coins
        .iter()
        .enumerate()
        .map(|(index, coin)| match coin.form {
            Form::P2wpkh => cache
                .p2wpkh_signature_hash(
                    index,
                    &spent[index].script_pubkey,
                    spent[index].value,
                    EcdsaSighashType::All,
                )
                .unwrap()
                .to_byte_array(),
            Form::P2tr => cache
                .taproot_key_spend_signature_hash(index, &Prevouts::All(&spent), TapSighashType::Default)
                .unwrap()
                .to_byte_array(),
        })
        .collect()
}

fn digests(sweep: &cofferdam_chains::bitcoin::Sweep) -> Vec<[u8; 32]> {
    let digest = |input: cofferdam_chains::SigningInput| match input.message {
        ToSign::Ecdsa(digest) | ToSign::TaprootKeySpend(digest) => digest,
        ToSign::Ed25519(_) => unreachable!("Bitcoin has no Ed25519"),
    };
    sweep.signing_inputs().into_iter().map(digest).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn digests_and_txids_are_those_of_the_crate_bitcoin(case in case()) {
        for version in [0, 2] {
            let sweep = case.sweep(version).unwrap();
            prop_assert_eq!(digests(&sweep), expected(&case));
            prop_assert_eq!(sweep.txid(), case.transaction.compute_txid().to_string());
            let keys: Vec<usize> = sweep.signing_inputs().iter().map(|input| input.key).collect();
            prop_assert_eq!(keys, case.coins.iter().map(|coin| coin.key).collect::<Vec<_>>());
            let paid: u64 = case.transaction.output.iter().map(|output| output.value.to_sat()).sum();
            let given: u64 = case.coins.iter().map(|coin| coin.amount).sum();
            prop_assert_eq!(sweep.fee(), given - paid);
        }
    }

    #[test]
    fn the_crate_bitcoin_reads_the_same_psbt_of_version_0(case in case()) {
        let bytes = case.psbt(0).to_bytes();
        let theirs = Psbt::deserialize(&bytes).unwrap();
        let ours = Transaction::parse(&bytes).unwrap();
        prop_assert_eq!(&theirs.unsigned_tx, &case.transaction);
        prop_assert_eq!(theirs.unsigned_tx.compute_txid().to_string(), ours.txid());
        prop_assert_eq!(theirs.serialize(), ours.to_bytes());
        prop_assert_eq!(theirs.unsigned_tx.lock_time.to_consensus_u32(), ours.lock_time());
    }

    #[test]
    fn a_psbt_of_version_2_becomes_that_of_version_0_with_the_same_transaction(case in case()) {
        let converted = to_version_0(&case.psbt(2).to_bytes()).unwrap().unwrap();
        prop_assert_eq!(&Psbt::deserialize(&converted).unwrap().unsigned_tx, &case.transaction);
        prop_assert_eq!(converted, case.psbt(0).to_bytes());
        prop_assert_eq!(to_version_0(&case.psbt(0).to_bytes()).unwrap(), None);
    }
}

#[test]
fn a_height_that_an_input_of_version_2_requires_is_the_locktime_that_is_signed() {
    let mut case = Case::mixed();
    let mut maps = case.psbt(2);
    for (input, height) in [(1, 850_000u32), (3, 849_999)] {
        maps.inputs[input].push(pair(0x12, &height.to_le_bytes()));
    }
    let sweep = case.match_bytes(&maps.to_bytes()).unwrap();
    case.transaction.lock_time = LockTime::from_height(850_000).unwrap();
    assert_eq!(digests(&sweep), expected(&case));
    assert_eq!(sweep.txid(), case.transaction.compute_txid().to_string());
}

#[test]
fn addresses_of_all_five_forms_are_those_of_the_crate_bitcoin() {
    let key = bitcoin::PublicKey::from_slice(&crate::support::public(&secret(5)).to_bytes()).unwrap();
    let witness_script = ScriptBuf::new_p2pk(&key);
    let scripts = [
        ScriptBuf::new_p2pkh(&key.pubkey_hash()),
        ScriptBuf::new_p2sh(&witness_script.script_hash()),
        script(&secret(5), Form::P2wpkh),
        ScriptBuf::new_p2wsh(&witness_script.wscript_hash()),
        script(&secret(5), Form::P2tr),
    ];
    for (network, theirs) in [
        (BitcoinNetwork::Mainnet, bitcoin::Network::Bitcoin),
        (BitcoinNetwork::Testnet, bitcoin::Network::Testnet),
        (BitcoinNetwork::Signet, bitcoin::Network::Signet),
        (BitcoinNetwork::Regtest, bitcoin::Network::Regtest),
    ] {
        let mut case = Case::one(Form::P2wpkh);
        case.transaction.output = scripts
            .iter()
            .map(|script| TxOut { value: Amount::from_sat(10_000), script_pubkey: script.clone() })
            .collect();
        let transaction = Transaction::parse(&case.psbt(0).to_bytes()).unwrap();
        let sweep = transaction.sweep(&case.public_keys(), network).unwrap();
        let addresses: Vec<String> = scripts
            .iter()
            .map(|script| bitcoin::Address::from_script(script, theirs).unwrap().to_string())
            .collect();
        let ours: Vec<String> =
            sweep.summary().transfers.into_iter().map(|transfer| transfer.destination).collect();
        assert_eq!(ours, addresses);
        // As destinations they are read back to the same scripts.
        let rules: BitcoinRules = serde_json::from_value(serde_json::json!({
            "destinations": addresses,
            "velocity": { "per_key_per_day": "0", "per_day": "0" },
            "min_amount": "0", "max_fee_permille": 1,
            "fee": { "per_transaction": "0", "per_day": "0" },
            "fee_rate": "0",
            "confirmations": 1,
        }))
        .unwrap();
        assert!(rules.are_for(network));
        let checks = rules.check(&sweep, 0);
        assert!(
            checks.iter().filter(|check| check.tag == "policy.bitcoin.destination").all(|check| check.holds)
        );
    }
}

/// The crate `bitcoin` writes the PSBTs of BDK, with everything that a wallet with descriptors adds.
#[test]
fn a_psbt_with_all_that_a_wallet_adds_means_the_same_and_is_written_back() {
    let case = Case::mixed();
    let secp = bitcoin::key::Secp256k1::new();
    let path: DerivationPath = [84, 0, 0].map(|index| ChildNumber::Hardened { index }).as_slice().into();
    let origin = (Fingerprint::from([1, 2, 3, 4]), path);
    let mut psbt = Psbt::from_unsigned_tx(case.transaction.clone()).unwrap();
    let xpriv = Xpriv::new_master(bitcoin::Network::Regtest, &[7; 32]).unwrap();
    psbt.xpub.insert(Xpub::from_priv(&secp, &xpriv), origin.clone());
    for (index, coin) in case.coins.iter().enumerate() {
        let key = bitcoin::PublicKey::from_slice(&case.public_keys()[coin.key].to_bytes()).unwrap().inner;
        let input = &mut psbt.inputs[index];
        input.witness_utxo = Some(case.spent()[index].clone());
        input.non_witness_utxo = Some(case.previous[index].clone());
        match coin.form {
            Form::P2wpkh => {
                input.sighash_type = Some(PsbtSighashType::from(EcdsaSighashType::All));
                input.bip32_derivation.insert(key, origin.clone());
            }
            Form::P2tr => {
                let key = key.x_only_public_key().0;
                input.sighash_type = Some(PsbtSighashType::from(TapSighashType::Default));
                input.tap_internal_key = Some(key);
                input.tap_key_origins.insert(key, (Vec::new(), origin.clone()));
            }
        }
    }
    let receiver =
        bitcoin::PublicKey::from_slice(&crate::support::public(&secret(2000)).to_bytes()).unwrap().inner;
    let output = &mut psbt.outputs[0];
    output.bip32_derivation.insert(receiver, origin.clone());
    output.witness_script = Some(case.transaction.output[0].script_pubkey.clone());
    output.redeem_script = Some(case.transaction.output[0].script_pubkey.clone());
    output.tap_internal_key = Some(receiver.x_only_public_key().0);
    let leaf = bitcoin::taproot::TapLeafHash::from_byte_array([3; 32]);
    output.tap_key_origins.insert(receiver.x_only_public_key().0, (vec![leaf], origin));
    let builder =
        bitcoin::taproot::TaprootBuilder::new().add_leaf(0, bitcoin::ScriptBuf::from(vec![0x51])).unwrap();
    output.tap_tree = Some(bitcoin::taproot::TapTree::try_from(builder).unwrap());

    let bytes = psbt.serialize();
    let transaction = Transaction::parse(&bytes).unwrap();
    assert_eq!(transaction.to_bytes(), bytes);
    let (dressed, plain) = (case.match_bytes(&bytes).unwrap(), case.sweep(0).unwrap());
    assert_eq!(dressed.summary(), plain.summary());
    assert_eq!(dressed.signing_inputs(), plain.signing_inputs());
}
