//! Moments in documents that people sign: RFC 3339 in UTC, whole seconds, in one spelling.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

const DAY: u64 = 86_400;

/// Text that is no such moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a moment such as 2026-01-31T00:00:00Z, from 1970 to 9999, was expected")]
pub struct NotATimestamp;

/// A moment, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(u64);

impl Timestamp {
    /// The last moment of the year 9999.
    pub const MAX: Self = Self(253_402_300_799);

    /// So many seconds since 1970; `None` after the year 9999.
    pub const fn from_seconds(seconds: u64) -> Option<Self> {
        if seconds <= Self::MAX.0 { Some(Self(seconds)) } else { None }
    }

    /// Seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.0
    }

    /// Milliseconds since 1970.
    pub const fn milliseconds(self) -> u64 {
        self.0.saturating_mul(1000)
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        // Every moment has one spelling, so reading can be writing, compared.
        let field = |from: usize, to: usize| {
            let digits = text.get(from..to).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            digits.and_then(|digits| digits.parse::<u64>().ok()).ok_or(NotATimestamp)
        };
        let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        let seconds = days(year, month, day).and_then(|days| {
            let of_day = hour.checked_mul(3600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
            days.checked_mul(DAY)?.checked_add(of_day)
        });
        let timestamp = seconds.and_then(Self::from_seconds).ok_or(NotATimestamp)?;
        if timestamp.to_string() == text { Ok(timestamp) } else { Err(NotATimestamp) }
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Dates that are none give some number:
/// they are found by writing it again.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let leaps = |years: u64| (years / 4).checked_sub(years / 100)?.checked_add(years / 400);
    let before = year.checked_sub(1)?;
    let whole = year.checked_sub(1970)?.checked_mul(365)?;
    let leaped = leaps(before)?.checked_sub(leaps(1969)?)?;
    let month = usize::try_from(month.checked_sub(1)?).ok()?;
    let of_months: u64 = months(year).get(..month)?.iter().sum();
    whole.checked_add(leaped)?.checked_add(of_months)?.checked_add(day.checked_sub(1)?)
}

const fn months(year: u64) -> [u64; 12] {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
}

impl fmt::Display for Timestamp {
    #[expect(clippy::arithmetic_side_effects, reason = "bounded by MAX, and divided by constants")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut left, second) = (self.0 / DAY, self.0 % DAY);
        let mut year = 1970;
        loop {
            let length = months(year).iter().sum();
            if left < length {
                break;
            }
            left -= length;
            year += 1;
        }
        let mut month = 1;
        for length in months(year) {
            if left < length {
                break;
            }
            left -= length;
            month += 1;
        }
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", left + 1)
    }
}

impl TryFrom<String> for Timestamp {
    type Error = NotATimestamp;

    fn try_from(text: String) -> Result<Self, NotATimestamp> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_have_their_seconds() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2000-03-01T00:00:00Z", 951_868_800),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(text.parse::<Timestamp>().map(Timestamp::seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn other_spellings_and_days_that_are_none_are_refused() {
        for text in [
            "",
            "2023-11-14",
            "2023-11-14T22:13:20",
            "2023-11-14t22:13:20Z",
            "2023-11-14T22:13:20+00:00",
            "2023-11-14T22:13:20.0Z",
            "2023-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "1969-12-31T23:59:59Z",
            "20٢3-11-14T22:13:20Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_read_as_it_is_written(seconds in 0..=Timestamp::MAX.0) {
            let timestamp = Timestamp::from_seconds(seconds).unwrap();
            prop_assert_eq!(timestamp.to_string().parse(), Ok(timestamp));
        }

        #[test]
        fn any_text_is_refused_without_a_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
