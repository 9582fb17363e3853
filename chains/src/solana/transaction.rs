//! A transaction as wallets exchange it: its signatures, zero where somebody has yet to sign, and
//! the message that they sign. One transaction, one form: what is read is written again and must
//! be the input.

use super::{
    SolanaAddress,
    message::{Message, VERSION},
    reader::{ENCODING, put_length},
};
use crate::{Refused, reader::Reader};

/// The most bytes of a transaction: one UDP packet in IPv6's smallest MTU (`PACKET_DATA_SIZE`).
pub const MAX_TRANSACTION: usize = 1232;

pub(super) const SIGNATURE: &str = "transaction.solana.signature";
/// Where somebody has yet to sign.
pub(super) const UNSIGNED: [u8; 64] = [0; 64];

/// A well-formed transaction: every length in its one form, a header that fits its accounts, every
/// account listed once and used, nothing trailing, at most [`MAX_TRANSACTION`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub(super) signatures: Vec<[u8; 64]>,
    pub(super) message: Message,
}

impl Transaction {
    /// Reads a transaction: the number of signatures (compact-u16), signatures of 64 bytes each, the
    /// message.
    ///
    /// # Errors
    /// `transaction.solana.…`: `size`, `encoding`, `version`, `lookup_tables`, `header`, `accounts`,
    /// `signature`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > MAX_TRANSACTION {
            let found = format!("{} bytes", bytes.len());
            let allowed = format!("at most {MAX_TRANSACTION} bytes");
            return Err(Refused::new("transaction.solana.size", allowed, found));
        }
        let mut reader = Reader::new(ENCODING, bytes);
        // Versions after 0 put the version first and the signatures last (SIMD-0385). A number of
        // signatures that begins so would not fit.
        if let Some(first @ 0x80..) = reader.peek() {
            let found = format!("version {}", first & 0x7f);
            return Err(Refused::new(VERSION, "a transaction that begins with its signatures", found));
        }
        let count = reader.length()?;
        let mut signatures = Vec::new();
        for _ in 0..count {
            signatures.push(reader.array()?);
        }
        let message = Message::parse(reader)?;
        let signers = message.signers().len();
        if signatures.len() != signers {
            let found = format!("{} signatures", signatures.len());
            return Err(Refused::new(SIGNATURE, format!("a place for each of {signers} signers"), found));
        }
        let transaction = Self { signatures, message };
        if transaction.to_bytes() == bytes {
            Ok(transaction)
        } else {
            let found = "bytes that are written in another form";
            Err(Refused::new(ENCODING, "the one form of a transaction", found))
        }
    }

    /// The transaction in its one form: what [`Transaction::parse`] read.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_TRANSACTION);
        put_length(&mut bytes, self.signatures.len());
        self.signatures.iter().for_each(|signature| bytes.extend(signature));
        self.message.write(&mut bytes);
        bytes
    }

    /// What every signer signs.
    pub fn message_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(MAX_TRANSACTION);
        self.message.write(&mut bytes);
        bytes
    }

    /// Those whose signatures the transaction carries, in their order; the first pays the fee.
    pub fn signers(&self) -> &[SolanaAddress] {
        self.message.signers()
    }
}
