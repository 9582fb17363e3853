//! A stored log as it is opened: its boots in order of time, with the entries that others name, for
//! `log verify` and for whoever compares the log with another record.

use std::{collections::HashMap, path::Path};

use attestation::{AttestationDoc, DocumentHash, Pcr};
use verifier::log::LogLine;

use super::{
    boot::{self, Pin, Sink},
    folder::{self, BootFolder, Peek},
    judge::Judge,
    lineage,
    report::{BootFault, BootReport},
    state,
};
use crate::error::Error;
use verifier::Refused;

/// The boots of a folder, before they were verified.
pub(super) struct Stored {
    boots: Vec<(BootFolder, Option<Peek>)>,
    pins: HashMap<DocumentHash, Vec<Pin>>,
}

/// A boot of a log that holds as a whole.
#[derive(Debug, Clone)]
pub(crate) struct HistoryBoot {
    /// SHA-256 of its attestation document.
    pub(crate) boot: DocumentHash,
    /// The enclave's name, as the hypervisor gives it.
    pub(crate) module: String,
    /// PCR0 of the image.
    pub(crate) pcr0: Pcr,
    /// When its document was signed, in milliseconds since 1970.
    pub(crate) started: u64,
    /// The boot that it continues.
    pub(crate) previous: Option<DocumentHash>,
    /// The last entry that a checkpoint covers.
    pub(crate) signed: Option<u64>,
}

impl Stored {
    /// Opens a folder. `seen` is a witness's state: the log must contain what it saw.
    pub(super) fn open(folder: &Path, judge: &Judge, seen: Option<&Path>) -> Result<Self, Error> {
        let peeked = |folder: BootFolder| {
            let peek = folder.peek();
            (folder, peek)
        };
        let mut boots: Vec<_> = folder::boots(folder)?.into_iter().map(peeked).collect();
        if boots.is_empty() {
            return Err(
                Refused::new("missing", "at least one boot was expected, found an empty folder").into()
            );
        }
        boots.sort_by_key(|(_, peek)| peek.map(|peek| peek.time));
        let pins = named_by_later_boots(&boots);
        let mut stored = Self { boots, pins };
        if let Some(file) = seen {
            stored.witnessed(file, judge)?;
        }
        Ok(stored)
    }

    fn witnessed(&mut self, file: &Path, judge: &Judge) -> Result<(), Error> {
        let seen = state::existing(file)?;
        let boot = self.boots.iter().map(|(folder, _)| folder).find(|folder| folder.boot == seen.head.boot);
        let Some(boot) = boot else {
            let text = format!(
                "the boot {} is missing: the witness saw its entry {}",
                seen.head.boot, seen.head.seq
            );
            return Err(Refused::new("missing", text).into());
        };
        let identity = judge.identity(boot.boot, &boot.document()?)?;
        judge.checkpoint(&seen, &identity).map_err(|error| Error::input(file.display(), error))?;
        let pin = Pin { head: seen.head, by: "the witness".to_owned() };
        self.pins.entry(boot.boot).or_default().push(pin);
        Ok(())
    }

    /// How many boots there are.
    pub(super) fn len(&self) -> usize {
        self.boots.len()
    }

    /// Verifies the boot at this place. What is wrong with it is in the inner result.
    pub(super) fn verify(
        &self,
        at: usize,
        judge: &Judge,
        sink: Sink<'_>,
    ) -> Result<Result<BootReport, BootFault>, Error> {
        let Some((folder, peek)) = self.boots.get(at) else {
            return Err(Error::Failed("a boot of the log was expected".into()));
        };
        let pins = self.pins.get(&folder.boot).map_or(&[][..], Vec::as_slice);
        let verified = boot::verify(folder, judge, pins, sink)?;
        // The entry that was pinned elsewhere is the one that was read now.
        match &verified {
            Ok(report) if report.previous != peek.and_then(|peek| peek.previous) => Err(changed(folder)),
            _ => Ok(verified),
        }
    }

    /// The module of the boot at this place, by its document.
    fn module(&self, at: usize) -> Result<String, Error> {
        let (folder, _) = self.boots.get(at).ok_or_else(|| Error::Failed("a boot was expected".into()))?;
        let document = AttestationDoc::parse(&folder.document()?)
            .map_err(|error| Refused::new("document", error.to_string()))?;
        if document.hash() == folder.boot {
            Ok(document.module_id().to_owned())
        } else {
            Err(Refused::new("document", format!("the attestation document {} was expected", folder.boot))
                .into())
        }
    }
}

fn changed(folder: &BootFolder) -> Error {
    Error::input(folder.boot, "files that do not change while they are read were expected")
}

/// The entries that first entries name. They are checked where they are read.
fn named_by_later_boots(boots: &[(BootFolder, Option<Peek>)]) -> HashMap<DocumentHash, Vec<Pin>> {
    let mut pins: HashMap<DocumentHash, Vec<Pin>> = HashMap::new();
    for (folder, peek) in boots {
        if let Some(head) = peek.and_then(|peek| peek.previous) {
            pins.entry(head.boot).or_default().push(Pin { head, by: format!("boot {}", folder.boot) });
        }
    }
    pins
}

/// Verifies a stored log as `log verify` does, and shows every line of it with the module of its
/// boot. Nothing that was shown may be believed before this has returned: a later line can prove
/// an earlier one wrong.
///
/// # Errors
/// The first thing that does not hold.
pub(crate) fn read(
    folder: &Path,
    judge: &Judge,
    allow_roots: usize,
    seen: Option<&Path>,
    sink: &mut dyn FnMut(&str, &LogLine) -> Result<(), Error>,
) -> Result<Vec<HistoryBoot>, Error> {
    let stored = Stored::open(folder, judge, seen)?;
    let mut boots = Vec::new();
    let mut nodes = Vec::new();
    for at in 0..stored.len() {
        let module = stored.module(at)?;
        let report = stored.verify(at, judge, &mut |line| sink(&module, line))?;
        let report = report.map_err(|fault| fault.refused)?;
        if report.entries > 0 {
            nodes.push(report.node());
        }
        boots.push(HistoryBoot {
            boot: report.boot,
            module,
            pcr0: report.pcr0,
            started: report.started,
            previous: report.previous.map(|head| head.boot),
            signed: report.signed.map(|head| head.seq),
        });
    }
    lineage::order(&nodes, allow_roots)?;
    Ok(boots)
}
