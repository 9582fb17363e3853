//! What alerts read of an entry. Tolerant: what a later enclave writes besides is left alone, and
//! what is not there is nothing.

use attestation::DocumentHash;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The most keys that an event names.
const KEYS: usize = 16;

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
