//! Who may use the KMS key. A key policy is parsed strictly ([`Policy`]); a request is evaluated
//! against it, and against everything else that takes part, as AWS does ([`Authority`]); and the
//! policy of a deployment is rendered from one template ([`render`]).
//!
//! Everything that cannot be evaluated is an error when the policy is read, never something that
//! is skipped: an unknown member, operator or variable might be the one that restricts.
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

pub mod actions;
mod arn;
pub mod audit;
mod authorize;
mod caller;
mod condition;
mod effect;
mod error;
mod evaluate;
mod grant;
mod json;
mod pattern;
mod policy;
mod principal;
pub mod render;
mod request;
mod truth;

pub use arn::{AccountId, Arn, ArnError};
pub use authorize::{Authority, Identity};
pub use caller::{Caller, CallerError};
pub use effect::{Effect, Kind};
pub use error::{MAX_POLICY, PolicyError, Position, Problem};
pub use evaluate::{Decision, Outcome};
pub use grant::Grant;
pub use pattern::ActionPattern;
pub use policy::{Policy, Statement};
pub use request::Request;
