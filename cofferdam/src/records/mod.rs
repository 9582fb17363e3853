//! Which keys there are, and whether their records open: the part that a rotation and a recovery
//! drill have in common. Keys are known from the exchange's own list and from a verified log; each
//! record is opened by an enclave, whose signed statement is verified. A parent's word is not taken.

mod check;
mod inventory;
mod run;
mod sample;
mod sources;
mod tally;

pub(crate) use check::{Finding, ask, judge};
pub(crate) use inventory::Expected;
pub(crate) use run::Runner;
pub(crate) use sample::Survey;
pub(crate) use sources::{CoverageArgs, InventoryArgs};
pub(crate) use tally::Tally;
