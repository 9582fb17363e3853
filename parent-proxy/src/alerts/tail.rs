//! Reading the log to its end, again and again: each entry once, in the order of the boots.

use std::collections::{BTreeMap, HashSet};

use attestation::DocumentHash;

use super::view::View;
use crate::log::{Book, LogError, is_checkpoint};

/// How much of the log is read at once.
const PAGE: usize = 1 << 20;

/// The last entry of each boot that was read.
pub(super) type Read = BTreeMap<String, u64>;

/// Where reading goes on.
pub(super) struct Tail {
    book: Book,
    read: Read,
    /// Boots that were read to their ends.
    ended: HashSet<DocumentHash>,
}

/// A boot whose log is to be read on.
pub(super) struct BootToRead {
    boot: DocumentHash,
    /// Whether more may still be written to it.
    grows: bool,
}

impl Tail {
    /// Behind what was read.
    pub(super) fn new(book: Book, read: Read) -> Self {
        Self { book, read, ended: HashSet::new() }
    }

    /// How far each boot was read.
    pub(super) const fn read(&self) -> &Read {
        &self.read
    }

    /// The boots that are to be read on, in the order in which they began.
    pub(super) fn boots(&mut self) -> Vec<BootToRead> {
        let writing = self.book.progress().borrow().boot;
        let boots = self.book.boots();
        if self.read.len() > boots.len() {
            let there: HashSet<String> = boots.iter().map(ToString::to_string).collect();
            self.read.retain(|boot, _| there.contains(boot));
        }
        if let Some(boot) = writing {
            self.ended.remove(&boot);
        }
        let boots = boots.into_iter().filter(|boot| !self.ended.contains(boot));
        boots.map(|boot| BootToRead { boot, grows: writing == Some(boot) }).collect()
    }

    /// The next entries of a boot; none at its end.
    pub(super) async fn page(&mut self, boot: &BootToRead) -> Result<Option<Vec<View>>, LogError> {
        let name = boot.boot.to_string();
        let last = self.read.get(&name).copied().unwrap_or_default();
        let page = self.book.read(Some(boot.boot), last.saturating_add(1), PAGE).await?;
        let mut read = last;
        let mut views = Vec::new();
        for line in page.split(|b| *b == b'\n').filter(|line| !line.is_empty() && !is_checkpoint(line)) {
            let Some(view) = std::str::from_utf8(line).ok().and_then(View::read) else {
                tracing::warn!(after = read, "an entry of the log is of no form that alerts read");
                continue;
            };
            if view.seq > read {
                read = view.seq;
                views.push(view);
            }
        }
        if read == last {
            if !boot.grows {
                self.ended.insert(boot.boot);
            }
            return Ok(None);
        }
        self.read.insert(name, read);
        Ok(Some(views))
    }
}
