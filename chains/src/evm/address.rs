//! EVM addresses: the last 20 bytes of Keccak-256 of the public key, with EIP-55's checksum.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

use crate::{NotAnAddress, public_key::account, text::as_text};

/// An address, for people.
const FORM: &str = "0x and 40 hexadecimal digits in the case of EIP-55's checksum";

/// An account or a contract. As text `0x` and 40 digits whose case is the checksum (EIP-55); no
/// other spelling is read, so that a mistyped address is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EvmAddress([u8; 20]);

impl EvmAddress {
    /// The account of 20 zero bytes, whose key nobody holds.
    pub const ZERO: Self = Self([0; 20]);

    /// The account of these bytes.
    pub const fn new(account: [u8; 20]) -> Self {
        Self(account)
    }

    /// The 20 bytes.
    pub const fn to_bytes(self) -> [u8; 20] {
        self.0
    }
}

impl fmt::Display for EvmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&checksummed(&self.0))
    }
}

impl FromStr for EvmAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
        let account =
            digits.and_then(|digits| HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok()?.try_into().ok());
        let address = account.map(Self).filter(|address| address.to_string() == text);
        address.ok_or_else(|| NotAnAddress::new(FORM, text))
    }
}

as_text!(EvmAddress, "destinations");

/// The 20 bytes of an address whose case is its checksum.
///
/// # Errors
/// [`NotAnAddress`], also for an address without the checksum.
pub fn parse_address(text: &str) -> Result<[u8; 20], NotAnAddress> {
    text.parse().map(EvmAddress::to_bytes)
}

/// `0x` and 40 hexadecimal digits whose case is the checksum (EIP-55).
pub fn address(key: &k256::PublicKey) -> String {
    checksummed(&account(key))
}

fn checksummed(account: &[u8; 20]) -> String {
    let lower = data_encoding::HEXLOWER.encode(account);
    let hash: [u8; 32] = Keccak256::digest(lower.as_bytes()).into();
    let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let digits = lower.chars().zip(nibbles);
    let cased = digits.map(|(digit, nibble)| if nibble >= 8 { digit.to_ascii_uppercase() } else { digit });
    std::iter::once('0').chain(std::iter::once('x')).chain(cased).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eip_55s_examples_have_their_case() {
        for expected in [
            "0x52908400098527886E0F7030069857D2E4169EE7",
            "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
            "0xde709f2102306220921060314715629080e2fb77",
            "0x27b1fdb04752bbc536007a920d24acb045561c26",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let account = HEXLOWER_PERMISSIVE.decode(&expected.as_bytes()[2..]).unwrap();
            assert_eq!(checksummed(&account.try_into().unwrap()), expected);
        }
    }

    #[test]
    fn an_address_is_read_in_its_checksummed_case_only() {
        let text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let account = parse_address(text).unwrap();
        assert_eq!(EvmAddress::new(account).to_string(), text);
        assert_eq!(serde_json::to_string(&EvmAddress::new(account)).unwrap(), format!("\"{text}\""));
        let one_letter = text.replace("5aAe", "5aae");
        let one_digit = text.replace("5aAe", "6aAe");
        let accent = text.replace("Aed", "é");
        for bad in [
            "",
            "0x",
            text.trim_start_matches("0x"),
            text.trim_end_matches('d'),
            &text.to_lowercase(),
            &text.to_uppercase(),
            &text.replace("0x", "0X"),
            &format!("{text}0"),
            &format!(" {text}"),
            &format!("{text}\n"),
            &one_letter,
            &one_digit,
            &accent,
        ] {
            assert!(parse_address(bad).is_err(), "{bad}");
        }
    }
}
