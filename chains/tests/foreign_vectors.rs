//! Addresses as eth-account, embit, solders and tronpy derive them (`tests/vectors/addresses.py`),
//! and those that the BIPs print.
#![allow(clippy::unwrap_used)]

use cofferdam_chains::{BitcoinNetwork, Chain, Curve, PublicKey, addresses, bitcoin};
use data_encoding::HEXLOWER;
use serde_json::Value;

fn key(curve: Curve, hex: &str) -> PublicKey {
    PublicKey::from_bytes(curve, &HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()
}

#[test]
fn other_libraries_derive_the_same_addresses() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../../tests/vectors/addresses.json")).unwrap();
    assert_eq!(cases.len(), 64);
    for case in cases {
        let secp256k1 = key(Curve::Secp256k1, case["secp256k1"].as_str().unwrap());
        let ed25519 = key(Curve::Ed25519, case["ed25519"].as_str().unwrap());
        let derive = |chain, key| addresses(chain, key, BitcoinNetwork::Mainnet).unwrap();
        assert_eq!(derive(Chain::Evm, &secp256k1).address, case["evm"]);
        assert_eq!(derive(Chain::Tron, &secp256k1).address, case["tron"]);
        assert_eq!(derive(Chain::Solana, &ed25519).address, case["solana"]);
        for (name, network) in [
            ("mainnet", BitcoinNetwork::Mainnet),
            ("testnet", BitcoinNetwork::Testnet),
            ("signet", BitcoinNetwork::Signet),
            ("regtest", BitcoinNetwork::Regtest),
        ] {
            let derived = addresses(Chain::Bitcoin, &secp256k1, network).unwrap();
            assert_eq!(derived.address, case["p2wpkh"][name]);
            assert_eq!(derived.taproot.unwrap(), case["p2tr"][name]);
        }
    }
}

#[test]
fn bip_84_and_bip_86_print_these_addresses() {
    // BIP-84, account 0, first receiving address.
    let bip84 = key(Curve::Secp256k1, "0330d54fd0dd420a6e5f8d3624f5f3482cae350f79d5f0753bf5beef9c2d91af3c");
    let derived = addresses(Chain::Bitcoin, &bip84, BitcoinNetwork::Mainnet).unwrap();
    assert_eq!(derived.address, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu");
    // BIP-86, account 0: internal key, output key, address. An x-only key stands for the even point.
    for (internal, output, address) in [
        (
            "cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115",
            "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c",
            "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        ),
        (
            "83dfe85a3151d2517290da461fe2815591ef69f2b18a2ce63f01697a8b313145",
            "a82f29944d65b86ae6b5e5cc75e294ead6c59391a1edc5e016e3498c67fc7bbb",
            "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh",
        ),
    ] {
        for parity in ["02", "03"] {
            let internal = key(Curve::Secp256k1, &format!("{parity}{internal}"));
            let PublicKey::Secp256k1(point) = &internal else { unreachable!() };
            assert_eq!(HEXLOWER.encode(&bitcoin::output_key(point).unwrap()), output);
            assert_eq!(bitcoin::p2tr(point, BitcoinNetwork::Mainnet).unwrap(), address);
        }
    }
}
