//! An event, and the body in which a webhook carries it.

use std::fmt;

use attestation::DocumentHash;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::{OffsetDateTime, format_description::StaticFormatDescription, macros::format_description};

/// RFC 3339 with milliseconds, UTC.
const MILLISECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// Requests that no client signed, or not as it must be.
    #[serde(rename = "auth.failed")]
    AuthFailed,
    /// Requests that were refused.
    #[serde(rename = "request.denied")]
    Denied,
    /// An order is in effect: a freeze, a pause, a retirement.
    #[serde(rename = "order.accepted")]
    OrderAccepted,
    /// A key was retired and another takes its place.
    #[serde(rename = "key.replaced")]
    KeyReplaced,
    /// Another policy is in force.
    #[serde(rename = "policy.changed")]
    PolicyChanged,
    /// The operators activated a boot.
    #[serde(rename = "enclave.activated")]
    Activated,
    /// An enclave began its log.
    #[serde(rename = "enclave.booted")]
    Booted,
    /// What left within a day is near its bound.
    #[serde(rename = "velocity.near_limit")]
    NearLimit,
    /// KMS refused: the PCRs are not those of the key policy, the key is disabled, or the
    /// credentials are no good.
    #[serde(rename = "kms.denied")]
    KmsDenied,
    /// The log cannot be written; nothing is answered that must be on it.
    #[serde(rename = "log.failing")]
    LogFailing,
    /// The log is written again.
    #[serde(rename = "log.recovered")]
    LogRecovered,
    /// The store has something else under the name of a part of the log.
    #[serde(rename = "log.conflict")]
    LogConflict,
    /// The store does not answer.
    #[serde(rename = "store.failing")]
    StoreFailing,
    /// The store answers again.
    #[serde(rename = "store.recovered")]
    StoreRecovered,
}

impl EventKind {
    /// What a refusal with this tag is.
    pub(super) fn from_denial(tag: &str) -> Self {
        match tag {
            "kms.denied" => Self::KmsDenied,
            tag if tag.starts_with("auth.") => Self::AuthFailed,
            _ => Self::Denied,
        }
    }

    /// The text in an event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthFailed => "auth.failed",
            Self::Denied => "request.denied",
            Self::OrderAccepted => "order.accepted",
            Self::KeyReplaced => "key.replaced",
            Self::PolicyChanged => "policy.changed",
            Self::Activated => "enclave.activated",
            Self::Booted => "enclave.booted",
            Self::NearLimit => "velocity.near_limit",
            Self::KmsDenied => "kms.denied",
            Self::LogFailing => "log.failing",
            Self::LogRecovered => "log.recovered",
            Self::LogConflict => "log.conflict",
            Self::StoreFailing => "store.failing",
            Self::StoreRecovered => "store.recovered",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that operators must hear of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The event's id: the same however often it is told.
    pub id: String,
    /// When it happened, in milliseconds since 1970: by the enclave's clock where it is on the log.
    pub time: u64,
    /// What happened.
    pub kind: EventKind,
    /// The stable reason of a refusal, or the meter that is near its bound.
    pub tag: Option<String>,
    /// The client, where it was one's doing.
    pub client: Option<String>,
    /// The keys that it is about: the first 16.
    pub keys: Vec<String>,
    /// The boot on whose log it is.
    pub boot: Option<String>,
    /// The number of its entry, or of the first of many.
    pub seq: Option<u64>,
    /// More about it, by kind.
    pub detail: Map<String, Value>,
}

impl Event {
    /// An event that is on the log, by its first entry. The same entry gives the same id.
    pub(super) fn from_entry(
        kind: EventKind,
        tag: Option<&str>,
        boot: &DocumentHash,
        seq: u64,
        time: u64,
    ) -> Self {
        let name = format!("cofferdam/alert/v1\n{kind}\n{}\n{boot}\n{seq}\n", tag.unwrap_or_default());
        let hash = Sha256::digest(name.as_bytes());
        Self {
            id: id(hash.get(..16).unwrap_or_default()),
            time,
            kind,
            tag: tag.map(str::to_owned),
            client: None,
            keys: Vec::new(),
            boot: Some(boot.to_string()),
            seq: Some(seq),
            detail: Map::new(),
        }
    }

    /// An event of the parent's own, which is on no log.
    pub(super) fn from_parent(kind: EventKind, time: u64) -> Self {
        let id = id(&rand::random::<[u8; 16]>());
        let (tag, client, boot, seq) = (None, None, None, None);
        Self { id, time, kind, tag, client, keys: Vec::new(), boot, seq, detail: Map::new() }
    }

    /// The body of a webhook: `type`, `timestamp` and `data`, as Standard Webhooks recommends.
    pub(super) fn payload(&self) -> String {
        let nanoseconds = i128::from(self.time) * 1_000_000;
        let timestamp = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
            .ok()
            .and_then(|time| time.format(MILLISECONDS).ok());
        json!({"type": self.kind, "timestamp": timestamp, "data": self}).to_string()
    }

    /// The event in a payload.
    pub(super) fn from_payload(payload: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            data: Event,
        }
        serde_json::from_str::<Payload>(payload).ok().map(|payload| payload.data)
    }
}

/// Without a full stop, which separates the parts of what a webhook's signature covers.
fn id(bytes: &[u8]) -> String {
    format!("evt_{}", HEXLOWER.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_the_same_entry_has_the_same_id_and_its_payload_is_read_as_it_was_written() {
        let boot = DocumentHash::of(b"boot");
        let event = |seq| {
            Event::from_entry(
                EventKind::Denied,
                Some("policy.evm.destination"),
                &boot,
                seq,
                1_700_000_000_123,
            )
        };
        assert_eq!(event(1), event(1));
        assert_ne!(event(1).id, event(2).id);
        assert_ne!(
            Event::from_parent(EventKind::LogFailing, 0).id,
            Event::from_parent(EventKind::LogFailing, 0).id
        );
        let payload = event(1).payload();
        assert!(payload.contains(r#""timestamp":"2023-11-14T22:13:20.123Z""#), "{payload}");
        assert!(payload.contains(r#""type":"request.denied""#));
        assert_eq!(Event::from_payload(&payload), Some(event(1)));
        assert_eq!(Event::from_payload("{}"), None);
        // A time that no calendar has.
        assert!(
            Event::from_parent(EventKind::LogFailing, u64::MAX).payload().contains(r#""timestamp":null"#)
        );
    }

    #[test]
    fn a_kind_is_the_same_text_in_json() {
        for kind in [EventKind::AuthFailed, EventKind::NearLimit, EventKind::StoreRecovered] {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
