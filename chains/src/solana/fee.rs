//! The most that a transaction costs: the network's fee, and the rent of a token account that it
//! may have to make (Solana documentation, "Transaction Fees"; agave's `fee` and `compute-budget`).

use crate::{Amount, Refused};

/// For each signature.
pub(super) const LAMPORTS_PER_SIGNATURE: u64 = 5_000;
/// The most compute units of a transaction.
pub(super) const MAX_UNIT_LIMIT: u32 = 1_400_000;
/// What an instruction gets where no limit is set. The runtime gives instructions of built-in
/// programs less (SIMD-0170); all are counted in full here, since this is a bound.
const UNITS_PER_INSTRUCTION: u32 = 200_000;
/// What keeps a token account of 165 bytes: (165 + 128) bytes at 6,960 lamports. A bound too:
/// SIMD-0437 lowers the rate in steps, and SIMD-0438 could only set it back to this one.
pub(super) const TOKEN_ACCOUNT_RENT: u64 = 2_039_280;

/// The compute units that are paid for when no limit is set.
pub(super) fn default_unit_limit(instructions: usize) -> u32 {
    let units = u32::try_from(instructions).unwrap_or(u32::MAX).saturating_mul(UNITS_PER_INSTRUCTION);
    units.min(MAX_UNIT_LIMIT)
}

/// The most that the fee payer loses, in lamports: 5,000 for each signature, price × limit in
/// micro-lamports rounded up, and the rent.
pub(super) fn most(signatures: usize, price: u64, limit: u32, creates: bool) -> Result<Amount, Refused> {
    let rent = if creates { TOKEN_ACCOUNT_RENT } else { 0 };
    let sum = || {
        let signatures = u128::try_from(signatures).ok()?.checked_mul(LAMPORTS_PER_SIGNATURE.into())?;
        let priority = u128::from(price).checked_mul(limit.into())?.div_ceil(1_000_000);
        signatures.checked_add(priority)?.checked_add(rent.into()).map(Amount::new)
    };
    sum().ok_or_else(|| Refused::new("transaction.solana.fee", "a fee below 2^128 lamports", "more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_are_those_of_the_documentation() {
        let fee = |signatures, price, limit, creates| most(signatures, price, limit, creates).unwrap().get();
        assert_eq!(fee(1, 0, 1_400_000, false), 5_000);
        assert_eq!(fee(2, 50_000, 300_000, false), 10_000 + 15_000);
        assert_eq!(fee(1, 1, 1, false), 5_001, "a part of a lamport is a lamport");
        assert_eq!(fee(1, 1, 1_000_000, false), 5_001);
        assert_eq!(fee(1, 1, 1_000_001, false), 5_002);
        assert_eq!(fee(1, 0, 0, true), 5_000 + 2_039_280);
        assert_eq!(
            fee(127, u64::MAX, MAX_UNIT_LIMIT, true),
            635_000 + 25_825_441_703_193_372_261 + 2_039_280
        );
        assert_eq!(
            [1, 6, 7, 8, usize::MAX].map(default_unit_limit),
            [200_000, 1_200_000, 1_400_000, 1_400_000, 1_400_000]
        );
    }
}
