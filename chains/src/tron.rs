//! Tron addresses: 0x41 and the EVM account, in base58check (Tron protocol documentation,
//! "Accounts").

/// The version byte of the main network; test networks use the same.
const VERSION: u8 = 0x41;

/// 34 characters that begin with `T`.
pub fn address(key: &k256::PublicKey) -> String {
    bs58::encode(crate::evm::account(key)).with_check_version(VERSION).into_string()
}
