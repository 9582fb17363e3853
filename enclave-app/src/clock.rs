//! Time as the NSM tells it: the timestamp of its last attestation document and what has passed
//! since. Never the host's clock.
//!
//! What has passed is `CLOCK_BOOTTIME`: `CLOCK_MONOTONIC` stands still while the machine is suspended,
//! and a policy that expired meanwhile would be in force when it wakes. A machine whose hypervisor
//! stops its clocks as well cannot know; its time is right again with the next document.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use aws_smithy_async::time::TimeSource;
use nix::time::{ClockId, clock_gettime};
use rustls::{pki_types::UnixTime, time_provider::TimeProvider};

/// Milliseconds since 1970, from the NSM. Clones tell the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    base: Arc<Mutex<Base>>,
}

#[derive(Debug, Clone, Copy)]
struct Base {
    timestamp: u64,
    /// When the document came, since the machine's boot.
    at: Option<Duration>,
    /// What was told before: time stands still where it would go back.
    floor: u64,
}

impl Base {
    fn now(self) -> u64 {
        // A kernel without that clock makes everything expired, and nothing last for ever.
        let elapsed = since_boot().zip(self.at).and_then(|(now, at)| now.checked_sub(at));
        let elapsed =
            elapsed.map_or(u64::MAX, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        self.timestamp.saturating_add(elapsed).max(self.floor)
    }
}

impl Clock {
    /// Starts from a document's timestamp.
    pub fn new(timestamp: u64) -> Self {
        Self { base: Arc::new(Mutex::new(Base { timestamp, at: since_boot(), floor: timestamp })) }
    }

    /// Takes over a document's timestamp. Where the machine's clock ran ahead of the NSM's, time
    /// stands still until the NSM's has come as far; it never goes back.
    pub fn refresh(&self, timestamp: u64) {
        let mut base = self.lock();
        *base = Base { timestamp, at: since_boot(), floor: base.now() };
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

/// How long the machine has been up, suspended or not.
fn since_boot() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_BOOTTIME).ok().map(Duration::from)
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
    use std::process::Command;

    /// In the environment: when the document came, by the machine that was suspended since.
    const BEFORE: &str = "COFFERDAM_TEST_BEFORE_SUSPENSION";
    const SUSPENDED: u64 = 100_000;

    #[test]
    fn time_goes_on_while_the_machine_is_suspended() {
        let name = "clock::tests::time_goes_on_while_the_machine_is_suspended";
        if let Ok(before) = std::env::var(BEFORE) {
            // In there, as after a suspension, only the clock that counts it is ahead.
            let at = Duration::from_nanos(before.parse().unwrap());
            let monotonic = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
            assert!(monotonic < since_boot().unwrap() - Duration::from_secs(SUSPENDED / 2));
            let base = Base { timestamp: 1_700_000_000_000, at: Some(at), floor: 0 };
            assert!(base.now() >= 1_700_000_000_000 + SUSPENDED * 1000);
            return;
        }
        // A time namespace (util-linux; root, or whoever may make user namespaces).
        let mut command = Command::new("unshare");
        if !nix::unistd::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let output = command
            .args(["--time", "--boottime", &SUSPENDED.to_string()])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(BEFORE, since_boot().unwrap().as_nanos().to_string())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}{said}");
    }

    #[test]
    fn without_its_clock_everything_is_expired() {
        let base = Base { timestamp: 1_700_000_000_000, at: None, floor: 0 };
        assert_eq!(base.now(), u64::MAX);
    }

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
