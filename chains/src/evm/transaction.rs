//! Unsigned transactions of type 0 with a chain id (EIP-155) and of type 2 (EIP-1559), read
//! strictly: every other type and every second spelling is refused.

use sha3::{Digest, Keccak256};

use super::{
    address::EvmAddress,
    rlp::{self, Item, List, malformed},
};
use crate::{Amount, Refused, recoverable::Signature};

/// More than any sweep has; Ethereum's own pool takes 128 KiB.
const MAX_BYTES: usize = 4096;
/// Items of the longest form that is told from others: a signed type 2.
const MAX_ITEMS: usize = 12;
/// The first byte of a type 2 transaction (EIP-1559).
const DYNAMIC_FEE: u8 = 0x02;
/// What legacy transactions add to the recovery id next to twice the chain id (EIP-155).
const EIP_155: u64 = 35;
/// The greatest chain id of EIP-2294.
pub(super) const MAX_CHAIN_ID: u64 = u64::MAX / 2 - 36;

/// An unsigned transaction that pays or calls an account. Every field is in the bytes that are
/// signed, and the bytes have no other field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    chain_id: u64,
    nonce: u64,
    price: Price,
    gas_limit: u64,
    to: EvmAddress,
    value: Amount,
    data: Vec<u8>,
}

/// What is paid for a unit of gas, in wei.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Price {
    /// Type 0.
    Legacy { gas_price: Amount },
    /// Type 2.
    DynamicFee { max_priority_fee: Amount, max_fee: Amount },
}

