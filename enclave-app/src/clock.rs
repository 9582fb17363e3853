//! Time as the NSM tells it: the timestamp of its last attestation document and the monotonic
//! clock since. Never the host's clock.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use aws_smithy_async::time::TimeSource;
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// Milliseconds since 1970, from the NSM. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    base: Arc<Mutex<Base>>,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    timestamp: u64,
    at: Instant,
    /// What was told before: time stands still where it would go back.
    floor: u64,
}

impl Base {
    fn now(self) -> u64 {
        let elapsed = u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.timestamp.saturating_add(elapsed).max(self.floor)
    }
}

impl Clock {
    /// Starts from a document's timestamp.
    pub fn new(timestamp: u64) -> Self {
        Self { base: Arc::new(Mutex::new(Base { timestamp, at: Instant::now(), floor: timestamp })) }
    }

    /// Takes over a document's timestamp. Where the monotonic clock ran ahead of the NSM's, time
    /// stands still until the NSM's has come as far; it never goes back.
    pub fn refresh(&self, timestamp: u64) {
        let mut base = self.lock();
        *base = Base { timestamp, at: Instant::now(), floor: base.now() };
    }

    /// Milliseconds since 1970.
    pub fn now(&self) -> u64 {
        self.lock().now()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Base> {
        // Two plain numbers: what a panicking holder left is whole.
        self.base.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.now())))
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_millis(Self::now(self)))
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_document_and_never_back() {
        let clock = Clock::new(1_700_000_000_000);
        let first = Clock::now(&clock);
        assert!((1_700_000_000_000..1_700_000_001_000).contains(&first));
        clock.refresh(1_600_000_000_000);
        assert!(Clock::now(&clock) >= first);
        clock.refresh(1_800_000_000_000);
        assert!(Clock::now(&clock) >= 1_800_000_000_000);
        // What ran ahead is set right: it does not stay ahead for ever.
        clock.refresh(1_800_000_000_000 - 50);
        std::thread::sleep(Duration::from_millis(60));
        let now = Clock::now(&clock);
        assert!((1_800_000_000_000..1_800_000_000_000 + 5_000).contains(&now));
    }
}
