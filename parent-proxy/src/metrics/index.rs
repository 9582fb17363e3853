//! The metrics of the index of keys.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

/// What operators see of the index.
#[derive(Debug, Default)]
pub struct IndexMetrics {
    keys: Gauge,
    complete: Gauge,
    refreshed: Gauge,
    failures: Counter,
}

impl IndexMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        let m = Self::default();
        r.register("index_keys", "Keys in the index", m.keys.clone());
        r.register(
            "index_complete",
            "1 once the store was looked through since the start",
            m.complete.clone(),
        );
        r.register_with_unit(
            "index_refreshed_timestamp",
            "When the last look through the store began that came to its end, since 1970; 0 before",
            Unit::Seconds,
            m.refreshed.clone(),
        );
        r.register("index_failures", "Looks through the store and additions that failed", m.failures.clone());
        m
    }

    /// How many keys are in it.
    pub fn keys(&self, keys: u64) {
        self.keys.set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    /// Whether all that the store had at some time is in it.
    pub fn complete(&self, complete: bool) {
        self.complete.set(complete.into());
    }

    /// All that the store had at this time is in it.
    pub fn refreshed(&self, at: SystemTime, keys: u64) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.refreshed.set(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.complete(true);
        self.keys(keys);
    }

    /// A look through the store, or an addition, failed.
    pub fn failed(&self) {
        self.failures.inc();
    }
}
