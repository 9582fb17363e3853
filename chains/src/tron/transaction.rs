//! `Transaction.raw` of tronprotocol/java-tron (protocol/src/main/protos/core/Tron.proto), as far
//! as a sweep needs it: one TRX transfer or one contract call, and nothing besides.

use super::{
    TronAddress,
    contract_type::{self, TRANSFER, TRIGGER},
    protobuf::{ENCODING, Fields, Value, Writer},
};
use crate::Refused;

/// The longest `raw_data` that is looked at; a TRC-20 transfer has about 210 bytes.
const LONGEST: usize = 1024;
/// Fields of `raw_data`.
mod raw {
    pub(super) const REF_BLOCK_BYTES: u64 = 1;
    pub(super) const REF_BLOCK_NUM: u64 = 3;
    pub(super) const REF_BLOCK_HASH: u64 = 4;
    pub(super) const EXPIRATION: u64 = 8;
    pub(super) const AUTHS: u64 = 9;
    pub(super) const DATA: u64 = 10;
    pub(super) const CONTRACT: u64 = 11;
    pub(super) const SCRIPTS: u64 = 12;
    pub(super) const TIMESTAMP: u64 = 14;
    pub(super) const FEE_LIMIT: u64 = 18;
}
const TYPE_URL: &str = "type.googleapis.com/protocol.";

/// An unsigned transaction of one of the two contract types, with nothing that a sweep has no use
/// for. Whether it is a sweep is the template's matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    ref_block_bytes: [u8; 2],
    ref_block_hash: [u8; 8],
    pub(super) expiration: u64,
    pub(super) timestamp: Option<u64>,
    pub(super) fee_limit: u64,
    pub(super) contract: Contract,
}

/// What the transaction does. Numbers are `int64` and not negative; 0 is what is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Contract {
    /// `TransferContract`; sun.
    Transfer { owner: TronAddress, to: TronAddress, amount: u64 },
    /// `TriggerSmartContract`; sun, and a TRC-10 token.
    Trigger {
        owner: TronAddress,
        contract: TronAddress,
        call_value: u64,
        data: Vec<u8>,
        call_token_value: u64,
        token_id: u64,
    },
}

impl Transaction {
    /// Reads a serialized `raw_data`, at most 1024 bytes: TronWeb's `raw_data_hex`, not the
    /// `Transaction` around it.
    ///
    /// # Errors
    /// `transaction.tron.encoding` unless it is the one canonical encoding of known fields;
    /// `.reference` without a block reference of 2 and 8 bytes, or with `ref_block_num`;
    /// `.expiration` without one; `.memo`, `.auths`, `.scripts` with one; `.contracts` unless there
    /// is exactly one; `.type` for another contract type, by its name; `.type_url` when the
    /// parameter's type is not the contract's; `.permission`, `.provider`, `.contract_name` with
    /// one; `.address` for what is no Tron address; `.negative` for a negative number.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        if bytes.len() > LONGEST {
            let found = format!("{} bytes", bytes.len());
            return Err(Refused::new(ENCODING, format!("raw_data of at most {LONGEST} bytes"), found));
        }
        let transaction = Self::read(bytes)?;
        if transaction.to_bytes() == bytes {
            Ok(transaction)
        } else {
            Err(Refused::new(ENCODING, "the canonical encoding of raw_data", "another"))
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let mut fields = Fields::new("raw_data", bytes).with_repeated(raw::CONTRACT);
        let (mut block_bytes, mut block_hash) = (None, None);
        let (mut expiration, mut timestamp, mut fee_limit) = (None, None, 0);
        let mut contract = None;
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (raw::REF_BLOCK_BYTES, Value::Bytes(bytes)) => block_bytes = Some(bytes),
                (raw::REF_BLOCK_HASH, Value::Bytes(bytes)) => block_hash = Some(bytes),
                (raw::EXPIRATION, Value::Number(number)) => {
                    expiration = Some(signed("expiration", number)?);
                }
                (raw::TIMESTAMP, Value::Number(number)) => timestamp = Some(signed("timestamp", number)?),
                (raw::FEE_LIMIT, Value::Number(number)) => fee_limit = signed("fee_limit", number)?,
                (raw::CONTRACT, Value::Bytes(bytes)) => {
                    if contract.replace(bytes).is_some() {
                        return Err(Refused::new("transaction.tron.contracts", "one contract", "more"));
                    }
                }
                (raw::REF_BLOCK_NUM, _) => {
                    let found = "ref_block_num, which no node checks";
                    return Err(Refused::new("transaction.tron.reference", "no block number", found));
                }
                (raw::DATA, _) => return Err(Refused::new("transaction.tron.memo", "no memo", "data")),
                (raw::AUTHS, _) => {
                    return Err(Refused::new("transaction.tron.auths", "no authorities", "auths"));
                }
                (raw::SCRIPTS, _) => {
                    return Err(Refused::new("transaction.tron.scripts", "no scripts", "scripts"));
                }
                _ => return Err(fields.unknown(field)),
            }
        }
        let contract =
            contract.ok_or_else(|| Refused::new("transaction.tron.contracts", "one contract", "none"))?;
        let expiration = expiration.ok_or_else(|| {
            Refused::new("transaction.tron.expiration", "an expiration in milliseconds", "none")
        })?;
        Ok(Self {
            contract: Contract::read(contract)?,
            ref_block_bytes: reference("ref_block_bytes", block_bytes)?,
            ref_block_hash: reference("ref_block_hash", block_hash)?,
            expiration,
            timestamp,
            fee_limit,
        })
    }

    /// The serialized `raw_data`: what [`Self::parse`] read.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::default()
            .bytes(raw::REF_BLOCK_BYTES, &self.ref_block_bytes)
            .bytes(raw::REF_BLOCK_HASH, &self.ref_block_hash)
            .number(raw::EXPIRATION, self.expiration)
            .bytes(raw::CONTRACT, &self.contract.to_bytes())
            .number(raw::TIMESTAMP, self.timestamp.unwrap_or_default())
            .number(raw::FEE_LIMIT, self.fee_limit)
            .finish()
    }
}

