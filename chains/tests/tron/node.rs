//! What a node of Tron's makes of bytes, as far as replays go: prost reads them, libsecp256k1 recovers
//! who signed. The rest follows java-tron: `TransactionCapsule` (the hash is that of `raw_data` as it is
//! written again; every signature is another member of the owner's permission), `Manager` (the block
//! that is named is among the last 65,536; the expiration lies within a day after the newest block).

use bitcoin::secp256k1::{
    Message as Digest32, Secp256k1,
    constants::CURVE_ORDER,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use cofferdam_chains::tron::TronAddress;
use proptest::prelude::*;
use prost::Message;
use sha2::{Digest, Sha256};
use sha3::Keccak256;

use crate::messages::{NOW, Raw, SignedTransaction, TransferContract, TriggerSmartContract, owner};

/// A block by the two numbers that transactions name it by: before the fork, after it, another network's.
pub(crate) const BLOCKS: [([u8; 2], [u8; 8]); 3] = [([0, 1], [1; 8]), ([0, 2], [2; 8]), ([0, 2], [3; 8])];

/// The longest transaction, with two results of 64 bytes (`Constant.TRANSACTION_MAX_BYTE_SIZE`).
pub(crate) const MAX_BYTES: usize = 500 * 1024;

#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) name: &'static str,
    /// Those of its last 65,536 blocks that matter here, by their places in [`BLOCKS`].
    pub(crate) blocks: &'static [usize],
    /// Of its newest block.
    pub(crate) time: i64,
}

/// What one transaction pays.
#[derive(Debug)]
pub(crate) struct Payment {
    pub(crate) owner: TronAddress,
    pub(crate) token: Option<TronAddress>,
    pub(crate) destination: TronAddress,
    pub(crate) amount: u128,
}

/// Another's account, whose permissions name the deposit key as one of its members.
pub(crate) fn joint() -> TronAddress {
    TronAddress::from_account([0x4a; 20])
}

/// The one payment of a transaction; `None` if it does anything else.
pub(crate) fn payment(raw: &Raw) -> Option<Payment> {
    let plain = raw.data.is_empty() && raw.auths.is_empty() && raw.scripts.is_empty();
    let [contract] = raw.contract.as_slice() else { return None };
    let any = contract.parameter.as_ref()?;
    if !plain || contract.permission_id != 0 {
        return None;
    }
    match (contract.r#type, any.type_url.as_str()) {
        (1, "type.googleapis.com/protocol.TransferContract") => {
            let message = TransferContract::decode(any.value.as_slice()).ok()?;
            Some(Payment {
                owner: TronAddress::from_bytes(&message.owner_address)?,
                token: None,
                destination: TronAddress::from_bytes(&message.to_address)?,
                amount: u128::try_from(message.amount).ok()?,
            })
        }
        (31, "type.googleapis.com/protocol.TriggerSmartContract") => {
            let message = TriggerSmartContract::decode(any.value.as_slice()).ok()?;
            let (head, amount) = message.data.split_at_checked(52)?;
            let (selector, to) = head.split_at(16);
            let nothing_else = (message.call_value, message.call_token_value, message.token_id) == (0, 0, 0);
            let transfer = selector == [&[0xa9, 0x05, 0x9c, 0xbb][..], &[0; 12]].concat();
            let (to, zeroes) = to.split_at(20);
            (nothing_else && transfer && zeroes == [0; 16]).then_some(Payment {
                owner: TronAddress::from_bytes(&message.owner_address)?,
                token: Some(TronAddress::from_bytes(&message.contract_address)?),
                destination: TronAddress::from_account(to.try_into().ok()?),
                amount: u128::from_be_bytes(amount.try_into().ok()?),
            })
        }
        _ => None,
    }
}

/// What a node charges at most for what it knows of a transaction, at the main network's prices: energy
/// up to the limit and bandwidth, or 1.1 TRX for a new account.
pub(crate) fn most_fee(transaction: &SignedTransaction) -> u128 {
    let bandwidth = bandwidth(transaction.encoded_len());
    let raw = transaction.raw_data.clone().unwrap_or_default();
    let limit = u128::try_from(raw.fee_limit).unwrap_or(u128::MAX / 2);
    if raw.contract[0].r#type == 1 { bandwidth.max(1_100_000) } else { bandwidth + limit }
}

/// 1,000 sun for each byte of a transaction, and 64 more for its result (`BandwidthProcessor`).
pub(crate) fn bandwidth(bytes: usize) -> u128 {
    (bytes as u128 + 64) * 1_000
}

/// A transaction's id.
pub(crate) fn id(bytes: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(SignedTransaction::decode(bytes).ok()?.raw_data?.encode_to_vec()).into())
}

/// Whose signature this is: r, s, and a byte below 27, or from 27, or from 31. Further bytes are not
/// looked at (`checkWeight`).
pub(crate) fn recovered(digest: &[u8; 32], signature: &[u8]) -> Option<TronAddress> {
    let (scalars, [last, ..]) = signature.split_at_checked(64)? else { return None };
    let id = match last {
        0..=3 => *last,
        27..=30 => last - 27,
        31..=34 => last - 31,
        _ => return None,
    };
    let id = RecoveryId::from_i32(id.into()).ok()?;
    let signature = RecoverableSignature::from_compact(scalars, id).ok()?;
    let digest = Digest32::from_digest(*digest);
    let key = Secp256k1::verification_only().recover_ecdsa(&digest, &signature).ok()?;
    let hash = Keccak256::digest(&key.serialize_uncompressed()[1..]);
    Some(TronAddress::from_account(hash[12..].try_into().ok()?))
}

