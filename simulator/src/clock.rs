//! The time as the simulated services see it, so that a test can move it.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Answers the time in milliseconds since 1970.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// The machine's own time.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis().try_into().unwrap_or(u64::MAX)
    })
}
