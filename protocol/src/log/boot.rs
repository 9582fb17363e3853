//! Where a boot's chain begins: what its first entry must say.

use attestation::{DocumentHash, Pcr};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Detail, Entry, EntryHash, OperationName};

/// A place in the log: an entry of a boot by its number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// SHA-256 of the boot's attestation document.
    pub boot: DocumentHash,
    /// The entry's number, from 1.
    pub seq: u64,
    /// The entry's hash.
    pub hash: EntryHash,
}

/// What the first entry of a boot says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootFacts {
    /// The last state of the log that the parent showed; nothing where it showed none. The enclave
    /// cannot tell whether it is the last: a witness can.
    pub previous: Option<Head>,
    /// SHA-384 of the measured configuration, as the session binding has it.
    pub config: [u8; 48],
    /// PCR0 of the image.
    pub pcr0: Pcr,
}

impl BootFacts {
    /// The detail of the first entry: `config`, `pcr0`, and `previous` or null.
    pub fn to_detail(&self) -> Detail {
        let previous = self.previous.map(
            |head| json!({"boot": head.boot.to_string(), "seq": head.seq, "hash": head.hash.to_string()}),
        );
        Detail::new(
            &OperationName::BOOT,
            &json!({
                "config": HEXLOWER.encode(&self.config), "pcr0": self.pcr0.to_string(), "previous": previous,
            }),
        )
    }

    /// What this entry says as a boot's first; nothing when it is another operation or its detail
    /// is not exactly that of [`Self::to_detail`].
    pub fn of(entry: &Entry) -> Option<Self> {
        if entry.event.operation != OperationName::BOOT {
            return None;
        }
        let detail = entry.event.detail.as_ref()?;
        let value = detail.to_value();
        let text = |name| value.get(name).and_then(Value::as_str);
        let facts = Self {
            previous: Option::deserialize(value.get("previous")?).ok()?,
            config: HEXLOWER.decode(text("config")?.as_bytes()).ok()?.try_into().ok()?,
            pcr0: text("pcr0")?.parse().ok()?,
        };
        (facts.to_detail() == *detail).then_some(facts)
    }
}
