//! Accounts that everyone knows: the programs a sweep may call, and those that are nobody's wallet.

use super::SolanaAddress;

const fn account(text: &str) -> SolanaAddress {
    SolanaAddress::new(bs58::decode(text.as_bytes()).into_array_const_unwrap())
}

/// The System program, 32 zero bytes.
pub(super) const SYSTEM: SolanaAddress = account("11111111111111111111111111111111");
/// Limits and prices of compute units.
pub(super) const COMPUTE_BUDGET: SolanaAddress = account("ComputeBudget111111111111111111111111111111");
/// The classic SPL Token program. Token-2022 is another, with fees and hooks, and is refused.
pub(super) const TOKEN: SolanaAddress = account("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA");
/// The Associated Token Account program.
pub(super) const ASSOCIATED_TOKEN: SolanaAddress = account("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL");
/// What AdvanceNonceAccount reads.
pub(super) const RECENT_BLOCKHASHES: SolanaAddress = account("SysvarRecentB1ockHashes11111111111111111111");
/// The mint of wrapped SOL: closing such an account pays its balance out.
pub(super) const WRAPPED_SOL: SolanaAddress = account("So11111111111111111111111111111111111111112");

/// Accounts that nobody holds, with their names.
const KNOWN: [(SolanaAddress, &str); 36] = [
    (SYSTEM, "the System program"),
    (COMPUTE_BUDGET, "the ComputeBudget program"),
    (TOKEN, "the Token program"),
    (account("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"), "the Token-2022 program"),
    (ASSOCIATED_TOKEN, "the Associated Token Account program"),
    (WRAPPED_SOL, "the mint of wrapped SOL"),
    (account("9pan9bMn5HatX4EJdBwg9VgCa7Uz5HL8N1m5D3NdXej9"), "the Token-2022 mint of wrapped SOL"),
    (account("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"), "the Memo program"),
    (account("Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo"), "the Memo program, version 1"),
    (account("Stake11111111111111111111111111111111111111"), "the Stake program"),
    (account("StakeConfig11111111111111111111111111111111"), "the Stake program's configuration"),
    (account("Vote111111111111111111111111111111111111111"), "the Vote program"),
    (account("Config1111111111111111111111111111111111111"), "the Config program"),
    (account("Feature111111111111111111111111111111111111"), "the Feature program"),
    (account("AddressLookupTab1e1111111111111111111111111"), "the Address Lookup Table program"),
    (account("NativeLoader1111111111111111111111111111111"), "the native loader"),
    (account("BPFLoader1111111111111111111111111111111111"), "the BPF loader, version 1"),
    (account("BPFLoader2111111111111111111111111111111111"), "the BPF loader, version 2"),
    (account("BPFLoaderUpgradeab1e11111111111111111111111"), "the upgradeable BPF loader"),
    (account("LoaderV411111111111111111111111111111111111"), "the loader, version 4"),
    (account("Ed25519SigVerify111111111111111111111111111"), "the Ed25519 program"),
    (account("KeccakSecp256k11111111111111111111111111111"), "the secp256k1 program"),
    (account("Secp256r1SigVerify1111111111111111111111111"), "the secp256r1 program"),
    (account("ZkE1Gama1Proof11111111111111111111111111111"), "the ZK ElGamal proof program"),
    (account("1nc1nerator11111111111111111111111111111111"), "the incinerator"),
    (account("Sysvar1111111111111111111111111111111111111"), "the owner of sysvars"),
    (account("SysvarC1ock11111111111111111111111111111111"), "the sysvar Clock"),
    (account("SysvarEpochRewards1111111111111111111111111"), "the sysvar EpochRewards"),
    (account("SysvarEpochSchedu1e111111111111111111111111"), "the sysvar EpochSchedule"),
    (account("SysvarFees111111111111111111111111111111111"), "the sysvar Fees"),
    (account("Sysvar1nstructions1111111111111111111111111"), "the sysvar Instructions"),
    (RECENT_BLOCKHASHES, "the sysvar RecentBlockhashes"),
    (account("SysvarRent111111111111111111111111111111111"), "the sysvar Rent"),
    (account("SysvarS1otHashes111111111111111111111111111"), "the sysvar SlotHashes"),
    (account("SysvarS1otHistory11111111111111111111111111"), "the sysvar SlotHistory"),
    (account("SysvarStakeHistory1111111111111111111111111"), "the sysvar StakeHistory"),
];

/// The name of an account that nobody holds.
pub(super) fn name_of(address: &SolanaAddress) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| known == address).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_account_is_listed_once() {
        for (place, (known, name)) in KNOWN.iter().enumerate() {
            assert_eq!(name_of(known), Some(*name));
            assert_eq!(KNOWN.iter().position(|(other, _)| other == known), Some(place));
        }
        assert_eq!(SYSTEM, SolanaAddress::new([0; 32]));
        assert_eq!(name_of(&SolanaAddress::new([7; 32])), None);
    }
}
