//! What can go wrong with the log. An error never repeats a line.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

/// Why lines are not stored, or cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk failed or is full. Lines that wait are written once it is well again.
    #[error("the log could not {what}: {error}")]
    Io {
        /// What was done.
        what: &'static str,
        /// Why.
        #[source]
        error: Arc<io::Error>,
    },
    /// Another process keeps this log.
    #[error("{0} was expected to be kept by no other process")]
    Locked(PathBuf),
    /// A complete line on disk is not the one that belongs there. Nothing is changed; the folder
    /// is for a person to look at.
    #[error("{file}, line {line}: {expected} was expected")]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// The line in it, from 1.
        line: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A line that is not taken.
    #[error("a line of the log: {0} was expected")]
    Line(&'static str),
    /// No boot's log has begun.
    #[error("a log that has begun was expected")]
    NotBegun,
    /// The log of another boot has begun meanwhile: this line belongs to an enclave that is gone.
    #[error("a line of the boot that is now there was expected")]
    OtherBoot,
    /// There is no log of such a boot.
    #[error("a boot whose log is kept here was expected")]
    UnknownBoot,
    /// A line, or one before it, did not come.
    #[error("all lines up to {seq} were expected within {within:?}")]
    Deadline {
        /// The last one that was asked for.
        seq: u64,
        /// The bound.
        within: Duration,
    },
    /// The log is no longer written.
    #[error("a log that is being written was expected")]
    Stopped,
}

impl LogError {
    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { what, error: Arc::new(error) }
    }

    /// Stable, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => "full",
            Self::Io { .. } => "io",
            Self::Locked(_) => "locked",
            Self::Damaged { .. } => "damaged",
            Self::Line(_) => "line",
            Self::NotBegun => "not_begun",
            Self::OtherBoot | Self::UnknownBoot => "boot",
            Self::Deadline { .. } => "deadline",
            Self::Stopped => "stopped",
        }
    }
}
