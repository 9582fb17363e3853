//! Tron addresses: 0x41 and the EVM account, in base58check (Tron protocol documentation,
//! "Accounts").

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::base58check;

/// The version byte of the main network; test networks use the same.
const VERSION: u8 = 0x41;
/// Characters of an address: 25 bytes that begin with 0x41 always take so many.
const LENGTH: usize = 34;

/// 34 characters that begin with `T`.
pub fn address(key: &k256::PublicKey) -> String {
    Address::of(key).to_string()
}

/// An account or a contract. Its one spelling is base58check of 0x41 and the 20 bytes; the
/// hexadecimal and `0x` spellings that some tools write are not read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address([u8; 20]);

/// Text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Tron address was expected: 34 characters of base58check that begin with T")]
pub struct NotAnAddress;

impl Address {
    /// The account of a key.
    pub fn of(key: &k256::PublicKey) -> Self {
        Self(crate::evm::account(key))
    }

    /// From the 20 bytes that contracts know it by.
    pub const fn from_account(account: [u8; 20]) -> Self {
        Self(account)
    }

    /// From the 21 bytes of a protobuf message: 0x41 and the account.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [VERSION, account @ ..] => account.try_into().ok().map(Self),
            _ => None,
        }
    }

    /// 21 bytes: 0x41 and the account.
    pub fn to_bytes(self) -> [u8; 21] {
        let mut bytes = [VERSION; 21];
        bytes.iter_mut().skip(1).zip(self.0).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Whether all 20 bytes are zero: nobody's, and what an unset variable looks like.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 20]
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        if text.len() != LENGTH {
            return Err(NotAnAddress);
        }
        let (version, account) = base58check::decode(text).ok_or(NotAnAddress)?;
        let address = (version == VERSION).then_some(Self(account)).ok_or(NotAnAddress)?;
        if address.to_string() == text { Ok(address) } else { Err(NotAnAddress) }
    }
}

impl TryFrom<String> for Address {
    type Error = NotAnAddress;

    fn try_from(text: String) -> Result<Self, NotAnAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58check::encode(VERSION, &self.0))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract of Tether on the main network.
    const USDT: &str = "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t";

    #[test]
    fn addresses_have_one_spelling() {
        let usdt: Address = USDT.parse().unwrap();
        assert_eq!(usdt.to_string(), USDT);
        let hex = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c";
        assert_eq!(data_encoding::HEXLOWER.encode(&usdt.to_bytes()), hex);
        assert_eq!(Address::from_bytes(&usdt.to_bytes()), Some(usdt));
        let spaced = USDT.replacen("T", " ", 1);
        let upper = USDT.to_uppercase();
        let bitcoin = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2";
        for text in ["", "T", hex, "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c", &spaced, &upper, bitcoin] {
            assert_eq!(text.parse::<Address>(), Err(NotAnAddress), "{text}");
        }
        let wrong_checksum = USDT.replace("6t", "6u");
        assert_eq!(wrong_checksum.parse::<Address>(), Err(NotAnAddress));
    }

    #[test]
    fn only_21_bytes_after_0x41_are_an_address() {
        let bytes = USDT.parse::<Address>().unwrap().to_bytes();
        let mut other_version = bytes;
        other_version[0] = 0xa0;
        let longer = [bytes.as_slice(), &[0]].concat();
        for bad in [&bytes[..20], &bytes[1..], &longer, &other_version, &[]] {
            assert_eq!(Address::from_bytes(bad), None);
        }
    }
}
