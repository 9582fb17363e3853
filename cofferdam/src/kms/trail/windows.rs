//! How far a call and its entry in the log may lie apart. Narrow, and every entry accounts for a
//! counted number of calls: that an entry happens to be near explains little by itself.

/// CloudTrail's times are whole seconds, cut off: a call was within this after its time.
pub(super) const SECOND: u64 = 1000;
/// How far KMS's clock and the NSM's may be apart, in milliseconds. Both are set by AWS.
pub(super) const CLOCKS: u64 = 5000;
/// How long an enclave may still call after a later boot took its place, in milliseconds: as long
/// as what is under way may take, at most, when it is told to stop.
pub(super) const DRAIN: u64 = 300_000;
/// How often the SDK makes a call whose answer is lost.
pub(super) const ATTEMPTS: u32 = 3;

/// What is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Windows {
    /// How long after its call an entry is written at most, in milliseconds.
    pub(super) after: u64,
    /// How long a data key is used at most, in milliseconds.
    pub(super) data_key_age: u64,
}

impl Windows {
    /// When the entry of a call of this time was written: from, to.
    pub(super) const fn entries_of(&self, call: u64) -> (u64, u64) {
        (call.saturating_sub(CLOCKS), call.saturating_add(SECOND).saturating_add(self.after))
    }

    /// When the calls of an entry of this time were: from, to.
    pub(super) const fn calls_of(&self, entry: u64) -> (u64, u64) {
        (entry.saturating_sub(self.after).saturating_sub(SECOND), entry.saturating_add(CLOCKS))
    }
}

/// Whether one of these times, which are in order, lies in the range, its ends included.
pub(super) fn any_within(times: &[u64], from: u64, to: u64) -> bool {
    let at = times.partition_point(|time| *time < from);
    times.get(at).is_some_and(|time| *time <= to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_of_an_entrys_where_the_entry_is_one_of_the_calls() {
        let windows = Windows { after: 30_000, data_key_age: 0 };
        for call in [0, 1000, 100_000] {
            for entry in (0..200_000).step_by(500) {
                let (from, to) = windows.entries_of(call);
                let (first, last) = windows.calls_of(entry);
                assert_eq!((from..=to).contains(&entry), (first..=last).contains(&call), "{call} {entry}");
            }
        }
        assert!(any_within(&[1, 5, 9], 5, 5) && any_within(&[1, 5, 9], 2, 6));
        assert!(!any_within(&[1, 5, 9], 6, 8) && !any_within(&[], 0, u64::MAX));
    }
}
