//! Why the program did not do what it was asked, and which exit code says so.

use std::process::ExitCode;

use attestation::VerifyError;
use serde_json::{Value, json};

use verifier::Refused;

use crate::log::Alarm;
use client::Problem;

/// Exit code of what did not verify or could not be done.
const NOT_VERIFIED: u8 = 1;
/// Exit code of input that cannot be used; the argument parser uses the same.
const UNUSABLE: u8 = 2;

/// Exit code of the witness that found something: more than a failed check.
const ALARM: u8 = 3;

/// Everything that can end a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Input that cannot be used: an argument or a file.
    #[error("{0}")]
    Input(String),
    /// Something did not verify.
    #[error("not verified: {0}")]
    Refused(#[from] Refused),
    /// Several did not; each was told when it was found.
    #[error("not verified: {refused} of {of} addresses")]
    SomeRefused {
        /// How many did not verify.
        refused: u64,
        /// How many there were.
        of: u64,
    },
    /// The witness of the log found what must not be.
    #[error("ALARM: {0}")]
    Alarm(Box<Alarm>),
    /// A transaction that the signer would not sign, whatever the policy.
    #[error("refused: {0}")]
    Transaction(#[from] chains::Refused),
    /// Several were refused; each was told when it was.
    #[error("refused: {refused} of {of} transactions")]
    SomeUnsigned {
        /// How many were refused.
        refused: usize,
        /// How many there were.
        of: usize,
    },
    /// An order is not on the logs of all enclaves; each was told.
    #[error("the order is not known to be on the log of {missing} of {of} enclaves")]
    SomeNotOnLog {
        /// On how many it is not.
        missing: usize,
        /// How many there are.
        of: usize,
    },
    /// The policy, an order or the transaction itself forbids it; what was found is told before.
    #[error("denied: {0}")]
    Denied(String),
    /// The answer said it already.
    #[error("told before")]
    Told,
    /// The answer said it already: there was input that cannot be used.
    #[error("told before")]
    ToldUnusable,
    /// A command that was run for the user ended with this exit code, which is passed on.
    #[error("the command ended with exit code {0}")]
    Ended(u8),
    /// The parent answered an error.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The parent could not be reached, or answered something else than its API says.
    #[error("{0}")]
    Parent(String),
    /// Something else could not be done.
    #[error("{0}")]
    Failed(String),
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        Self::Refused(error.into())
    }
}

impl Error {
    /// Refuses input: `what` is its name, `expected` what it should be.
    pub(crate) fn input(what: impl std::fmt::Display, expected: impl std::fmt::Display) -> Self {
        Self::Input(format!("{what}: {expected}"))
    }

    /// 1, 2 or 3; of a command that was run, its own.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Input(_) | Self::ToldUnusable => ExitCode::from(UNUSABLE),
            Self::Alarm(_) => ExitCode::from(ALARM),
            Self::Ended(code) => ExitCode::from(*code),
            _ => ExitCode::from(NOT_VERIFIED),
        }
    }

    /// For JSON output: an object whose `verified` is false.
    pub(crate) fn to_json(&self) -> Value {
        let plain = |kind| json!({"kind": kind, "message": self.to_string()});
        let error = match self {
            Self::Refused(refused) => refused.to_json(),
            Self::Alarm(alarm) => alarm.to_json(),
            Self::Problem(problem) => problem.to_json(),
            Self::Transaction(refused) => json!({
                "kind": "transaction", "tag": refused.tag, "found": refused.found,
                "allowed": refused.allowed, "message": self.to_string(),
            }),
            Self::SomeUnsigned { .. } => plain("transaction"),
            Self::SomeNotOnLog { .. } => plain("order"),
            Self::Denied(_) | Self::Told => plain("denied"),
            Self::SomeRefused { .. } => plain("verification"),
            Self::Input(_) | Self::ToldUnusable => plain("input"),
            Self::Parent(_) => plain("parent"),
            Self::Failed(_) | Self::Ended(_) => plain("failed"),
        };
        json!({"verified": false, "error": error})
    }
}
