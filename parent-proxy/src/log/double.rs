//! For tests: lines as an enclave writes them, chained, and checkpoints that nobody signed.

use attestation::DocumentHash;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use wire::LogLine;

pub(super) const DOCUMENT: &[u8] = b"a boot document";

pub(super) fn boot() -> DocumentHash {
    DocumentHash::of(DOCUMENT)
}

/// The first `count` lines of a boot.
pub(super) fn lines(count: u64) -> Vec<LogLine> {
    lines_of(&boot(), count, 0)
}

/// The same of another boot, each longer by `padding` bytes.
pub(super) fn lines_of(boot: &DocumentHash, count: u64, padding: usize) -> Vec<LogLine> {
    let mut prev = [0; 32];
    let padding = "x".repeat(padding);
    let line = |seq| {
        let hash = HEXLOWER.encode(&prev);
        let line = format!(
            r#"{{"v":1,"boot":"{boot}","seq":{seq},"time":1700000000000,"operation":"boot{padding}","prev":"{hash}"}}"#
        );
        prev = Sha256::digest(line.as_bytes()).into();
        LogLine { seq, line }
    };
    (1..=count).map(line).collect()
}

pub(super) fn checkpoint(seq: u64) -> String {
    format!(r#"{{"v":1,"boot":"{}","seq":{seq},"hash":"","time":1,"signature":""}}"#, boot())
}
