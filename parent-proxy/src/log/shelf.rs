//! Which boots and segments there are, as far as they are on disk, and how far each was shipped.
//! A segment is a file of whole lines; all but the one that is being written never change again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use attestation::DocumentHash;

use super::LogError;

/// The name of a boot's attestation document in its folder.
pub(super) const DOCUMENT: &str = "attestation.cose";
/// How far apart the places of an [`Index`] are at least, in bytes.
pub(super) const INDEX_STEP: u64 = 32 * 1024;
/// How many indexes of segments are remembered.
const INDEXES: usize = 2048;

/// Places in a segment: an entry's number and where its line begins, every [`INDEX_STEP`] bytes.
pub(super) type Index = Vec<(u64, u64)>;

/// What is known of a segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The number of its first entry, which is its name.
    pub(super) first: u64,
    /// How many bytes of it are on disk for good.
    pub(super) length: u64,
    /// Whether it will never change again.
    pub(super) closed: bool,
    /// When it was begun, or found.
    pub(super) since: SystemTime,
    /// Made when it is first read.
    pub(super) index: Option<Arc<Index>>,
}

/// What is known of a boot.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub(super) boot: DocumentHash,
    /// In the order of their numbers.
    pub(super) segments: Vec<Segment>,
}

/// What is known of all boots.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    /// In the order in which they began.
    pub(super) boots: Vec<Boot>,
    /// How far each boot was shipped.
    pub(super) shipped: BTreeMap<String, u64>,
    /// The last entry of the newest boot that has one.
    pub(super) head: Option<wire::LogHead>,
    /// The last checkpoint of that boot, JSON.
    pub(super) checkpoint: Option<String>,
    pub(super) indexes: usize,
}

/// A part of a segment to read from.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) length: u64,
    pub(super) index: Option<Arc<Index>>,
    pub(super) first: u64,
}

impl Shelf {
    pub(super) fn boot(&self, boot: &DocumentHash) -> Option<&Boot> {
        self.boots.iter().rev().find(|known| known.boot == *boot)
    }

    pub(super) fn boot_mut(&mut self, boot: &DocumentHash) -> Option<&mut Boot> {
        self.boots.iter_mut().rev().find(|known| known.boot == *boot)
    }

    /// The folder of a boot.
    pub(super) fn folder_of(&self, boot: &DocumentHash) -> PathBuf {
        self.folder.join(boot.to_string())
    }

    /// The segments in which entry `from` and those after it may be, in order.
    ///
    /// # Errors
    /// [`LogError::UnknownBoot`]
    pub(super) fn places(&self, boot: Option<&DocumentHash>, from: u64) -> Result<Vec<Place>, LogError> {
        let known = match boot {
            Some(boot) => self.boot(boot).ok_or(LogError::UnknownBoot)?,
            None => self.boots.last().ok_or(LogError::NotBegun)?,
        };
        let folder = self.folder_of(&known.boot);
        let later = known.segments.partition_point(|segment| segment.first <= from);
        let place = |segment: &Segment| Place {
            path: folder.join(name(segment.first)),
            length: segment.length,
            index: segment.index.clone(),
            first: segment.first,
        };
        Ok(known.segments.iter().skip(later.saturating_sub(1)).map(place).collect())
    }

    /// Remembers the index of a segment that was read.
    pub(super) fn remember(&mut self, path: &Path, first: u64, index: Arc<Index>) {
        if self.indexes >= INDEXES {
            let all = self.boots.iter_mut().flat_map(|boot| &mut boot.segments);
            all.filter(|segment| segment.closed).for_each(|segment| segment.index = None);
            self.indexes = 0;
        }
        let folder = self.folder.clone();
        let boot = self.boots.iter_mut().find(|boot| path.starts_with(folder.join(boot.boot.to_string())));
        let segment = boot.and_then(|boot| boot.segments.iter_mut().find(|segment| segment.first == first));
        if let Some(segment) = segment.filter(|segment| segment.closed) {
            segment.index = Some(index);
            self.indexes += 1;
        }
    }

    /// The oldest that is closed and not shipped: a boot, and the segment or none for its document.
    pub(super) fn to_ship(&self) -> Option<(DocumentHash, Option<Segment>)> {
        self.boots.iter().find_map(|boot| match self.shipped.get(&boot.boot.to_string()) {
            None => Some((boot.boot, None)),
            Some(shipped) => {
                let next = boot.segments.iter().find(|segment| segment.first > *shipped);
                next.filter(|segment| segment.closed).map(|segment| (boot.boot, Some(segment.clone())))
            }
        })
    }

    /// Since when there is something that is not shipped.
    pub(super) fn unshipped_since(&self) -> Option<SystemTime> {
        let unshipped = self.boots.iter().flat_map(|boot| {
            let shipped = self.shipped.get(&boot.boot.to_string()).copied().unwrap_or_default();
            boot.segments.iter().filter(move |segment| segment.first > shipped)
        });
        unshipped.map(|segment| segment.since).min()
    }
}

/// The name of the segment whose first entry has this number.
pub(super) fn name(first: u64) -> String {
    format!("{first:012}.jsonl")
}

/// The number that a segment's name says.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    let first = digits.parse().ok().filter(|first| *first > 0)?;
    (self::name(first) == name).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_has_one_spelling() {
        assert_eq!(name(7), "000000000007.jsonl");
        for first in [1, 64_000, 999_999_999_999, 1_000_000_000_000, u64::MAX] {
            assert_eq!(first_of(&name(first)), Some(first));
        }
        for bad in
            ["000000000000.jsonl", "1.jsonl", "0000000000001.jsonl", "+00000000001.jsonl", "attestation.cose"]
        {
            assert_eq!(first_of(bad), None, "{bad}");
        }
    }
}
