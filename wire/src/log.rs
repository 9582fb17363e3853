//! What of the log crosses between parent and enclave.

use attestation::DocumentHash;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

/// One line of the log, as the enclave wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// Its number.
    pub seq: u64,
    /// The line, without its end.
    pub line: String,
}

/// Where a log ended, as the parent has it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// The boot whose log it is: SHA-256 of its boot document.
    pub boot: DocumentHash,
    /// The last line's number.
    pub seq: u64,
    /// The last line's SHA-256.
    pub hash: ByteArray<32>,
}
