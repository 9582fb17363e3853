//! The lines that came with an answer. They reach the log even when nobody waits for the answer
//! any more: whoever gives up drops them, and dropping them hands them over.

use std::mem;

use wire::LogLine;

use crate::log::{Book, LogError};

/// Lines on their way from the enclave to the log.
pub(super) struct Lines {
    book: Book,
    lines: Vec<LogLine>,
}

impl Lines {
    pub(super) const fn new(book: Book, lines: Vec<LogLine>) -> Self {
        Self { book, lines }
    }

    /// The last of them.
    pub(super) fn last(&self) -> Option<LogLine> {
        self.lines.last().cloned()
    }

    /// Hands them over, and waits until they and all before are on disk.
    pub(super) async fn stored(mut self) -> Result<(), LogError> {
        let lines = mem::take(&mut self.lines);
        if lines.is_empty() { Ok(()) } else { self.book.store(lines).await }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.lines.is_empty() {
            self.book.take(mem::take(&mut self.lines));
        }
    }
}
