//! What is wrong with a log, and at which entry.

use attestation::DocumentHash;
use protocol::log::Malformed;

/// The first thing that is wrong with a boot's lines. Numbers are those of entries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// A line that is neither an entry nor a checkpoint.
    #[error("entry {seq}: {error}")]
    Malformed {
        /// The entry that was to come.
        seq: u64,
        /// What was expected.
        error: Malformed,
    },
    /// Entries are not there.
    #[error("entry {seq} is missing: the next line is entry {found}, or a checkpoint over it")]
    Missing {
        /// The first that is missing.
        seq: u64,
        /// What came, or what a checkpoint covers.
        found: u64,
    },
    /// An entry comes later than it must.
    #[error("entry {seq} is not in its place: it comes after entry {after}")]
    Reordered {
        /// The first that is not in its place.
        seq: u64,
        /// What came in its place.
        after: u64,
    },
    /// An entry comes twice.
    #[error("entry {seq} comes a second time, in place of entry {expected}")]
    Repeated {
        /// Which.
        seq: u64,
        /// The entry that was to come.
        expected: u64,
    },
    /// An entry is not the one that the next one follows.
    #[error("entry {seq} was changed: entry {by} does not follow it")]
    Changed {
        /// Which.
        seq: u64,
        /// Who tells.
        by: u64,
    },
    /// An entry does not follow the one before it, which is known to be right.
    #[error("entry {seq} was changed: it does not follow the entry before it, which a checkpoint covers")]
    Unlinked {
        /// Which.
        seq: u64,
    },
    /// The first entry that was read does not follow the one that was known before.
    #[error("entry {seq} does not follow the entry that was known: another log is shown")]
    Forked {
        /// Which.
        seq: u64,
    },
    /// Entries are not those that the enclave signed.
    #[error(
        "an entry was changed: the checkpoint over entry {seq} is not over these entries {since} to {seq}"
    )]
    NotAsSigned {
        /// The checkpoint's entry.
        seq: u64,
        /// The first entry that no earlier checkpoint covers.
        since: u64,
    },
    /// An entry or checkpoint of another boot.
    #[error("entry {seq} was expected, found a line of another enclave or boot: {found}")]
    OtherBoot {
        /// The entry that was to come.
        seq: u64,
        /// The boot that it is of.
        found: DocumentHash,
    },
    /// A checkpoint that this boot's session key did not sign for this deployment.
    #[error("the checkpoint over entry {seq} was signed by another enclave or for another deployment")]
    Signature {
        /// The checkpoint's entry.
        seq: u64,
    },
    /// A checkpoint over an entry that a later one covered already, or long before.
    #[error("the checkpoint over entry {seq} is not in its place: it comes after entry {head}")]
    Misplaced {
        /// The checkpoint's entry.
        seq: u64,
        /// The last entry before it.
        head: u64,
    },
    /// Time went back.
    #[error("entry {seq}: a time not before {least} was expected, found {found} (milliseconds)")]
    Time {
        /// Which.
        seq: u64,
        /// The time of the entry before it, or of the attestation document.
        least: u64,
        /// The entry's.
        found: u64,
    },
    /// The first entry is not a boot's, or contradicts the attestation document.
    #[error("entry 1: {expected} was expected")]
    Boot {
        /// What it should say.
        expected: &'static str,
    },
}

impl LogFault {
    /// Stable, for programs: which check.
    pub const fn check(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "malformed",
            Self::Missing { .. } => "missing",
            Self::Reordered { .. } => "reordered",
            Self::Repeated { .. } => "repeated",
            Self::Changed { .. } | Self::Unlinked { .. } | Self::NotAsSigned { .. } => "changed",
            Self::Forked { .. } => "fork",
            Self::OtherBoot { .. } | Self::Signature { .. } => "signer",
            Self::Misplaced { .. } => "checkpoint",
            Self::Time { .. } => "time",
            Self::Boot { .. } => "boot",
        }
    }

    /// The first entry that is missing, changed, out of place or of another enclave.
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Malformed { seq, .. }
            | Self::Missing { seq, .. }
            | Self::Reordered { seq, .. }
            | Self::Repeated { seq, .. }
            | Self::Changed { seq, .. }
            | Self::OtherBoot { seq, .. }
            | Self::Signature { seq }
            | Self::Unlinked { seq }
            | Self::Forked { seq }
            | Self::Misplaced { seq, .. }
            | Self::Time { seq, .. } => *seq,
            Self::NotAsSigned { since, .. } => *since,
            Self::Boot { .. } => 1,
        }
    }
}
