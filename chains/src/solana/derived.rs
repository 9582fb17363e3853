//! The associated token account of an owner and a mint: a program-derived address (Solana
//! documentation, "Program Derived Address"; SPL, "Associated Token Account Program").

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

use super::{
    SolanaAddress,
    programs::{ASSOCIATED_TOKEN, TOKEN},
};

/// The account of the classic Token program in which `owner` holds tokens of `mint`.
///
/// `None` when all 256 candidates are points of the curve, which no known input reaches.
pub fn associated_token_account(owner: &SolanaAddress, mint: &SolanaAddress) -> Option<SolanaAddress> {
    (0..=u8::MAX).rev().map(|bump| candidate(owner, mint, bump)).find(|found| !is_point(found))
}

fn candidate(owner: &SolanaAddress, mint: &SolanaAddress, bump: u8) -> SolanaAddress {
    let hash = Sha256::new()
        .chain_update(owner.as_bytes())
        .chain_update(TOKEN.as_bytes())
        .chain_update(mint.as_bytes())
        .chain_update([bump])
        .chain_update(ASSOCIATED_TOKEN.as_bytes())
        .chain_update(b"ProgramDerivedAddress")
        .finalize();
    SolanaAddress::new(hash.into())
}

/// Whether the bytes decompress to a point of Curve25519 as the runtime sees it: the top bit is the
/// sign, y is taken modulo p without asking that it is below p, and no order is too small. The
/// runtime and dalek's `from_bytes` are the same `CompressedEdwardsY::decompress`.
pub(super) fn is_point(address: &SolanaAddress) -> bool {
    VerifyingKey::from_bytes(address.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn address(value: &Value) -> SolanaAddress {
        value.as_str().unwrap().parse().unwrap()
    }

    #[test]
    fn points_and_token_accounts_are_those_of_solders() {
        let vectors = include_str!("../../../tests/vectors/solana/accounts.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let points = vectors["points"].as_array().unwrap();
        assert_eq!(points.iter().filter(|case| case["point"] == true).count(), 88);
        for case in points {
            let bytes = data_encoding::HEXLOWER.decode(case["bytes"].as_str().unwrap().as_bytes());
            let bytes = SolanaAddress::new(bytes.unwrap().try_into().unwrap());
            assert_eq!(is_point(&bytes), case["point"] == true, "{}", case["bytes"]);
        }
        let accounts = vectors["accounts"].as_array().unwrap();
        assert!(accounts.iter().any(|case| case["bump"].as_u64() < Some(253)));
        for case in accounts {
            let found = associated_token_account(&address(&case["owner"]), &address(&case["mint"]));
            assert_eq!(found, Some(address(&case["account"])));
        }
    }

    #[test]
    fn the_token_account_of_the_sdks_tests_is_derived() {
        // @solana/spl-token, its unit tests of getAssociatedTokenAddress.
        let [owner, mint, account] = [
            "B8UwBUUnKwCyKuGMbFKWaG7exYdDk2ozZrPg72NyVbfj",
            "7o36UsWR1JQLpZ9PE2gn9L4SQ69CNNiWAXd4Jt7rqz9Z",
            "DShWnroshVbeUp28oopA3Pu7oFPDBtC1DBmPECXXAQ9n",
        ]
        .map(|text| text.parse::<SolanaAddress>().unwrap());
        assert_eq!(associated_token_account(&owner, &mint), Some(account));
    }
}
