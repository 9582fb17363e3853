//! Who may use the KMS key. A key policy is parsed strictly ([`Policy`]), a request is evaluated
//! against it as AWS does ([`Policy::evaluate`]), and the policy of a deployment is rendered from
//! one template ([`render`]).
//!
//! Everything that cannot be evaluated is an error when the policy is read, never something that
//! is skipped: an unknown member, operator or policy variable might be the one that restricts.
//! Source: AWS IAM User Guide, "IAM JSON policy element reference"; AWS KMS Developer Guide, "Key
//! policies" and "Condition keys".
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used
)]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unwrap_used
    )
)]

mod arn;
mod condition;
mod error;
mod evaluate;
mod json;
mod pattern;
mod policy;
mod principal;
pub mod render;
mod request;

pub use arn::{AccountId, Arn, ArnError};
pub use error::{PolicyError, Problem};
pub use evaluate::{Decision, Outcome};
pub use pattern::ActionPattern;
pub use policy::{Effect, MAX_POLICY, Policy, Statement};
pub use principal::{Caller, CallerError};
pub use request::Request;
