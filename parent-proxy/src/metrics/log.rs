//! The log's metrics.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::{
    LATENCIES,
    labels::{KindLabel, OutcomeLabel},
};

/// What operators see of the log.
#[derive(Debug)]
pub struct LogMetrics {
    lines: Counter,
    checkpoints: Counter,
    sync_seconds: Histogram,
    backlog: Gauge,
    failing: Gauge,
    failures: Family<KindLabel, Counter>,
    refused: Counter,
    asked: Counter,
    shipped: Family<OutcomeLabel, Counter>,
    shipping_lag: Gauge,
}

impl LogMetrics {
    pub(super) fn new(r: &mut Registry) -> Self {
        let metrics = Self {
            lines: Counter::default(),
            checkpoints: Counter::default(),
            sync_seconds: Histogram::new(LATENCIES),
            backlog: Gauge::default(),
            failing: Gauge::default(),
            failures: Family::default(),
            refused: Counter::default(),
            asked: Counter::default(),
            shipped: Family::default(),
            shipping_lag: Gauge::default(),
        };
        r.register("log_lines", "Entries of the log that are on disk", metrics.lines.clone());
        r.register("log_checkpoints", "Checkpoints that are on disk", metrics.checkpoints.clone());
        r.register_with_unit(
            "log_sync",
            "Flushing lines to disk",
            Unit::Seconds,
            metrics.sync_seconds.clone(),
        );
        r.register("log_backlog", "Entries that wait to be written", metrics.backlog.clone());
        r.register("log_failing", "1 while the log cannot be written", metrics.failing.clone());
        r.register("log_failures", "Attempts to write the log that failed", metrics.failures.clone());
        r.register("log_refused_lines", "Lines that were not taken", metrics.refused.clone());
        r.register("log_lines_asked", "Questions for lines that did not come", metrics.asked.clone());
        r.register("log_shipped", "Parts of the log shipped to the store", metrics.shipped.clone());
        r.register_with_unit(
            "log_shipping_lag",
            "Age of the oldest segment that is not in the store",
            Unit::Seconds,
            metrics.shipping_lag.clone(),
        );
        // So that a rule sees the first one as an increase.
        for outcome in ["created", "existing", "conflict", "failed"] {
            drop(metrics.shipped.get_or_create(&OutcomeLabel { outcome }));
        }
        metrics
    }

    /// Lines were flushed to disk.
    pub fn wrote(&self, entries: u64, checkpoint: bool, flush: Duration) {
        self.lines.inc_by(entries);
        self.checkpoints.inc_by(checkpoint.into());
        self.sync_seconds.observe(flush.as_secs_f64());
    }

    /// How many entries wait.
    pub fn backlog(&self, lines: usize) {
        self.backlog.set(i64::try_from(lines).unwrap_or(i64::MAX));
    }

    /// An attempt to write failed, or writing is well again.
    pub fn failing(&self, why: Option<&'static str>) {
        self.failing.set(why.is_some().into());
        if let Some(kind) = why {
            self.failures.get_or_create(&KindLabel { kind }).inc();
        }
    }

    /// A line was not taken.
    pub fn refused_line(&self) {
        self.refused.inc();
    }

    /// The enclave was asked for lines.
    pub fn asked(&self) {
        self.asked.inc();
    }

    /// A part of the log was shipped, or not.
    pub fn shipped(&self, outcome: &'static str) {
        self.shipped.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// How long something has been waiting to be shipped.
    pub fn shipping_lag(&self, lag: Duration) {
        self.shipping_lag.set(i64::try_from(lag.as_secs()).unwrap_or(i64::MAX));
    }
}
