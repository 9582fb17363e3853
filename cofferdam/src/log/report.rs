//! What was found in a log, for people and for programs.

use std::collections::BTreeMap;

use attestation::{DocumentHash, Pcr};
use protocol::log::Head;
use serde::Serialize;
use serde_json::{Value, json};
use verifier::log::{BootIdentity, Verifier};

use super::lineage::Node;
use crate::{
    clock,
    output::{Sheet, Show},
};
use verifier::Refused;

/// A boot whose lines all hold.
#[derive(Debug)]
pub(crate) struct BootReport {
    pub(crate) boot: DocumentHash,
    pub(super) started: u64,
    pub(super) pcr0: Pcr,
    pub(crate) previous: Option<Head>,
    pub(crate) entries: u64,
    pub(super) checkpoints: u64,
    pub(crate) from: Option<u64>,
    pub(crate) to: Option<u64>,
    /// The last entry that a checkpoint covers.
    pub(crate) signed: Option<Head>,
    pub(crate) unsigned: u64,
    pub(super) unfinished: usize,
    pub(crate) operations: BTreeMap<String, u64>,
    pub(crate) denied: BTreeMap<String, u64>,
}

/// A boot in which something does not hold.
#[derive(Debug)]
pub(crate) struct BootFault {
    pub(crate) boot: DocumentHash,
    /// The first entry that is missing, changed, out of place or of another enclave.
    pub(crate) seq: Option<u64>,
    pub(crate) refused: Refused,
}

/// The log as a whole.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(super) verified: bool,
    pub(crate) boots: usize,
    pub(crate) entries: u64,
    /// Entries that no checkpoint covers.
    pub(crate) unsigned: u64,
    /// Whether the log contains what the witness saw; nothing where no witness was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) witnessed: Option<bool>,
}

impl BootReport {
    pub(super) const fn new(identity: &BootIdentity) -> Self {
        Self {
            boot: identity.boot,
            started: identity.started,
            pcr0: identity.pcr0,
            previous: None,
            entries: 0,
            checkpoints: 0,
            from: None,
            to: None,
            signed: None,
            unsigned: 0,
            unfinished: 0,
            operations: BTreeMap::new(),
            denied: BTreeMap::new(),
        }
    }

    /// Its place among the boots.
    pub(super) fn node(&self) -> Node {
        Node { boot: self.boot, previous: self.previous, signed: self.signed.map(|head| head.seq) }
    }

    /// Takes over what is known at the end.
    pub(super) fn end(&mut self, verifier: &Verifier) {
        self.signed = verifier.signed();
        self.unsigned = verifier.unsigned();
    }
}

impl Serialize for BootReport {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "boot": self.boot, "verified": true, "started": clock::format(self.started), "pcr0": self.pcr0,
            "previous": self.previous, "entries": self.entries, "checkpoints": self.checkpoints,
            "from": self.from.map(clock::format), "to": self.to.map(clock::format),
            "signed": self.signed.map(|head| head.seq), "unsigned": self.unsigned, "unfinished_bytes": self.unfinished,
            "operations": self.operations, "denied": self.denied,
        })
        .serialize(serializer)
    }
}

impl Show for BootReport {
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(format!("boot {}", self.boot));
        let previous = match &self.previous {
            None => "nothing: a first boot".to_owned(),
            Some(head) => format!("boot {} at entry {}", head.boot, head.seq),
        };
        sheet.row("continues", previous);
        sheet.row("started", clock::format(self.started));
        sheet.row("PCR0", self.pcr0.to_string());
        match (self.from, self.to) {
            (Some(from), Some(to)) => {
                let (from, to) = (clock::format(from), clock::format(to));
                sheet.row("entries", format!("{} ({from} to {to})", self.entries));
            }
            _ => sheet.row("entries", "none"),
        }
        sheet.row(
            "checkpoints",
            match self.signed {
                Some(head) => format!("{}, the last over entry {}", self.checkpoints, head.seq),
                None => "none".to_owned(),
            },
        );
        sheet.row("operations", counts(&self.operations));
        sheet.row("denied", counts(&self.denied));
        if self.unsigned > 0 {
            let first = self.signed.map_or(0, |head| head.seq) + 1;
            sheet.warn(format!(
                "not signed: {}, from entry {first} on. No checkpoint covers them: whoever keeps the log could have written them, or cut others off",
                self.unsigned
            ));
        }
        if self.unfinished > 0 {
            sheet.warn(format!("{} bytes of an unfinished line at the end are not read", self.unfinished));
        }
        sheet.plain("");
    }
}

fn counts(counts: &BTreeMap<String, u64>) -> String {
    let list: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

impl Serialize for BootFault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut error = self.refused.to_json();
        if let (Some(seq), Some(fields)) = (self.seq, error.as_object_mut()) {
            fields.insert("seq".into(), Value::from(seq));
        }
        json!({"boot": self.boot, "verified": false, "error": error}).serialize(serializer)
    }
}

impl Show for BootFault {
    fn show(&self, sheet: &mut Sheet) {
        sheet.plain(format!("boot {}", self.boot));
        sheet.bad(&self.refused.message);
        sheet.plain("");
    }
}

impl Show for Summary {
    fn show(&self, sheet: &mut Sheet) {
        let Self { boots, entries, unsigned, .. } = self;
        sheet.good(format!("verified: {entries} entries of {boots} boots"));
        if *unsigned > 0 {
            sheet.warn(format!("not signed: {unsigned} of them"));
        }
        match self.witnessed {
            Some(_) => sheet.note("the log contains what the witness saw"),
            None => {
                sheet.note("what was cut off at the end of the last boot shows only in a witness: --seen")
            }
        }
    }
}
