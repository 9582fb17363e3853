//! What was found: a stable id, how bad it is, which event, and why.

use attestation::DocumentHash;
use serde::Serialize;

use kms_policies::audit::Severity;

use super::event::Event;
use crate::clock;

/// The stable ids, as `docs/trail.md` has them.
pub(super) mod id {
    pub(in super::super) const AFTER_LAST_CHECKPOINT: &str = "trail.after-last-checkpoint";
    pub(in super::super) const CALLER: &str = "trail.caller";
    pub(in super::super) const CONFLICT: &str = "trail.conflict";
    pub(in super::super) const CONTROL: &str = "trail.control";
    pub(in super::super) const DEBUG_IMAGE: &str = "trail.debug-image";
    pub(in super::super) const DENIED: &str = "trail.denied";
    pub(in super::super) const ENCRYPTION_CONTEXT: &str = "trail.encryption-context";
    pub(in super::super) const GAP: &str = "trail.gap";
    pub(in super::super) const NO_ACTIVITY: &str = "trail.no-activity";
    pub(in super::super) const NO_KEY: &str = "trail.no-key";
    pub(in super::super) const OPERATION: &str = "trail.operation";
    pub(in super::super) const OTHER_IMAGE: &str = "trail.other-image";
    pub(in super::super) const OUTSIDE_BOOT: &str = "trail.outside-boot";
    pub(in super::super) const READ: &str = "trail.read";
    pub(in super::super) const REPEATED: &str = "trail.repeated";
    pub(in super::super) const SERVICE: &str = "trail.service";
    pub(in super::super) const STOPPED: &str = "trail.stopped";
    pub(in super::super) const TRUNCATED: &str = "trail.truncated";
    pub(in super::super) const UNATTESTED: &str = "trail.unattested";
    pub(in super::super) const UNCOVERED: &str = "trail.uncovered";
    pub(in super::super) const UNKNOWN: &str = "trail.unknown";
    pub(in super::super) const UNKNOWN_BOOT: &str = "trail.unknown-boot";
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) id: &'static str,
    pub(super) severity: Severity,
    /// What was expected, and what was found.
    pub(super) why: String,
    /// How many of the same.
    pub(super) count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) event: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<DocumentHash>,
}

/// An event in a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Shown {
    pub(super) event_id: String,
    pub(super) time: String,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) who: String,
    pub(super) source_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

impl Finding {
    /// Of something that is no single event's.
    pub(super) fn new(id: &'static str, severity: Severity, why: impl Into<String>) -> Self {
        Self { id, severity, why: why.into(), count: 1, event: None, boot: None }
    }

    /// Of an event.
    pub(super) fn of(event: &Event, id: &'static str, severity: Severity, why: impl Into<String>) -> Self {
        Self { event: Some(Shown::of(event)), ..Self::new(id, severity, why) }
    }

    /// In a boot.
    pub(super) fn in_boot(self, boot: DocumentHash) -> Self {
        Self { boot: Some(boot), ..self }
    }

    /// So many of the same.
    pub(super) fn times(self, count: u64) -> Self {
        Self { count, ..self }
    }
}

impl Shown {
    fn of(event: &Event) -> Self {
        Self {
            event_id: event.id.clone(),
            time: clock::format(event.time),
            name: event.name.clone(),
            region: event.region.clone(),
            who: event.caller.name(),
            source_ip: event.ip.clone(),
            error: event.error.clone(),
        }
    }
}
