//! Transactions that ethers.js and EIP-155 print, also those that are no sweeps: read, hashed,
//! signed by RFC 6979 and encoded as theirs (`tests/vectors/evm`).

use data_encoding::HEXLOWER;
use k256::ecdsa::SigningKey;
use serde_json::Value;

use super::{EvmAddress, Transaction, account};
use crate::recoverable::Signature;

fn bytes(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn tag(bytes: &[u8]) -> &'static str {
    Transaction::parse(bytes).unwrap_err().tag
}

/// The transaction signed by `key`, encoded.
fn sign(transaction: &Transaction, key: &SigningKey) -> Vec<u8> {
    let digest = transaction.signing_hash();
    let (signature, recovery_id) = key.sign_prehash_recoverable(&digest);
    let mut bytes = signature.to_bytes().to_vec();
    bytes.push(recovery_id.to_byte());
    let key = k256::PublicKey::from(key.verifying_key());
    transaction.signed(&Signature::one(&[bytes], &digest, &key, "").unwrap()).unwrap()
}

#[test]
fn ethers_transactions_are_signed_as_theirs_and_the_rest_is_refused() {
    let (mut accepted, mut refused) = (0, 0);
    for line in include_str!("../../../tests/vectors/evm/ethers.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (unsigned, signed) = (bytes(&case["unsigned"]), bytes(&case["signed"]));
        if let Some(reason) = case["refused"].as_str() {
            assert_eq!(tag(&unsigned), format!("transaction.evm.{reason}"), "{line}");
            let typed = reason == "type_1";
            assert_eq!(tag(&signed), if typed { "transaction.evm.type_1" } else { "transaction.evm.signed" });
            refused += 1;
            continue;
        }
        let transaction = Transaction::parse(&unsigned).unwrap();
        assert_eq!(transaction.to_bytes(), unsigned);
        let key = SigningKey::from_slice(&bytes(&case["key"])).unwrap();
        let sender = EvmAddress::new(account(&key.verifying_key().into())).to_string();
        assert!(sender.eq_ignore_ascii_case(case["address"].as_str().unwrap()));
        assert_eq!(sign(&transaction, &key), signed, "{line}");
        assert_eq!(tag(&signed), "transaction.evm.signed");
        accepted += 1;
        match case["unprotected"].as_array().map(Vec::as_slice) {
            Some([unprotected, signed]) => {
                assert_eq!(transaction.chain_id(), 5);
                assert_eq!(tag(&bytes(unprotected)), "transaction.evm.unprotected");
                assert_eq!(tag(&bytes(signed)), "transaction.evm.signed");
            }
            _ => assert_says(&transaction, &case["tx"]),
        }
    }
    assert_eq!((accepted, refused), (304, 114));
}

/// The fields are those that ethers.js was given.
fn assert_says(transaction: &Transaction, fields: &Value) {
    let number = |name: &str| match &fields[name] {
        Value::String(hex) => u128::from_str_radix(hex.trim_start_matches("0x"), 16).unwrap(),
        Value::Number(number) => number.as_u64().unwrap().into(),
        _ => 0,
    };
    assert_eq!(u128::from(transaction.chain_id()), number("chainId"));
    assert_eq!(u128::from(transaction.nonce()), number("nonce"));
    assert_eq!(u128::from(transaction.gas_limit()), number("gasLimit"));
    assert_eq!(transaction.max_fee_per_gas().get(), number("maxFeePerGas"));
    assert_eq!(transaction.value().get(), number("value"));
    assert!(transaction.to().to_string().eq_ignore_ascii_case(fields["to"].as_str().unwrap()));
    let data = fields["data"].as_str().unwrap_or("0x");
    assert_eq!(format!("0x{}", HEXLOWER.encode(transaction.data())), data);
}

#[test]
fn eip_155s_example_has_its_hash_and_its_signature() {
    let unsigned =
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080";
    let transaction = Transaction::parse(&HEXLOWER.decode(unsigned.as_bytes()).unwrap()).unwrap();
    assert_eq!(
        HEXLOWER.encode(&transaction.signing_hash()),
        "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    );
    let key = SigningKey::from_slice(&[0x46; 32]).unwrap();
    assert_eq!(
        HEXLOWER.encode(&sign(&transaction, &key)),
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
}
