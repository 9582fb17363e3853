//! What strangers put on the log: a bounded number of entries a day, and beyond it a count. A stranger
//! is whoever cannot show the signature of a client of the policy; anybody can be one, as often as the
//! network allows, and what is on the log is kept for years.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A day of the enclave's clock, in milliseconds.
const DAY: u64 = 24 * HOUR;
/// The least time between two counts.
const HOUR: u64 = 60 * 60 * 1000;
/// The most entries of a day that are counts: one an hour.
const COUNTS: u32 = 24;
/// The most entries of a day for single requests: with the counts, 1,000.
const ENTRIES: u32 = 1_000 - COUNTS;
/// The most tags that are counted apart; there are fewer. With numbers of any length they fit a detail.
const TAGS: usize = 40;
/// The tag of what is beyond.
const OTHER: &str = "other";

/// What strangers asked, by the enclave's clock, which never goes back.
#[derive(Debug, Default)]
pub(crate) struct Strangers {
    /// The day of the entries.
    day: u64,
    entries: u32,
    /// When a count was last put on the log.
    told: Option<u64>,
    /// When the first that is counted came.
    since: u64,
    /// How many were counted since, by tag.
    counted: BTreeMap<String, u64>,
}

impl Strangers {
    /// Whether what was refused for this reason may be an entry of its own. Where it may not, it is
    /// counted.
    pub(crate) fn may_enter(&mut self, tag: &str, now: u64) -> bool {
        let day = now / DAY;
        if self.day != day {
            self.day = day;
            self.entries = 0;
        }
        if self.entries < ENTRIES {
            self.entries = self.entries.saturating_add(1);
            return true;
        }
        if self.counted.is_empty() {
            self.since = now;
        }
        let known = self.counted.contains_key(tag) || self.counted.len() < TAGS;
        let count = self.counted.entry(if known { tag } else { OTHER }.to_owned()).or_default();
        *count = count.saturating_add(1);
        false
    }

    /// The count, once it is to be an entry: when its day is over; and before an entry that is not a
    /// stranger's, so that it stands there where the log goes on, but no more than once an hour, so
    /// that entries of others do not make strangers' more.
    pub(crate) fn due(&mut self, before_another: bool, now: u64) -> Option<Value> {
        let is_over = now / DAY > self.since / DAY;
        let told_long_ago = self.told.is_none_or(|told| now.saturating_sub(told) >= HOUR);
        if self.counted.is_empty() || !(is_over || before_another && told_long_ago) {
            return None;
        }
        self.told = Some(now);
        let tags = std::mem::take(&mut self.counted);
        let count = tags.values().fold(0u64, |sum, count| sum.saturating_add(*count));
        Some(json!({ "count": count, "since": self.since, "tags": tags, "until": now }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::log::{Detail, OperationName};

    /// A midnight.
    const START: u64 = 20_000 * DAY;

    fn count(told: Option<Value>) -> Option<u64> {
        told.map(|told| told["count"].as_u64().unwrap())
    }

    #[test]
    fn strangers_have_a_thousand_entries_of_a_day_whatever_else_is_on_the_log() {
        let mut strangers = Strangers::default();
        // Three days without a pause, a hundred strangers and an entry of others each second.
        let (mut entries, mut told, mut asked) = ([0u64; 4], 0, 0);
        for second in 0..3 * DAY / 1000 {
            let now = START + second * 1000;
            let day = usize::try_from(second * 1000 / DAY).unwrap();
            for _ in 0..100 {
                entries[day] += u64::from(strangers.may_enter("auth.signature", now));
                asked += 1;
            }
            if let Some(count) = count(strangers.due(true, now)) {
                entries[day] += 1;
                told += count;
            }
        }
        assert!(entries.iter().all(|entries| *entries <= 1_000), "{entries:?}");
        assert!(entries[..3].iter().all(|entries| *entries > 990), "{entries:?}");
        // None is lost.
        told += count(strangers.due(false, START + 3 * DAY)).unwrap();
        assert_eq!(told + 3 * u64::from(ENTRIES), asked);
    }

    #[test]
    fn a_count_waits_for_another_entry_or_the_end_of_its_day() {
        let mut strangers = Strangers::default();
        for _ in 0..ENTRIES {
            assert!(strangers.may_enter("auth.client", START + 1));
        }
        assert_eq!(strangers.due(true, START + 2), None, "nothing was counted");
        assert!(!strangers.may_enter("auth.client", START + 3));
        assert!(!strangers.may_enter("dsse.malformed", START + 4));
        assert_eq!(strangers.due(false, START + HOUR), None, "no other entry, and the same day");
        let told = strangers.due(true, START + 5).unwrap();
        let tags = json!({"auth.client": 1, "dsse.malformed": 1});
        assert_eq!(told, json!({"count": 2, "since": START + 3, "tags": tags, "until": START + 5}));
        assert!(!strangers.may_enter("auth.client", START + 6));
        assert_eq!(strangers.due(true, START + 4 + HOUR), None, "within the hour");
        assert_eq!(count(strangers.due(true, START + 5 + HOUR)), Some(1));
        assert!(!strangers.may_enter("auth.client", START + DAY - 1));
        assert_eq!(count(strangers.due(false, START + DAY)), Some(1), "its day is over");
        assert!(strangers.may_enter("auth.client", START + DAY));
    }

    #[test]
    fn a_count_of_everything_fits_a_detail() {
        let mut strangers = Strangers::default();
        for _ in 0..ENTRIES {
            strangers.may_enter("auth.client", START);
        }
        for number in 0..1_000 {
            assert!(!strangers.may_enter(&format!("{number:064}"), START));
        }
        strangers.counted.values_mut().for_each(|count| *count = u64::MAX / 64);
        let told = strangers.due(true, START).unwrap();
        assert_eq!(told["tags"].as_object().unwrap().len(), TAGS + 1);
        let detail = Detail::new(&OperationName::REQUEST, &told).to_value();
        assert_eq!(detail, told);
    }
}