/// Every way to write the signature that some library has, and some that are no signature.
pub(crate) fn twins(signature: &[u8]) -> Vec<Vec<u8>> {
    let mut high = CURVE_ORDER;
    let mut borrow = 0;
    for (byte, less) in high.iter_mut().zip(&signature[32..64]).rev() {
        let (difference, one) = byte.overflowing_sub(*less);
        let (difference, other) = difference.overflowing_sub(borrow);
        (*byte, borrow) = (difference, u8::from(one || other));
    }
    let with = |s: &[u8], last: u8| [&signature[..32], s, &[last]].concat();
    let last_bytes = [0, 1, 27, 28, 31, 32];
    last_bytes.iter().flat_map(|last| [with(&signature[32..64], *last), with(&high, *last)]).collect()
}

impl Network {
    /// The main network, a fork of it, and one with a history of its own.
    pub(crate) fn all() -> [Self; 3] {
        let time = i64::try_from(NOW).unwrap();
        [("main", &[0, 1][..]), ("fork", &[0]), ("other", &[2])].map(|(name, blocks)| Self {
            name,
            blocks,
            time,
        })
    }

    /// What it reads, if it takes the transaction: prost merges parts of a message that come twice, as
    /// protobuf's libraries do, and takes fields in any order and varints of any length.
    pub(crate) fn takes(&self, bytes: &[u8]) -> Option<SignedTransaction> {
        let transaction = SignedTransaction::decode(bytes).ok()?;
        let raw = transaction.raw_data.as_ref()?;
        let named = (raw.ref_block_bytes.as_slice(), raw.ref_block_hash.as_slice());
        let known = self.blocks.iter().any(|place| named == (&BLOCKS[*place].0, &BLOCKS[*place].1));
        let lives = raw.expiration > self.time && raw.expiration <= self.time + 86_400_000;
        let permitted = signed(raw, &transaction.signature);
        let small = transaction.encoded_len() + 2 * 64 <= MAX_BYTES;
        (known && lives && permitted && small).then_some(transaction)
    }
}

/// Whether every signature is that of another member of the owner's permission, and there is one.
fn signed(raw: &Raw, signatures: &[Vec<u8>]) -> bool {
    let digest = Sha256::digest(raw.encode_to_vec()).into();
    let Some(account) = owner_of(raw) else { return false };
    let mut seen = Vec::new();
    for signature in signatures {
        let Some(signer) = recovered(&digest, signature) else { return false };
        let member = signer == owner() && (account == owner() || account == joint());
        if !member || seen.contains(&signer) {
            return false;
        }
        seen.push(signer);
    }
    !seen.is_empty()
}

/// Every contract's first field is its owner.
fn owner_of(raw: &Raw) -> Option<TronAddress> {
    let contract = raw.contract.first()?.parameter.as_ref()?;
    TronAddress::from_bytes(&TransferContract::decode(contract.value.as_slice()).ok()?.owner_address).or_else(
        || {
            let message = TriggerSmartContract::decode(contract.value.as_slice()).ok()?;
            TronAddress::from_bytes(&message.owner_address)
        },
    )
}

/// One of the ways to write a signed transaction that a library reads as the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// `raw_data` is split here, and comes in two parts that are merged.
    split: Option<usize>,
    reversed: bool,
    signatures_first: bool,
    unknown: bool,
    overlong: bool,
}

pub(crate) fn written() -> impl Strategy<Value = Written> {
    let flags = any::<[bool; 4]>();
    (prop::option::of(1_usize..5), flags).prop_map(|(split, flags)| {
        let [reversed, signatures_first, unknown, overlong] = flags;
        Written { split, reversed, signatures_first, unknown, overlong }
    })
}

impl Written {
    pub(crate) fn write(self, raw: &[u8], signatures: &[Vec<u8>]) -> Vec<u8> {
        let mut fields = fields(raw);
        // Two contracts keep their order: it has a meaning.
        if self.reversed {
            fields.reverse();
        }
        let parts = match self.split {
            Some(at) => fields.split_at(at.min(fields.len())),
            None => (fields.as_slice(), &[][..]),
        };
        let unknown = if self.unknown { &[0xf8, 0x07, 5][..] } else { &[] };
        let mut all: Vec<Vec<u8>> = [parts.0, parts.1]
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| self.field(0x0a, &[&part.concat(), unknown].concat()))
            .collect();
        let signatures = signatures.iter().map(|signature| self.field(0x12, signature));
        let place = if self.signatures_first { 0 } else { all.len() };
        all.splice(place..place, signatures);
        [&all.concat(), unknown].concat()
    }

    fn field(self, tag: u8, content: &[u8]) -> Vec<u8> {
        let mut length = Vec::new();
        prost::encoding::encode_varint(content.len() as u64, &mut length);
        if self.overlong {
            *length.last_mut().unwrap() |= 0x80;
            length.push(0);
        }
        [&[tag][..], &length, content].concat()
    }
}

/// The fields of a message, each with its tag.
fn fields(mut message: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while !message.is_empty() {
        let whole = message;
        let (tag, kind) = prost::encoding::decode_key(&mut message).unwrap();
        let context = prost::encoding::DecodeContext::default();
        prost::encoding::skip_field(kind, tag, &mut message, context).unwrap();
        all.push(whole[..whole.len() - message.len()].to_vec());
    }
    all
}
