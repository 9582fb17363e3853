//! Why a policy is not taken.

use crate::timestamp::Timestamp;

/// Why a policy is not taken. A policy is the operators' own: texts may say what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not this JSON.
    #[error("the documented JSON was expected: {0}")]
    Malformed(String),
    /// A value that contradicts another one, or a bound.
    #[error("{0}")]
    Value(&'static str),
    /// A rule set that names what another one of the same rank names.
    #[error("rules {0}: keys, users or a purpose that no other rules name were expected")]
    Ambiguous(String),
    /// A rule set that says too little.
    #[error("rules {name}: {expected}")]
    Rules {
        /// Its name.
        name: String,
        /// What was expected.
        expected: &'static str,
    },
    /// Its time has not come.
    #[error("a policy in its validity window was expected; it begins at {0}")]
    NotYet(Timestamp),
    /// Its time is over.
    #[error("a policy in its validity window was expected; it ended at {0}")]
    Expired(Timestamp),
}

impl PolicyError {
    /// The stable tag.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "policy.malformed",
            Self::Value(_) | Self::Rules { .. } => "policy.value",
            Self::Ambiguous(_) => "policy.ambiguous",
            Self::NotYet(_) => "policy.not_yet",
            Self::Expired(_) => "policy.expired",
        }
    }
}
