//! What alerts read of an entry. Tolerant: what a later enclave writes besides is left alone, and
//! what is not there is nothing.

use attestation::DocumentHash;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The most keys that an event names.
const KEYS: usize = 16;
/// The tag of an entry that counts what strangers asked, where they may have no more entries of a day.
const STRANGERS: &str = "auth.strangers";

/// An entry of the log, as far as alerts read it.
#[derive(Debug, Deserialize)]
pub(super) struct View {
    pub(super) boot: DocumentHash,
    pub(super) seq: u64,
    #[serde(default)]
    pub(super) time: u64,
    #[serde(default)]
    pub(super) operation: String,
    #[serde(default)]
    pub(super) client: Option<String>,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    decision: String,
    #[serde(default)]
    pub(super) tag: String,
    #[serde(default)]
    pub(super) policy: Option<Policy>,
    #[serde(default)]
    pub(super) detail: Option<Map<String, Value>>,
}

/// The policy that an entry names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
pub(super) struct Policy {
    pub(super) version: u64,
    pub(super) sha256: String,
}

impl View {
    pub(super) fn read(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// Anything but an allowance counts as a refusal.
    pub(super) fn is_denied(&self) -> bool {
        self.decision != "allow"
    }

    /// The tags of what was refused, each with how often: the entry's own, or those that it counts.
    pub(super) fn denials(&self) -> Vec<(&str, u64)> {
        let tags = || self.detail.as_ref()?.get("tags")?.as_object();
        match tags() {
            Some(tags) if self.tag == STRANGERS => {
                tags.iter().map(|(tag, times)| (tag.as_str(), times.as_u64().unwrap_or(1))).collect()
            }
            _ => vec![(self.tag.as_str(), 1)],
        }
    }

    /// Of how many refusals the entry is.
    pub(super) fn times(&self) -> u64 {
        self.denials().into_iter().fold(0, |sum: u64, (_, times)| sum.saturating_add(times)).max(1)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.keys.iter().take(KEYS)
    }

    /// A text of the detail.
    pub(super) fn text(&self, name: &str) -> &str {
        self.detail.as_ref().and_then(|detail| detail.get(name)?.as_str()).unwrap_or_default()
    }

    /// The meters that are near their bounds.
    pub(super) fn near_limit(&self) -> Vec<&str> {
        let meters = self.detail.as_ref().and_then(|detail| detail.get("near_limit")?.as_array());
        meters.into_iter().flatten().filter_map(Value::as_str).collect()
    }
}
