//! Tron addresses: 0x41 and the EVM account, in base58check (Tron protocol documentation,
//! "Accounts").

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{NotAnAddress, base58check, public_key, text::as_text};

/// The version byte of the main network; test networks use the same.
const VERSION: u8 = 0x41;
/// Characters of an address: 25 bytes that begin with 0x41 always take so many.
const LENGTH: usize = 34;

/// 34 characters that begin with `T`.
pub fn address(key: &k256::PublicKey) -> String {
    TronAddress::from_key(key).to_string()
}

/// An account or a contract. Its one spelling is base58check of 0x41 and the 20 bytes; the
/// hexadecimal and `0x` spellings that some tools write are not read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TronAddress([u8; 20]);

impl TronAddress {
    /// The account of 20 zero bytes: nobody's, and what an unset variable looks like.
    pub const ZERO: Self = Self([0; 20]);

    /// The account of a key.
    pub fn from_key(key: &k256::PublicKey) -> Self {
        Self(public_key::account(key))
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
}

impl FromStr for TronAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let decoded = Some(text).filter(|text| text.len() == LENGTH).and_then(base58check::decode);
        let found = decoded.filter(|(version, _)| *version == VERSION).map(|(_, account)| Self(account));
        let found = found.filter(|address| address.to_string() == text);
        found.ok_or_else(|| {
            NotAnAddress::new("a Tron address, 34 characters of base58check that begin with T", text)
        })
    }
}

as_text!(TronAddress, "destinations");

impl fmt::Display for TronAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base58check::encode(VERSION, &self.0))
    }
}

impl fmt::Debug for TronAddress {
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
        let usdt: TronAddress = USDT.parse().unwrap();
        assert_eq!(usdt.to_string(), USDT);
        let hex = "41a614f803b6fd780986a42c78ec9c7f77e6ded13c";
        assert_eq!(data_encoding::HEXLOWER.encode(&usdt.to_bytes()), hex);
        assert_eq!(TronAddress::from_bytes(&usdt.to_bytes()), Some(usdt));
        let spaced = USDT.replacen("T", " ", 1);
        let upper = USDT.to_uppercase();
        let bitcoin = "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2";
        for text in ["", "T", hex, "0xa614f803b6fd780986a42c78ec9c7f77e6ded13c", &spaced, &upper, bitcoin] {
            assert!(text.parse::<TronAddress>().is_err(), "{text}");
        }
        let wrong_checksum = USDT.replace("6t", "6u");
        assert!(wrong_checksum.parse::<TronAddress>().is_err());
    }

    #[test]
    fn only_21_bytes_after_0x41_are_an_address() {
        let bytes = USDT.parse::<TronAddress>().unwrap().to_bytes();
        let mut other_version = bytes;
        other_version[0] = 0xa0;
        let longer = [bytes.as_slice(), &[0]].concat();
        for bad in [&bytes[..20], &bytes[1..], &longer, &other_version, &[]] {
            assert_eq!(TronAddress::from_bytes(bad), None);
        }
    }
}
