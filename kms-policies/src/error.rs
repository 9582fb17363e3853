//! What is wrong with a policy, and where.

/// Why a text is not a policy that can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PolicyError {
    /// Where, e.g. `Statement[1].Condition.StringEquals`; `policy` for the whole.
    pub path: String,
    /// What.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than KMS takes.
    #[error("at most {} bytes were expected", crate::MAX_POLICY)]
    TooLong,
    /// Not JSON, or JSON with the same member twice.
    #[error("JSON without repeated members was expected, at line {line}, column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Another type or form of value.
    #[error("{0} was expected")]
    Expected(&'static str),
    /// A member that must be there is not.
    #[error("the member {0} was expected")]
    Missing(&'static str),
    /// A member that the policy language does not have, or that cannot be evaluated.
    #[error("a member that can be evaluated was expected")]
    UnknownMember,
    /// An operator that the policy language does not have, or that cannot be evaluated.
    #[error("a condition operator that can be evaluated was expected")]
    UnknownOperator,
    /// `${…}` that is not an escape.
    #[error("a value without policy variables was expected")]
    Variable,
    /// The same Sid twice.
    #[error("a Sid that no other statement has was expected")]
    RepeatedSid,
}

impl PolicyError {
    pub(crate) fn at(path: impl Into<String>, problem: Problem) -> Self {
        Self { path: path.into(), problem }
    }
}
