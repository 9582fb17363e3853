//! One entry of the log: a line of JSON with its fields in one order and one spelling.

use attestation::DocumentHash;
use serde::Deserialize;
use serde_bytes::ByteArray;
use serde_json::Value;

use super::{
    ClientName, ContentHash, Detail, EntryHash, Keys, MAX_LINE, OperationName, ReasonTag, VERSION, write,
};
use crate::PolicyRef;

/// Why a line is neither an entry nor a checkpoint. Never says what was in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} was expected")]
pub struct Malformed(pub &'static str);

/// How it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It was done.
    Allow,
    /// It was not.
    Deny,
}

impl Decision {
    /// The text in an entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A decision and its reason, which agree: `ok` is the tag of what was allowed, and only of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    decision: Decision,
    tag: ReasonTag,
}

impl Outcome {
    /// Allowed.
    pub const ALLOW: Self = Self { decision: Decision::Allow, tag: ReasonTag::OK };

    /// Denied for this reason.
    pub fn deny(tag: ReasonTag) -> Self {
        let tag = if tag == ReasonTag::OK { ReasonTag::UNNAMED } else { tag };
        Self { decision: Decision::Deny, tag }
    }

    /// The decision.
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// The reason.
    pub const fn tag(&self) -> &ReasonTag {
        &self.tag
    }
}

/// What happened: the part of an entry that the enclave names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// What was asked for.
    pub operation: OperationName,
    /// Who asked, where it was authenticated.
    pub client: Option<ClientName>,
    /// The keys that it is about.
    pub keys: Keys,
    /// How it was decided.
    pub outcome: Outcome,
    /// The policy by which it was decided.
    pub policy: Option<PolicyRef>,
    /// The hash of what was asked.
    pub request: Option<ContentHash>,
    /// The hash of what was answered.
    pub result: Option<ContentHash>,
    /// More about it.
    pub detail: Option<Detail>,
}

impl NewEntry {
    /// An entry with nothing but its operation and how it was decided.
    pub const fn new(operation: OperationName, outcome: Outcome) -> Self {
        Self {
            operation,
            client: None,
            keys: Keys::NONE,
            outcome,
            policy: None,
            request: None,
            result: None,
            detail: None,
        }
    }
}

/// An entry in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// SHA-256 of the boot's attestation document.
    pub boot: DocumentHash,
    /// Its number in the boot, from 1.
    pub seq: u64,
    /// When, in milliseconds since 1970, by the NSM's clock. Never before the entry before it.
    pub time: u64,
    /// What happened.
    pub event: NewEntry,
    /// The hash of the entry before it; [`EntryHash::START`] for the first.
    pub prev: EntryHash,
}

/// The fields as they are in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    v: u8,
    boot: DocumentHash,
    seq: u64,
    time: u64,
    operation: OperationName,
    client: Option<ClientName>,
    keys: Keys,
    decision: Decision,
    tag: ReasonTag,
    policy: Option<WirePolicy>,
    request: Option<ContentHash>,
    result: Option<ContentHash>,
    detail: Option<Value>,
    prev: EntryHash,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePolicy {
    version: u64,
    sha256: ContentHash,
}

impl Entry {
    /// Reads a line without its newline. It must be spelled as [`Self::to_line`] spells it.
    ///
    /// # Errors
    /// [`Malformed`]
    pub fn parse(line: &[u8]) -> Result<Self, Malformed> {
        if line.len() > MAX_LINE {
            return Err(Malformed("a line of at most 32768 bytes"));
        }
        let wire: Wire = serde_json::from_slice(line).map_err(|_| Malformed("an entry of version 1"))?;
        let outcome = match (wire.decision, wire.tag) {
            (Decision::Allow, tag) if tag == ReasonTag::OK => Outcome::ALLOW,
            (Decision::Deny, tag) if tag != ReasonTag::OK => Outcome::deny(tag),
            _ => return Err(Malformed("the tag ok for what was allowed, and only for that")),
        };
        let most = wire.operation.most_detail();
        let detail = wire.detail.as_ref().map(|detail| Detail::from_json(detail, most)).transpose();
        let entry = Self {
            boot: wire.boot,
            seq: wire.seq,
            time: wire.time,
            event: NewEntry {
                operation: wire.operation,
                client: wire.client,
                keys: wire.keys,
                outcome,
                policy: wire.policy.map(|policy| PolicyRef {
                    version: policy.version,
                    sha256: ByteArray::new(*policy.sha256.as_bytes()),
                }),
                request: wire.request,
                result: wire.result,
                detail: detail.map_err(|_| Malformed("a detail within its limits"))?,
            },
            prev: wire.prev,
        };
        if wire.v != VERSION || entry.seq == 0 {
            return Err(Malformed("an entry of version 1"));
        }
        if entry.to_line().as_bytes() != line {
            return Err(Malformed("the one spelling of an entry"));
        }
        Ok(entry)
    }

    /// The line, without a newline.
    pub fn to_line(&self) -> String {
        let mut out = String::with_capacity(640);
        write_entry(&mut out, &self.boot, self.seq, self.time, &self.event, &self.prev);
        out
    }
}

/// The one place that spells an entry.
pub(super) fn write_entry(
    out: &mut String,
    boot: &DocumentHash,
    seq: u64,
    time: u64,
    event: &NewEntry,
    prev: &EntryHash,
) {
    out.push_str("{\"v\":1,\"boot\":");
    write::hex(out, boot.as_bytes());
    out.push_str(",\"seq\":");
    write::plain(out, seq);
    out.push_str(",\"time\":");
    write::plain(out, time);
    out.push_str(",\"operation\":");
    write::text(out, event.operation.as_str());
    out.push_str(",\"client\":");
    write::option(out, event.client.as_ref(), |out, client| write::text(out, client.as_str()));
    out.push_str(",\"keys\":[");
    for (at, key) in event.keys.as_slice().iter().enumerate() {
        out.push_str(if at > 0 { ",\"" } else { "\"" });
        write::plain(out, key);
        out.push('"');
    }
    out.push_str("],\"decision\":");
    write::text(out, event.outcome.decision().as_str());
    out.push_str(",\"tag\":");
    write::text(out, event.outcome.tag().as_str());
    out.push_str(",\"policy\":");
    write::option(out, event.policy.as_ref(), |out, policy| {
        out.push_str("{\"version\":");
        write::plain(out, policy.version);
        out.push_str(",\"sha256\":");
        write::hex(out, policy.sha256.as_slice());
        out.push('}');
    });
    out.push_str(",\"request\":");
    write::option(out, event.request, |out, hash| write::hex(out, hash.as_bytes()));
    out.push_str(",\"result\":");
    write::option(out, event.result, |out, hash| write::hex(out, hash.as_bytes()));
    out.push_str(",\"detail\":");
    write::option(out, event.detail.as_ref(), |out, detail| detail.write(out));
    out.push_str(",\"prev\":");
    write::hex(out, prev.as_bytes());
    out.push('}');
}
