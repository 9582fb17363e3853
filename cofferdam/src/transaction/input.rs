//! A transaction as people have it: an argument, a file, standard input; in the text of the API, or
//! in another that can mean nothing else.

use chains::{Chain, Transaction};
use data_encoding::{BASE64, HEXLOWER, HEXLOWER_PERMISSIVE};

use super::psbt_v2::to_version_0;
use crate::{
    error::Error,
    input::{self, STDIN},
};

/// The longest file with a transaction: a PSBT of 100 inputs as wallets write it, whatever a request
/// has room for.
pub(crate) const MAX_FILE: u64 = 8 << 20;

/// How an argument names a file.
const FILE: char = '@';
/// What an input is called in errors.
const NAME: &str = "TRANSACTION";

/// Reads the bytes of an argument: text, @FILE, or - for standard input.
pub(super) fn read(chain: Chain, argument: &str) -> Result<Vec<u8>, Error> {
    let file = match argument.strip_prefix(FILE) {
        Some(file) => file,
        None if argument == STDIN => STDIN,
        None => return decode(chain, argument),
    };
    let bytes = input::read(file.as_ref(), MAX_FILE)?;
    match str::from_utf8(&bytes) {
        Ok(text) => decode(chain, text),
        // A PSBT in a file of its own is binary, and no text.
        Err(_) => Ok(bytes),
    }
}

/// The text that the API takes.
pub(crate) fn text(chain: Chain, bytes: &[u8]) -> String {
    match chain {
        Chain::Evm => format!("0x{}", HEXLOWER.encode(bytes)),
        Chain::Tron => HEXLOWER.encode(bytes),
        Chain::Bitcoin | Chain::Solana => BASE64.encode(bytes),
    }
}

/// The API's text; otherwise hexadecimal in any spelling, or base64, where only one of the two is a
/// transaction.
pub(super) fn decode(chain: Chain, text: &str) -> Result<Vec<u8>, Error> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let hex = HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).ok();
    let base64 = BASE64.decode(text.as_bytes()).ok();
    let is_psbt_v2 = |bytes: &[u8]| chain == Chain::Bitcoin && !matches!(to_version_0(bytes), Ok(None));
    let is_transaction = |bytes: &Vec<u8>| Transaction::parse(chain, bytes).is_ok() || is_psbt_v2(bytes);
    let found = match (hex, base64) {
        (Some(hex), Some(base64)) => match (is_transaction(&hex), is_transaction(&base64)) {
            (true, true) => None,
            (true, false) => Some(hex),
            (false, true) => Some(base64),
            // No transaction either way: it is refused as what the API would read.
            (false, false) if matches!(chain, Chain::Evm | Chain::Tron) => Some(hex),
            (false, false) => Some(base64),
        },
        (hex, base64) => hex.or(base64),
    };
    let expected = match chain {
        Chain::Evm => "0x and hexadecimal",
        Chain::Tron => "hexadecimal of raw_data",
        Chain::Bitcoin => "a PSBT in base64 or hexadecimal",
        Chain::Solana => "base64",
    };
    found.ok_or_else(|| Error::input(NAME, format_args!("{expected} was expected, or @FILE, or -")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apis_text_and_no_text_that_means_two_things() {
        for chain in Chain::ALL {
            let bytes = b"psbt\xff\x00\x01\x02".to_vec();
            let api = text(chain, &bytes);
            assert_eq!(protocol::api::decode_transaction(chain, &api).unwrap(), bytes, "{chain}");
            assert_eq!(decode(chain, &format!(" {api}\n")).unwrap(), bytes);
        }
        for (chain, text) in [
            (Chain::Evm, "02C0"),
            (Chain::Evm, "0X02c0"),
            (Chain::Tron, "0x02C0"),
            (Chain::Evm, "AsA="),
            (Chain::Solana, "0x02c0"),
        ] {
            assert_eq!(decode(chain, text).unwrap(), [0x02, 0xc0], "{text}");
        }
        // Four hexadecimal digits are base64 as well: the chain's own text counts.
        assert_eq!(decode(Chain::Evm, "02c0").unwrap(), [0x02, 0xc0]);
        assert_eq!(decode(Chain::Solana, "02c0").unwrap(), [0xd3, 0x67, 0x34]);
        for bad in ["", "0x0", "=", "z", "@"] {
            let result = decode(Chain::Evm, bad);
            assert!(result.is_err() || result.is_ok_and(|bytes| bytes.is_empty()), "{bad}");
        }
    }

    #[test]
    fn files_are_text_or_binary() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("transaction");
        let argument = format!("@{}", file.display());
        std::fs::write(&file, "0x02c0\n").unwrap();
        assert_eq!(read(Chain::Evm, &argument).unwrap(), [0x02, 0xc0]);
        std::fs::write(&file, b"psbt\xff\x00").unwrap();
        assert_eq!(read(Chain::Bitcoin, &argument).unwrap(), b"psbt\xff\x00");
        std::fs::write(&file, vec![b'0'; (8 << 20) + 1]).unwrap();
        assert!(read(Chain::Bitcoin, &argument).is_err());
        assert!(read(Chain::Bitcoin, "@/nowhere").is_err());
    }
}