impl Contract {
    /// `Transaction.Contract`, whose parameter is a `google.protobuf.Any`.
    fn read(bytes: &[u8]) -> Result<Self, Refused> {
        let mut fields = Fields::new("Contract", bytes);
        let (mut number, mut parameter) = (0, None);
        let (mut provider, mut contract_name, mut permission) = (None, None, None);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Number(value)) => number = value,
                (2, Value::Bytes(bytes)) => parameter = Some(bytes),
                (3, Value::Bytes(bytes)) => provider = Some(bytes),
                (4, Value::Bytes(bytes)) => contract_name = Some(bytes),
                (5, Value::Number(value)) => permission = Some(value),
                _ => return Err(fields.unknown(field)),
            }
        }
        let name = match (number, contract_type::name(number)) {
            (TRANSFER | TRIGGER, Some(name)) => name,
            (_, name) => {
                let found = name.map_or_else(|| format!("contract type {number}"), str::to_owned);
                let allowed = "TransferContract or TriggerSmartContract";
                return Err(Refused::new("transaction.tron.type", allowed, found));
            }
        };
        if let Some(id) = permission {
            let found = format!("permission {}", id.cast_signed());
            return Err(Refused::new("transaction.tron.permission", "the owner permission, 0,", found));
        }
        if let Some(provider) = provider {
            let found = format!("a provider of {} bytes", provider.len());
            return Err(Refused::new("transaction.tron.provider", "no provider", found));
        }
        if let Some(contract_name) = contract_name {
            let found = format!("a name of {} bytes", contract_name.len());
            return Err(Refused::new("transaction.tron.contract_name", "no contract name", found));
        }
        let value = any(name, parameter.unwrap_or_default())?;
        if number == TRANSFER { Self::read_transfer(value) } else { Self::read_trigger(value) }
    }

    fn read_transfer(bytes: &[u8]) -> Result<Self, Refused> {
        let mut fields = Fields::new("TransferContract", bytes);
        let (mut owner, mut to, mut amount) = (None, None, 0);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(bytes)) => owner = Some(bytes),
                (2, Value::Bytes(bytes)) => to = Some(bytes),
                (3, Value::Number(number)) => amount = signed("amount", number)?,
                _ => return Err(fields.unknown(field)),
            }
        }
        Ok(Self::Transfer { owner: address("owner_address", owner)?, to: address("to_address", to)?, amount })
    }

    fn read_trigger(bytes: &[u8]) -> Result<Self, Refused> {
        let mut fields = Fields::new("TriggerSmartContract", bytes);
        let (mut owner, mut contract, mut call_data) = (None, None, Vec::new());
        let (mut call_value, mut call_token_value, mut token_id) = (0, 0, 0);
        while let Some((field, value)) = fields.next()? {
            match (field, value) {
                (1, Value::Bytes(bytes)) => owner = Some(bytes),
                (2, Value::Bytes(bytes)) => contract = Some(bytes),
                (3, Value::Number(number)) => call_value = signed("call_value", number)?,
                (4, Value::Bytes(bytes)) => call_data = bytes.to_vec(),
                (5, Value::Number(number)) => call_token_value = signed("call_token_value", number)?,
                (6, Value::Number(number)) => token_id = signed("token_id", number)?,
                _ => return Err(fields.unknown(field)),
            }
        }
        let (owner, contract) = (address("owner_address", owner)?, address("contract_address", contract)?);
        Ok(Self::Trigger { owner, contract, call_value, data: call_data, call_token_value, token_id })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let (number, value) = match self {
            Self::Transfer { owner, to, amount } => {
                let value = Writer::default()
                    .bytes(1, &owner.to_bytes())
                    .bytes(2, &to.to_bytes())
                    .number(3, *amount)
                    .finish();
                (TRANSFER, value)
            }
            Self::Trigger { owner, contract, call_value, data, call_token_value, token_id } => {
                let value = Writer::default()
                    .bytes(1, &owner.to_bytes())
                    .bytes(2, &contract.to_bytes())
                    .number(3, *call_value)
                    .bytes(4, data)
                    .number(5, *call_token_value)
                    .number(6, *token_id)
                    .finish();
                (TRIGGER, value)
            }
        };
        let type_url = format!("{TYPE_URL}{}", contract_type::name(number).unwrap_or_default());
        let parameter = Writer::default().bytes(1, type_url.as_bytes()).bytes(2, &value).finish();
        Writer::default().number(1, number).bytes(2, &parameter).finish()
    }
}

