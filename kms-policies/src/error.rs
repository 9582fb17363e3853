//! What is wrong with a policy, and where.

use std::fmt;

/// The longest key policy that KMS takes, in bytes. Other policies are shorter. Space between values does
/// not count: people who read a policy have it set out.
pub const MAX_POLICY: usize = 32 * 1024;
/// Why a text is not a policy that can be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {path}: {problem}")]
pub struct PolicyError {
    /// Where, e.g. `Statement[1].Condition.StringEquals`; `policy` for the whole.
    pub path: String,
    /// Where in the text.
    pub at: Position,
    /// What.
    pub problem: Problem,
}

/// A place in a text, both from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within it.
    pub column: usize,
}

impl Position {
    /// The start of a text.
    pub const START: Self = Self { line: 1, column: 1 };

    /// Of a byte of a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let mut at = Self::START;
        for (index, character) in text.char_indices() {
            if index >= offset {
                break;
            }
            at = match character {
                '\n' => Self { line: at.line.saturating_add(1), column: 1 },
                _ => Self { column: at.column.saturating_add(1), ..at },
            };
        }
        at
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than AWS takes.
    #[error("at most {} bytes were expected", MAX_POLICY)]
    TooLong,
    /// Not JSON, or JSON with the same member twice.
    #[error("JSON without repeated members was expected")]
    Json,
    /// Another type or form of value.
    #[error("{0} was expected")]
    Expected(&'static str),
    /// A member that must be there is not.
    #[error("the member {0} was expected")]
    Missing(&'static str),
    /// A member that the policy language does not have, or not in this kind of policy.
    #[error("a member that this kind of policy has was expected")]
    UnknownMember,
    /// An operator that the policy language does not have.
    #[error("a condition operator of the policy language was expected")]
    UnknownOperator,
    /// `${…}` that is neither a policy variable nor an escape.
    #[error("${{key}}, ${{key, 'default'}}, ${{*}}, ${{?}} or ${{$}} was expected")]
    Variable,
}

impl PolicyError {
    pub(crate) fn new(path: impl Into<String>, at: Position, problem: Problem) -> Self {
        Self { path: path.into(), at, problem }
    }
}
