//! The clock window of requests: how far the time at which a client signed may be from the enclave's.

use super::RequestError;

/// How far `created` may be from the enclave's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long ago a request may have been signed, in seconds. So long can a hostile parent hold one back,
    /// and so long its nonce must be remembered.
    pub past_seconds: u64,
    /// How far the client's clock may be ahead, in seconds.
    pub future_seconds: u64,
}

impl Default for Window {
    /// 60 s back and 30 s ahead: enough for the way here and for a clock that NTP sets, and no more, since
    /// everything within can be delayed by the parent and takes up memory. A client that wants less sets
    /// `expires`.
    fn default() -> Self {
        Self { past_seconds: 60, future_seconds: 30 }
    }
}

impl Window {
    /// Checks `created` and `expires`, in seconds since 1970, by the enclave's clock, `now_ms`, in
    /// milliseconds. Both ends of the window are within it; at `expires` the request has expired.
    ///
    /// # Errors
    /// [`RequestError::Stale`], [`RequestError::Future`] and [`RequestError::Expired`]
    pub const fn check(&self, created: u64, expires: Option<u64>, now_ms: u64) -> Result<(), RequestError> {
        if self.is_past(created, now_ms) {
            return Err(RequestError::Stale { past_seconds: self.past_seconds });
        }
        if milliseconds(created) > now_ms.saturating_add(milliseconds(self.future_seconds)) {
            return Err(RequestError::Future { future_seconds: self.future_seconds });
        }
        match expires {
            Some(expires) if milliseconds(expires) <= now_ms => Err(RequestError::Expired),
            _ => Ok(()),
        }
    }

    /// Whether it was so long ago that no such request is taken any more.
    pub(super) const fn is_past(&self, created: u64, now_ms: u64) -> bool {
        milliseconds(created.saturating_add(self.past_seconds)) < now_ms
    }
}

const fn milliseconds(seconds: u64) -> u64 {
    seconds.saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { past_seconds: 60, future_seconds: 30 };

    #[test]
    fn the_window_ends_where_it_says_both_ways() {
        let check = |now_ms| WINDOW.check(1000, None, now_ms);
        assert_eq!(check(1_060_000), Ok(()));
        assert_eq!(check(1_060_001), Err(RequestError::Stale { past_seconds: 60 }));
        assert_eq!(check(970_000), Ok(()));
        assert_eq!(check(969_999), Err(RequestError::Future { future_seconds: 30 }));
        assert_eq!(check(1_000_000), Ok(()));
        assert_eq!(Window::default(), WINDOW);
    }

    #[test]
    fn a_request_expires_when_the_client_said_and_not_later_than_the_window() {
        let check = |expires, now_ms| WINDOW.check(1000, Some(expires), now_ms);
        assert_eq!(check(1005, 1_004_999), Ok(()));
        assert_eq!(check(1005, 1_005_000), Err(RequestError::Expired));
        assert_eq!(check(5000, 1_060_001), Err(RequestError::Stale { past_seconds: 60 }));
    }

    #[test]
    fn no_time_overflows() {
        let all = Window { past_seconds: u64::MAX, future_seconds: u64::MAX };
        for window in [WINDOW, all, Window { past_seconds: 0, future_seconds: 0 }] {
            for created in [0, 1, u64::MAX] {
                for now in [0, 1, u64::MAX] {
                    let _ = window.check(created, Some(created), now);
                }
            }
        }
        assert_eq!(all.check(u64::MAX, None, 0), Ok(()));
        assert!(WINDOW.check(u64::MAX, None, 0).is_err());
    }
}