/// The message in a `google.protobuf.Any` of the named type.
fn any<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a [u8], Refused> {
    let mut fields = Fields::new("Any", bytes);
    let (mut type_url, mut message) = (&[][..], &[][..]);
    while let Some((field, value)) = fields.next()? {
        match (field, value) {
            (1, Value::Bytes(bytes)) => type_url = bytes,
            (2, Value::Bytes(bytes)) => message = bytes,
            _ => return Err(fields.unknown(field)),
        }
    }
    let expected = format!("{TYPE_URL}{name}");
    if type_url == expected.as_bytes() {
        Ok(message)
    } else {
        // Up to a limit: it is shown to people and kept in the log.
        let found: String = type_url.escape_ascii().map(char::from).take(100).collect();
        Err(Refused::new("transaction.tron.type_url", expected, found))
    }
}

/// An `int64` that is not negative.
fn signed(name: &str, number: u64) -> Result<u64, Refused> {
    if number.cast_signed() < 0 {
        let found = format!("{name} {}", number.cast_signed());
        return Err(Refused::new("transaction.tron.negative", "a number from 0 to below 2^63", found));
    }
    Ok(number)
}

fn address(name: &str, bytes: Option<&[u8]>) -> Result<TronAddress, Refused> {
    let bytes = bytes.unwrap_or_default();
    TronAddress::from_bytes(bytes).ok_or_else(|| {
        let first = bytes.first().map(|first| format!(", the first 0x{first:02x}")).unwrap_or_default();
        let found = format!("{} bytes{first}", bytes.len());
        Refused::new("transaction.tron.address", format!("{name} of 0x41 and 20 bytes"), found)
    })
}

/// A block reference (TAPOS): without it a node takes no transaction.
fn reference<const N: usize>(name: &str, bytes: Option<&[u8]>) -> Result<[u8; N], Refused> {
    let bytes = bytes.unwrap_or_default();
    bytes.try_into().map_err(|_| {
        let found = format!("{} bytes", bytes.len());
        Refused::new("transaction.tron.reference", format!("{name} of {N} bytes"), found)
    })
}
