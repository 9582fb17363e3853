//! The locktime of a version 2 PSBT, as BIP-370 determines it.

use crate::Refused;

/// What one input requires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Required {
    pub(super) time: Option<u32>,
    pub(super) height: Option<u32>,
}

/// The greatest height if every input that requires anything takes a height, otherwise the
/// greatest time if they all take a time; without requirements the fallback, and without that 0.
pub(super) fn determine(fallback: Option<u32>, inputs: &[Required]) -> Result<u32, Refused> {
    let requiring = || inputs.iter().filter(|input| input.time.is_some() || input.height.is_some());
    if requiring().next().is_none() {
        return Ok(fallback.unwrap_or(0));
    }
    // None is less than any number, so the greatest is of no use where one is missing.
    let greatest = |field: fn(&Required) -> Option<u32>| {
        requiring().map(field).collect::<Option<Vec<u32>>>().and_then(|all| all.into_iter().max())
    };
    greatest(|input| input.height).or_else(|| greatest(|input| input.time)).ok_or_else(|| {
        Refused::new(
            "transaction.bitcoin.locktime",
            "a kind of locktime that all inputs take",
            "an input that requires a height and one that requires a time",
        )
    })
}
