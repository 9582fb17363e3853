//! Times: the machine's clock, and RFC 3339 as people write it.

use std::time::{SystemTime, UNIX_EPOCH};

use protocol::timestamp::Timestamp;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::error::Error;

/// The machine's time, in milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// This moment in whole seconds, for what operators sign.
pub(crate) fn timestamp() -> Result<Timestamp, Error> {
    Timestamp::from_seconds(now() / 1000)
        .ok_or_else(|| Error::Failed("a clock that is set before the year 10000 was expected".into()))
}

/// Milliseconds since 1970 from RFC 3339 text.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok())
        .ok_or_else(|| "a time of RFC 3339 was expected, such as 2025-01-06T16:07:05Z".to_owned())
}

/// Milliseconds since 1970 as RFC 3339 text.
pub(crate) fn format(milliseconds: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{milliseconds} ms after 1970"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        assert_eq!(format(1_736_179_625_472), "2025-01-06T16:07:05.472Z");
        assert_eq!(parse("2025-01-06T16:07:05.472Z"), Ok(1_736_179_625_472));
        assert_eq!(parse("2025-01-06T17:07:05.472+01:00"), Ok(1_736_179_625_472));
        for bad in ["", "yesterday", "2025-01-06", "2025-01-06T16:07:05", "1969-12-31T23:59:59Z"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(format(u64::MAX), "18446744073709551615 ms after 1970");
    }
}
