//! What came of all keys, in memory that does not grow with them: counts, and the first that did
//! not open.

use std::{collections::BTreeMap, time::Instant};

use protocol::KeyId;
use serde::Serialize;

use super::{Expected, Finding};
use crate::output::Sheet;

/// How many keys are named.
const NAMED: usize = 20;
/// How many of them people are told.
const TOLD: usize = 5;
/// More different tags than this are counted together: the parent could have as many as it liked.
const MAX_TAGS: usize = 64;

/// The longest text of a key, in characters.
const MAX_TEXT: usize = 300;

/// What came of all keys.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tally {
    /// Keys that were asked for and answered.
    pub(crate) checked: u64,
    /// Opened by an attested enclave, and the key that is known.
    pub(crate) opened: u64,
    /// Opened, and another key.
    pub(crate) differing: u64,
    /// The parent has no record.
    pub(crate) missing: u64,
    /// The parent has no record, and the exchange's list does not have the key: a creation that was
    /// cut short leaves such an entry on the log. Not among the missing.
    pub(crate) missing_unlisted: u64,
    /// Not opened, by the refusal's tag.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Said to have opened, without proof.
    pub(crate) unproven: u64,
    /// The first that did not open, or not as they should.
    pub(crate) first: Vec<Named>,
    /// Why the run ended before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) interrupted: Option<String>,
    /// When the oldest of the missing was made, in milliseconds since 1970.
    #[serde(skip)]
    pub(crate) oldest_missing: Option<u64>,
    /// Missing ones of which nobody knows when they were made.
    #[serde(skip)]
    pub(crate) missing_undated: u64,
    /// When the first and the last one opened.
    #[serde(skip)]
    pub(crate) openings: Option<(Instant, Instant)>,
}

/// A key that did not open as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Named {
    key_id: KeyId,
    result: &'static str,
    /// Which check or which refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
}

impl Tally {
    /// Counts one. `tells_unlisted`: the exchange's list was read, so that a key that is not in it is
    /// nobody's.
    pub(crate) fn count(&mut self, expected: &Expected, finding: Finding, tells_unlisted: bool) {
        self.checked = self.checked.saturating_add(1);
        let (result, tag, message) = match finding {
            Finding::Opened => {
                self.opened = self.opened.saturating_add(1);
                let now = Instant::now();
                self.openings = Some((self.openings.map_or(now, |(first, _)| first), now));
                return;
            }
            Finding::Missing if tells_unlisted && expected.listed.is_none() => {
                self.missing_unlisted = self.missing_unlisted.saturating_add(1);
                return;
            }
            Finding::Missing => {
                self.missing = self.missing.saturating_add(1);
                match (self.oldest_missing, expected.created) {
                    (_, None) => self.missing_undated = self.missing_undated.saturating_add(1),
                    (None, created) => self.oldest_missing = created,
                    (Some(oldest), Some(created)) => self.oldest_missing = Some(oldest.min(created)),
                }
                ("missing", None, String::new())
            }
            Finding::Differing(refused) => {
                self.differing = self.differing.saturating_add(1);
                ("differing", Some(refused.check.to_owned()), refused.message)
            }
            Finding::Unproven(refused) => {
                self.unproven = self.unproven.saturating_add(1);
                ("unproven", Some(refused.check.to_owned()), refused.message)
            }
            Finding::Refused { tag, message } => {
                let known = self.refused.len() < MAX_TAGS || self.refused.contains_key(&tag);
                let name = if known && tag.len() <= MAX_TAGS { tag.as_str() } else { "others" };
                let count = self.refused.entry(name.to_owned()).or_default();
                *count = count.saturating_add(1);
                ("refused", Some(tag), message)
            }
        };
        if self.first.len() < NAMED {
            let (tag, message) = (tag.map(short), short(message));
            self.first.push(Named { key_id: expected.key_id, result, tag, message });
        }
    }

