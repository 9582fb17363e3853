//! Addresses as a policy names them: read strictly, in one spelling, with the network that has them.

use std::{fmt, str::FromStr};

use bech32::segwit;
use k256::elliptic_curve::{point::DecompressPoint, subtle::Choice};
use serde::{Deserialize, Serialize};

use super::{BitcoinNetwork, script::Script};
use crate::{NotAnAddress, base58check, text::as_text};

/// An address, for people.
const FORM: &str =
    "a Bitcoin address: base58check P2PKH or P2SH, or bech32 or bech32m in lower case, P2WPKH, P2WSH or P2TR";

/// An address, in its one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Destination {
    pub(super) script: Script,
    /// A network that has this address: testnet and signet share all of theirs, and regtest the
    /// base58 ones too.
    network: BitcoinNetwork,
}

impl FromStr for Destination {
    type Err = NotAnAddress;

    /// Reads an address of any network. Bech32 in upper case is refused: there is one spelling.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let address = Self::segwit(text).or_else(|| Self::base58(text));
        // Whatever the decoders took: it must be what we would write.
        let address = address.filter(|address| address.to_string() == text);
        address.ok_or_else(|| NotAnAddress::new(FORM, text))
    }
}

as_text!(Destination, "destinations");

impl Destination {
    fn segwit(text: &str) -> Option<Self> {
        let (hrp, version, program) = segwit::decode(text).ok()?;
        let network = BitcoinNetwork::ALL.into_iter().find(|network| network.hrp() == hrp)?;
        let script = match (version, program.len()) {
            (segwit::VERSION_0, 20) => Script::P2wpkh(program.try_into().ok()?),
            (segwit::VERSION_0, 32) => Script::P2wsh(program.try_into().ok()?),
            (segwit::VERSION_1, 32) => {
                let key: [u8; 32] = program.try_into().ok()?;
                // What is paid to an x that is on no point of the curve is lost.
                let point = k256::AffinePoint::decompress(&key.into(), Choice::from(0));
                bool::from(point.is_some()).then_some(Script::P2tr(key))?
            }
            _ => return None,
        };
        Some(Self { script, network })
    }

    fn base58(text: &str) -> Option<Self> {
        let (version, hash) = base58check::decode(text)?;
        BitcoinNetwork::ALL.into_iter().find_map(|network| {
            let script = match version {
                version if version == network.p2pkh_version() => Script::P2pkh(hash),
                version if version == network.p2sh_version() => Script::P2sh(hash),
                _ => return None,
            };
            Some(Self { script, network })
        })
    }

    /// Whether this is how `script` is addressed on `network`.
    pub(super) fn names(&self, script: Script, network: BitcoinNetwork) -> bool {
        self.script == script && self.is_of(network)
    }

    /// Whether the address is one of `network`.
    pub(super) fn is_of(&self, network: BitcoinNetwork) -> bool {
        self.script.address(network) == self.script.address(self.network)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script.address(self.network))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_spelling() {
        for text in [
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
            "mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
            "2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        for text in [
            "",
            " 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
            "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3",
            "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            // Version 0 with the checksum of bech32m, version 1 with that of bech32 (BIP-350).
            "bc1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq54ytqk",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
            // Versions and lengths that no rule covers yet (BIP-350), and another coin.
            "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
            "BC1SW50QGDZ25J",
            "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs",
            "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9",
            "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_a_key_that_nobody_can_have_is_refused() {
        // x = 5 is on no point of secp256k1.
        let mut key = [0; 32];
        key[31] = 5;
        let text = Script::P2tr(key).address(BitcoinNetwork::Mainnet);
        assert!(text.parse::<Destination>().is_err());
    }

    #[test]
    fn an_address_serves_the_networks_that_share_its_spelling() {
        use BitcoinNetwork::{Mainnet, Regtest, Signet, Testnet};
        for (script, sharing) in [
            (Script::P2wpkh([7; 20]), &[Testnet, Signet][..]),
            (Script::P2sh([7; 20]), &[Testnet, Signet, Regtest]),
        ] {
            let address = script.address(Testnet).parse::<Destination>().unwrap();
            for network in BitcoinNetwork::ALL {
                assert_eq!(address.names(script, network), sharing.contains(&network), "{network:?}");
            }
            assert!(!address.names(Script::P2pkh([7; 20]), Testnet));
        }
        let address = Script::P2pkh([7; 20]).address(Mainnet).parse::<Destination>().unwrap();
        assert!(address.names(Script::P2pkh([7; 20]), Mainnet));
        assert!(!address.names(Script::P2pkh([7; 20]), Regtest));
    }
}
