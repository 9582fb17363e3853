//! Tron's messages for prost (tronprotocol/java-tron, protocol/src/main/protos/core), with the
//! fields that a sweep must not have; and the two sweeps from which tests begin.

use std::sync::LazyLock;

use cofferdam_chains::{PublicKey, tron::TronAddress};
use k256::ecdsa::SigningKey;
use prost::Message;

/// `Transaction.raw`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Raw {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) ref_block_bytes: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(crate) ref_block_num: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) ref_block_hash: Vec<u8>,
    #[prost(int64, tag = "8")]
    pub(crate) expiration: i64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) auths: Vec<Authority>,
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) data: Vec<u8>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) contract: Vec<Contract>,
    #[prost(bytes = "vec", tag = "12")]
    pub(crate) scripts: Vec<u8>,
    #[prost(int64, tag = "14")]
    pub(crate) timestamp: i64,
    #[prost(int64, tag = "18")]
    pub(crate) fee_limit: i64,
}

/// `authority`; its account is an `AccountId`, which has the same encoding as bytes.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Authority {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) account: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) permission_name: Vec<u8>,
}

/// `Transaction.Contract`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Contract {
    #[prost(int32, tag = "1")]
    pub(crate) r#type: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) parameter: Option<Any>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) provider: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) contract_name: Vec<u8>,
    #[prost(int32, tag = "5")]
    pub(crate) permission_id: i32,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `TransferContract`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TransferContract {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) owner_address: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) to_address: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(crate) amount: i64,
}

/// `TriggerSmartContract`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TriggerSmartContract {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) owner_address: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) contract_address: Vec<u8>,
    #[prost(int64, tag = "3")]
    pub(crate) call_value: i64,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
    #[prost(int64, tag = "5")]
    pub(crate) call_token_value: i64,
    #[prost(int64, tag = "6")]
    pub(crate) token_id: i64,
}

/// `Transaction`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct SignedTransaction {
    #[prost(message, optional, tag = "1")]
    pub(crate) raw_data: Option<Raw>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) signature: Vec<Vec<u8>>,
}

pub(crate) const NOW: u64 = 1_770_000_000_000;

pub(crate) fn signer() -> SigningKey {
    SigningKey::from_slice(&[0x5a; 32]).unwrap()
}

pub(crate) fn key() -> PublicKey {
    static KEY: LazyLock<PublicKey> =
        LazyLock::new(|| PublicKey::Secp256k1((*signer().verifying_key()).into()));
    KEY.clone()
}

pub(crate) fn owner() -> TronAddress {
    let PublicKey::Secp256k1(key) = key() else { unreachable!() };
    TronAddress::from_key(&key)
}

pub(crate) fn destination() -> TronAddress {
    TronAddress::from_account([0x11; 20])
}

pub(crate) fn token() -> TronAddress {
    "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t".parse().unwrap()
}

pub(crate) fn contract(r#type: i32, name: &str, message: &impl Message) -> Contract {
    let type_url = format!("type.googleapis.com/protocol.{name}");
    let parameter = Some(Any { type_url, value: message.encode_to_vec() });
    Contract { r#type, parameter, ..Contract::default() }
}

pub(crate) fn raw(contract: Contract) -> Raw {
    Raw {
        ref_block_bytes: vec![0x12, 0x34],
        ref_block_hash: vec![1, 2, 3, 4, 5, 6, 7, 8],
        expiration: i64::try_from(NOW).unwrap() + 60_000,
        contract: vec![contract],
        timestamp: i64::try_from(NOW).unwrap(),
        ..Raw::default()
    }
}

pub(crate) fn transfer() -> TransferContract {
    TransferContract {
        owner_address: owner().to_bytes().to_vec(),
        to_address: destination().to_bytes().to_vec(),
        amount: 2_000_000,
    }
}

pub(crate) fn call() -> TriggerSmartContract {
    let mut data = vec![0xa9, 0x05, 0x9c, 0xbb];
    data.extend([0; 12]);
    data.extend(&destination().to_bytes()[1..]);
    data.extend([0; 28]);
    data.extend(5_000_000_u32.to_be_bytes());
    TriggerSmartContract {
        owner_address: owner().to_bytes().to_vec(),
        contract_address: token().to_bytes().to_vec(),
        data,
        ..TriggerSmartContract::default()
    }
}

/// 2 TRX to the destination.
pub(crate) fn trx() -> Raw {
    raw(contract(1, "TransferContract", &transfer()))
}

/// 5 USDT to the destination, for at most 30 TRX of energy.
pub(crate) fn trc20() -> Raw {
    Raw { fee_limit: 30_000_000, ..raw(contract(31, "TriggerSmartContract", &call())) }
}