    /// Keys that did not open as they should.
    pub(crate) fn wrong(&self) -> u64 {
        self.checked.saturating_sub(self.opened).saturating_sub(self.missing_unlisted)
    }

    /// Whether every key opened as it should, and at least one.
    pub(crate) fn holds(&self) -> bool {
        self.opened > 0 && self.wrong() == 0 && self.interrupted.is_none()
    }

    /// For people.
    pub(crate) fn show(&self, asked: u64, sheet: &mut Sheet) {
        let line = format!("{} of {asked} records were opened, and are the keys that are known", self.opened);
        if self.holds() {
            sheet.good(line)
        } else {
            sheet.bad(line)
        }
        if let Some(why) = &self.interrupted {
            sheet.bad(format!("interrupted after {} of {asked}: {why}", self.checked));
        }
        for (name, count, what) in [
            ("differing", self.differing, "opened, and are other keys than those that are known"),
            ("missing", self.missing, "are not in the store"),
            ("unproven", self.unproven, "are said to have opened, and no enclave states it"),
        ] {
            if count > 0 {
                sheet.row(name, format!("{count} {what}"));
            }
        }
        for (tag, count) in &self.refused {
            sheet.row("refused", format!("{count} {tag}"));
        }
        if self.missing_unlisted > 0 {
            let count = self.missing_unlisted;
            sheet.note(format!(
                "{count} keys of the log have no record and no address in the list: creations cut short"
            ));
        }
        for named in self.first.iter().take(TOLD) {
            let tag = named.tag.as_deref().unwrap_or_default();
            sheet.note(format!("{} {} {tag} {}", named.key_id, named.result, named.message).trim_end());
        }
        let more = self.wrong().saturating_sub(u64::try_from(TOLD).unwrap_or_default());
        if more > 0 {
            sheet.note(format!("… and {more} more"));
        }
    }
}

/// As much of a text of the parent's as is worth telling.
fn short(text: String) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::inventory::tests::key;
    use verifier::Refused;

    fn expected(created: Option<u64>) -> Expected {
        Expected { key_id: key(0), listed: None, records: Vec::new(), created }
    }

    #[test]
    fn the_oldest_missing_key_is_remembered_and_only_the_first_are_named() {
        let mut tally = Tally::default();
        for created in [Some(7), None, Some(3), Some(9)].into_iter().cycle().take(100) {
            tally.count(&expected(created), Finding::Missing, false);
        }
        assert_eq!((tally.missing, tally.missing_undated, tally.oldest_missing), (100, 25, Some(3)));
        assert_eq!(tally.first.len(), NAMED);
        assert!(!tally.holds());
    }

    #[test]
    fn a_key_that_only_the_log_names_is_nobodys_where_there_is_a_list() {
        let mut tally = Tally::default();
        tally.count(&expected(Some(1)), Finding::Missing, true);
        tally.count(&expected(Some(1)), Finding::Opened, true);
        assert_eq!((tally.missing, tally.missing_unlisted, tally.oldest_missing), (0, 1, None));
        assert!(tally.holds());
        tally.count(&expected(Some(1)), Finding::Unproven(Refused::new("statement", "")), true);
        assert!(!tally.holds());
    }

    #[test]
    fn nothing_opened_is_nothing_that_holds() {
        assert!(!Tally::default().holds());
    }

    #[test]
    fn a_parent_cannot_make_the_tally_grow() {
        let mut tally = Tally::default();
        for number in 0..1000 {
            let finding = Finding::Refused { tag: format!("tag.{number}"), message: String::new() };
            tally.count(&expected(None), finding, false);
        }
        let long = Finding::Refused { tag: "x".repeat(1 << 20), message: String::new() };
        tally.count(&expected(None), long, false);
        assert!(tally.refused.len() <= MAX_TAGS + 1);
        assert_eq!(tally.refused.values().sum::<u64>(), 1001);
    }
}