impl Transaction {
    /// Reads an unsigned transaction. What it returns is encoded to the very same bytes.
    ///
    /// # Errors
    /// [`Refused`] with a tag of `transaction.evm.*`, as listed in [`crate::evm`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Refused> {
        let parsed = match bytes.split_first() {
            Some((0xc0.., _)) => Self::legacy(bytes)?,
            Some((&DYNAMIC_FEE, payload)) => Self::dynamic_fee(payload)?,
            Some((first, _)) => return Err(other_type(*first)),
            None => return Err(malformed("a transaction, not nothing")),
        };
        if parsed.to_bytes() == bytes {
            Ok(parsed)
        } else {
            Err(malformed("the one encoding of this transaction"))
        }
    }

    /// `[nonce, gasPrice, gas, to, value, data, chainId, 0, 0]` (EIP-155).
    fn legacy(encoded: &[u8]) -> Result<Self, Refused> {
        match items(encoded)?.as_slice() {
            &[nonce, price, gas, to, value, data, chain, Item::String([]), Item::String([])] => {
                let price = Price::Legacy { gas_price: fee(price)? };
                Self::new(chain, nonce, price, gas, to, value, data)
            }
            &[_, _, _, _, _, _, _, Item::String(_), Item::String(_)] => Err(signed("type 0")),
            [_, _, _, _, _, _] => Err(Refused::new(
                "transaction.evm.unprotected",
                "a transaction that names its chain (EIP-155)",
                "a transaction that is valid on every chain",
            )),
            _ => Err(malformed("the nine items of an unsigned type 0 transaction")),
        }
    }

    /// `[chainId, nonce, maxPriorityFeePerGas, maxFeePerGas, gas, to, value, data, accessList]`
    /// (EIP-1559).
    fn dynamic_fee(encoded: &[u8]) -> Result<Self, Refused> {
        match items(encoded)?.as_slice() {
            &[chain, nonce, priority, most, gas, to, value, data, Item::List(access_list)] => {
                let (max_priority_fee, max_fee) = (fee(priority)?, fee(most)?);
                if max_priority_fee > max_fee {
                    return Err(Refused::new(
                        "transaction.evm.fee",
                        "a priority fee that is at most the greatest fee",
                        format!("{max_priority_fee} above {max_fee}"),
                    ));
                }
                let price = Price::DynamicFee { max_priority_fee, max_fee };
                let parsed = Self::new(chain, nonce, price, gas, to, value, data)?;
                if access_list.is_empty() {
                    Ok(parsed)
                } else {
                    Err(Refused::new(
                        "transaction.evm.access_list",
                        "an empty access list",
                        "an access list with entries",
                    ))
                }
            }
            [_, _, _, _, _, _, _, _, _, _, _, _] => Err(signed("type 2")),
            _ => Err(malformed("the nine items of an unsigned type 2 transaction")),
        }
    }

    fn new(
        chain_id: Item<'_>,
        nonce: Item<'_>,
        price: Price,
        gas_limit: Item<'_>,
        to: Item<'_>,
        value: Item<'_>,
        data: Item<'_>,
    ) -> Result<Self, Refused> {
        let chains = format!("a chain id from 1 to {MAX_CHAIN_ID} (EIP-2294)");
        let chain_id = number(chain_id, "transaction.evm.chain", &chains)?;
        if !(1..=MAX_CHAIN_ID).contains(&chain_id) {
            return Err(Refused::new("transaction.evm.chain", chains, chain_id.to_string()));
        }
        let nonces = "a nonce below 2^64 - 1 (EIP-2681)";
        let nonce = number(nonce, "transaction.evm.nonce", nonces)?;
        if nonce == u64::MAX {
            return Err(Refused::new("transaction.evm.nonce", nonces, nonce.to_string()));
        }
        Ok(Self {
            chain_id,
            nonce,
            price,
            gas_limit: number(gas_limit, "transaction.evm.gas", "a gas limit below 2^64")?,
            to: recipient(to)?,
            value: amount(value, "transaction.evm.amount", "a value below 2^128 wei")?,
            data: data.string()?.to_vec(),
        })
    }

    /// The unsigned transaction, which is what its signature commits to: for type 0 with the
    /// chain id in place of a signature.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut list = self.fields();
        if let Price::Legacy { .. } = self.price {
            list.number(self.chain_id);
            list.number(0_u8);
            list.number(0_u8);
        }
        self.finish(list)
    }

    /// Keccak-256 of the unsigned transaction.
    pub(super) fn signing_hash(&self) -> [u8; 32] {
        Keccak256::digest(self.to_bytes()).into()
    }

    /// The transaction with its signature, as the network takes it.
    pub(super) fn signed(&self, signature: &Signature) -> Result<Vec<u8>, Refused> {
        let parity = u64::from(signature.y_is_odd);
        let v = match self.price {
            // Within 64 bits for every chain id that is parsed.
            Price::Legacy { .. } => self.chain_id.checked_mul(2).and_then(|twice| twice.checked_add(EIP_155)),
            Price::DynamicFee { .. } => Some(0),
        };
        let v = v.and_then(|v| v.checked_add(parity)).ok_or_else(|| {
            Refused::new("transaction.evm.chain", "a chain id of EIP-2294", self.chain_id.to_string())
        })?;
        let mut list = self.fields();
        list.number(v);
        list.string(rlp::significant(&signature.r));
        list.string(rlp::significant(&signature.s));
        Ok(self.finish(list))
    }

    /// The fields in their order, without what follows for a signature.
    fn fields(&self) -> List {
        let mut list = List::default();
        match self.price {
            Price::Legacy { gas_price } => {
                list.number(self.nonce);
                list.number(gas_price.get());
            }
            Price::DynamicFee { max_priority_fee, max_fee } => {
                list.number(self.chain_id);
                list.number(self.nonce);
                list.number(max_priority_fee.get());
                list.number(max_fee.get());
            }
        }
        list.number(self.gas_limit);
        list.string(&self.to.to_bytes());
        list.number(self.value.get());
        list.string(&self.data);
        if let Price::DynamicFee { .. } = self.price {
            list.empty_list();
        }
        list
    }

    fn finish(&self, list: List) -> Vec<u8> {
        let mut encoded = match self.price {
            Price::Legacy { .. } => Vec::new(),
            Price::DynamicFee { .. } => vec![DYNAMIC_FEE],
        };
        list.finish(&mut encoded);
        encoded
    }

    /// Which network: EIP-155's chain id, never 0.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// How many transactions of the account come before.
    pub const fn nonce(&self) -> u64 {
        self.nonce
    }

    /// The most gas that it may use.
    pub const fn gas_limit(&self) -> u64 {
        self.gas_limit
    }

    /// The most that a unit of gas may cost, in wei.
    pub const fn max_fee_per_gas(&self) -> Amount {
        match self.price {
            Price::Legacy { gas_price } => gas_price,
            Price::DynamicFee { max_fee, .. } => max_fee,
        }
    }

    /// The most that a unit of gas may pay above the block's base fee, in wei. Before EIP-1559 it was
    /// the whole price, and for type 0 it still may be.
    pub const fn max_priority_fee_per_gas(&self) -> Amount {
        match self.price {
            Price::Legacy { gas_price } => gas_price,
            Price::DynamicFee { max_priority_fee, .. } => max_priority_fee,
        }
    }

    /// Whether it is of type 2 (EIP-1559).
    pub const fn has_dynamic_fee(&self) -> bool {
        matches!(self.price, Price::DynamicFee { .. })
    }

    /// The account that is paid or called.
    pub const fn to(&self) -> EvmAddress {
        self.to
    }

    /// What `to` gets, in wei.
    pub const fn value(&self) -> Amount {
        self.value
    }

    /// What `to` is called with.
    pub fn data(&self) -> &[u8] {
        &self.data
    }
}

