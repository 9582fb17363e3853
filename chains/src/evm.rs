//! EVM addresses: the last 20 bytes of Keccak-256 of the public key, with EIP-55's checksum.

use k256::elliptic_curve::sec1::ToSec1Point;
use sha3::{Digest, Keccak256};

/// The 20 bytes of the address (Ethereum Yellow Paper, appendix F).
pub fn account(key: &k256::PublicKey) -> [u8; 20] {
    let point = key.to_sec1_point(false);
    // Without the 0x04 that marks an uncompressed point.
    let coordinates = point.as_bytes().get(1..).unwrap_or_default();
    let hash: [u8; 32] = Keccak256::digest(coordinates).into();
    let mut account = [0; 20];
    account.iter_mut().zip(hash.iter().skip(12)).for_each(|(to, from)| *to = *from);
    account
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
    use data_encoding::HEXLOWER_PERMISSIVE;

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
}
