//! What the witness found, with the evidence.

use std::fmt;

use protocol::log::Checkpoint;
use serde_json::{Value, json};
use verifier::log::LogFault;

use crate::error::Error;
use verifier::Refused;

/// A log that does not extend the one that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alarm {
    /// Stable, for programs: fork, rollback, gap, …
    pub(super) tag: &'static str,
    message: String,
    seen: Option<Checkpoint>,
    offered: Option<Checkpoint>,
}

impl Alarm {
    /// An alarm without evidence yet.
    pub(super) fn new(tag: &'static str, message: impl Into<String>) -> Self {
        Self { tag, message: message.into(), seen: None, offered: None }
    }

    /// With the checkpoint that was seen and the one that was offered. Two that contradict each
    /// other are proof for everyone who verifies their signatures.
    pub(super) fn with(self, seen: Option<&Checkpoint>, offered: Option<&Checkpoint>) -> Self {
        Self { seen: self.seen.or(seen.cloned()), offered: self.offered.or(offered.cloned()), ..self }
    }

    /// For people: what was seen, and what is shown now.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// For JSON output and for the program that is told.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "kind": "alarm", "check": self.tag, "message": self.message,
            "seen": self.seen, "offered": self.offered,
        })
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tag, self.message)
    }
}

impl From<Refused> for Alarm {
    fn from(refused: Refused) -> Self {
        Self::new(refused.check, refused.message)
    }
}

impl From<LogFault> for Alarm {
    fn from(fault: LogFault) -> Self {
        Self::new(fault.check(), fault.to_string())
    }
}

/// Why a round of questions ended early: the log is wrong, or there was no usable answer.
#[derive(Debug)]
pub(crate) enum Stop {
    Alarm(Box<Alarm>),
    Error(Error),
}

impl<A: Into<Alarm>> From<A> for Stop {
    fn from(alarm: A) -> Self {
        Self::Alarm(Box::new(alarm.into()))
    }
}

impl From<client::ClientError> for Stop {
    fn from(error: client::ClientError) -> Self {
        Self::Error(error.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// For commands that do not witness: what does not verify is an error as any other.
impl From<Stop> for Error {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Alarm(alarm) => Refused::new(alarm.tag, alarm.message).into(),
            Stop::Error(error) => error,
        }
    }
}