fn items(encoded: &[u8]) -> Result<Vec<Item<'_>>, Refused> {
    if encoded.len() > MAX_BYTES {
        return Err(Refused::new(
            "transaction.evm.size",
            format!("at most {MAX_BYTES} bytes"),
            format!("{} bytes", encoded.len()),
        ));
    }
    rlp::list(encoded, MAX_ITEMS)
}

fn amount(item: Item<'_>, tag: &'static str, allowed: &str) -> Result<Amount, Refused> {
    let word = item.word()?;
    Amount::from_word(&word).ok_or_else(|| Refused::new(tag, allowed, "2^128 or more"))
}

fn number(item: Item<'_>, tag: &'static str, allowed: &str) -> Result<u64, Refused> {
    let number = amount(item, tag, allowed)?;
    number.get().try_into().map_err(|_| Refused::new(tag, allowed, number.to_string()))
}

fn fee(item: Item<'_>) -> Result<Amount, Refused> {
    amount(item, "transaction.evm.fee", "a price below 2^128 wei for a unit of gas")
}

fn recipient(item: Item<'_>) -> Result<EvmAddress, Refused> {
    match item.string()? {
        [] => Err(Refused::new("transaction.evm.creation", "a recipient", "the creation of a contract")),
        bytes => {
            let account = bytes.try_into().map_err(|_| malformed("a recipient of 20 bytes"))?;
            Ok(EvmAddress::new(account))
        }
    }
}

fn signed(found: &str) -> Refused {
    let found = format!("a signed transaction of {found}");
    Refused::new("transaction.evm.signed", "an unsigned transaction", found)
}

fn other_type(first: u8) -> Refused {
    let refused = |tag, found: &str| Refused::new(tag, "a transaction of type 0 or 2", found);
    match first {
        0x01 => refused("transaction.evm.type_1", "type 1, with an access list (EIP-2930)"),
        0x03 => refused("transaction.evm.type_3", "type 3, with blobs (EIP-4844)"),
        0x04 => refused("transaction.evm.type_4", "type 4, which sets an account's code (EIP-7702)"),
        0x19 => refused("transaction.evm.message", "a message to sign (EIP-191, EIP-712)"),
        0x80.. => malformed("a list, or a type before it"),
        _ => refused("transaction.evm.type", &format!("type {first}")),
    }
}
