//! Where log lines go: standard error, for people or as JSON. Libraries log warnings only, so
//! that no request line, header or object of theirs ends up here.

use std::io::IsTerminal;

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, registry, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Starts to log. Only the first call in a process has an effect.
pub fn start(format: LogFormat, level: Level) {
    let filter = Targets::new()
        .with_default(LevelFilter::from_level(level.min(Level::WARN)))
        .with_target("parent_proxy", level);
    let registry = registry().with(filter);
    // Whoever started a logger first, a test for example, keeps it.
    let _ = match format {
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
    };
}
