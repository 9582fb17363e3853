//! Solana addresses: the Ed25519 public key in base58.

/// 32 to 44 characters.
pub fn address(key: &[u8; 32]) -> String {
    bs58::encode(key).into_string()
}
