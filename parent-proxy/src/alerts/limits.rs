//! Bounds of alerts, and why they cannot be told.

use std::{io, path::PathBuf, time::Duration};

/// Why alerts cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum AlertError {
    /// The folder is no use.
    #[error("{0}: {1}")]
    Folder(PathBuf, io::Error),
    /// There is no client for webhooks.
    #[error("a client for webhooks: {0}")]
    Client(String),
}

/// Bounds of alerts.
#[derive(Debug, Clone, Copy)]
pub struct AlertLimits {
    /// The time for which failed authentication, refusals and near bounds are gathered.
    pub window: Duration,
    /// The most bytes of events that are kept.
    pub bytes: u64,
    /// For one delivery.
    pub timeout: Duration,
    /// Waits after a delivery that failed: the shortest and the longest.
    pub retry: (Duration, Duration),
}

impl Default for AlertLimits {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            bytes: 64 << 20,
            timeout: Duration::from_secs(15),
            retry: (Duration::from_secs(1), Duration::from_secs(300)),
        }
    }
}
