//! Alerts: what operators must hear of at once, told by signed webhooks and counted for
//! Prometheus. Specified in `docs/alerts.md`.
//!
//! Events are read off the log in its order, behind a cursor on disk, so that none is missed over
//! a restart; then they wait in a queue on disk until each endpoint took them. An event may come
//! more than once, always under the same id. Nothing here decides anything: a parent that tells
//! nothing is found out by whoever reads the log.
//!
//! ```text
//! <folder>/reader.json                how far the log was read, and what is being gathered
//! <folder>/events-000000000001.jsonl  the queue, in files named by the number of the first event
//! <folder>/endpoint-<id>.json         the next event for an endpoint
//! <folder>/replay.json                a wish to deliver again, until it is fulfilled
//! ```
//!
//! Counting for Prometheus is apart from it, and needs no folder of alerts: it goes on where nobody
//! is told anything, and where the queue cannot be written.

mod alerting;
pub mod command;
mod counting;
mod courier;
mod derive;
mod endpoint;
mod event;
mod gather;
mod limits;
mod meter;
mod outbox;
mod reader;
mod replay;
mod tail;
mod view;
mod webhook;

pub use alerting::{Alerts, Raised};
pub use counting::Counting;
pub use event::{Event, EventKind};
pub use limits::{AlertError, AlertLimits};
pub use replay::{Replay, ReplayError, ReplayFrom, replay};
pub use webhook::{Secret, WebhookConfig, WebhookError, signature};
