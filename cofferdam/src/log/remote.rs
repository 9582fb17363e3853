//! A running parent's log: its checkpoint, its boots' documents, its entries page by page. All of
//! it is verified here or by a [`Verifier`] before it means anything.

use std::collections::HashMap;

use attestation::DocumentHash;
use protocol::log::{BootFacts, Checkpoint, Entry, Head};
use verifier::log::{BootIdentity, LogLine, Verifier};

use super::{
    alarm::{Alarm, Stop},
    judge::Judge,
};
use crate::{error::Error, input::MAX_DOCUMENT};
use client::{Client, ClientError};
use verifier::Refused;

/// The most bytes of a page that are read. The parent answers about half of that.
const MAX_PAGE: u64 = 1 << 20;
/// The most bytes of a checkpoint's answer.
const MAX_CHECKPOINT: u64 = 4096;
/// Boots beyond this many are forgotten and asked for again.
const MAX_BOOTS: usize = 1024;
const NOT_FOUND: u16 = 404;

/// Asks one parent.
pub(crate) struct Remote {
    client: Client,
    judge: Judge,
    identities: HashMap<DocumentHash, BootIdentity>,
}

impl Remote {
    pub(crate) fn new(client: Client, judge: Judge) -> Self {
        Self { client, judge, identities: HashMap::new() }
    }

    /// The parent's last checkpoint, its signature verified.
    pub(crate) async fn checkpoint(&mut self) -> Result<Checkpoint, Stop> {
        let answer = self.client.bytes(&["log", "checkpoint"], &[], MAX_CHECKPOINT).await?;
        let json = answer.strip_suffix(b"\n").unwrap_or(&answer);
        let checkpoint =
            Checkpoint::parse(json).map_err(|error| Error::Parent(format!("the parent: {error}")))?;
        self.signed(&checkpoint).await?;
        Ok(checkpoint)
    }

    /// Verifies a checkpoint's signature.
    pub(crate) async fn signed(&mut self, checkpoint: &Checkpoint) -> Result<(), Stop> {
        let identity = self.identity(checkpoint.head.boot).await?;
        let verified = self.judge.checkpoint(checkpoint, &identity).map_err(Alarm::from);
        verified.map_err(|alarm| alarm.with(None, Some(checkpoint)).into())
    }

    pub(crate) async fn identity(&mut self, boot: DocumentHash) -> Result<BootIdentity, Stop> {
        if let Some(identity) = self.identities.get(&boot) {
            return Ok(identity.clone());
        }
        let document = self.client.bytes(&["attestations", &boot.to_string()], &[], MAX_DOCUMENT).await;
        let document = withheld(document, || format!("the attestation document of the boot {boot}"))?;
        let named =
            |refused: Refused| Refused::new(refused.check, format!("boot {boot}: {}", refused.message));
        let identity = self.judge.identity(boot, &document).map_err(named)?;
        if self.identities.len() >= MAX_BOOTS {
            self.identities.clear();
        }
        self.identities.insert(boot, identity.clone());
        Ok(identity)
    }

    /// Reads a boot from its first entry on.
    pub(super) async fn boot(&mut self, boot: DocumentHash) -> Result<Verifier, Stop> {
        Ok(Verifier::new(self.identity(boot).await?, self.judge.deployment().clone()))
    }

    /// Reads a boot on after an entry that is known.
    pub(super) async fn after(&mut self, head: Head) -> Result<Verifier, Stop> {
        let identity = self.identity(head.boot).await?;
        Ok(Verifier::after(identity, self.judge.deployment().clone(), head.seq, head.hash))
    }

    /// One entry, as the parent shows it: believed only once a chain leads over it.
    pub(super) async fn entry(&self, boot: DocumentHash, seq: u64) -> Result<Entry, Stop> {
        let page = self.page(boot, seq).await?;
        let lines = page.split(|byte| *byte == b'\n').filter_map(|line| Entry::parse(line).ok());
        let found = lines.take(1).find(|entry| entry.boot == boot && entry.seq == seq);
        found.ok_or_else(|| Alarm::new("gap", format!("boot {boot}: entry {seq} was expected")).into())
    }

    /// What a boot's first entry says, as the parent shows it.
    pub(super) async fn facts(&self, boot: DocumentHash) -> Result<BootFacts, Stop> {
        let first = self.entry(boot, 1).await?;
        BootFacts::of(&first)
            .ok_or_else(|| Alarm::new("boot", format!("boot {boot}: a first entry was expected")).into())
    }

    async fn page(&self, boot: DocumentHash, from: u64) -> Result<Vec<u8>, Stop> {
        let (boot, from) = (boot.to_string(), from.to_string());
        let page = self.client.bytes(&["log"], &[("boot", &boot), ("from", &from)], MAX_PAGE).await;
        withheld(page, || format!("the boot {boot} from entry {from} on"))
    }

    /// Reads on until the entry `to`, which must have the hash that it names. `each` sees every
    /// line that fits, before it is known whether the whole leads to `to`.
    pub(super) async fn read_to(
        &self,
        verifier: &mut Verifier,
        to: &Head,
        mut each: impl FnMut(&LogLine, &Verifier, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Stop> {
        let boot = verifier.identity().boot;
        let at = |verifier: &Verifier| verifier.head().map_or(0, |head| head.seq);
        let told = |alarm: Alarm| Alarm::new(alarm.tag, format!("boot {boot}: {}", alarm.message()));
        while at(verifier) < to.seq {
            let next = at(verifier).saturating_add(1);
            let page = self.page(boot, next).await?;
            let body = page.strip_suffix(b"\n").unwrap_or(&page);
            for line in body.split(|byte| *byte == b'\n').filter(|_| !body.is_empty()) {
                let parsed = verifier.push(line).map_err(|fault| told(fault.into()))?;
                each(&parsed, verifier, line)?;
                if at(verifier) == to.seq {
                    break;
                }
            }
            if at(verifier) < next {
                let text = format!(
                    "boot {boot}: entry {next} is not shown, but entry {} is signed or named",
                    to.seq
                );
                return Err(Alarm::new("gap", text).into());
            }
        }
        if verifier.head().as_ref() == Some(to) {
            Ok(())
        } else {
            let text =
                format!("boot {boot}: entry {} is shown with another hash than was signed or named", to.seq);
            Err(Alarm::new("fork", text).into())
        }
    }
}

/// A parent that says it has not what it must have.
fn withheld(answer: Result<Vec<u8>, ClientError>, what: impl FnOnce() -> String) -> Result<Vec<u8>, Stop> {
    match answer {
        Err(ClientError::Problem(problem)) if problem.status == NOT_FOUND => {
            Err(Alarm::new("gap", format!("the parent says that it has not {}", what())).into())
        }
        answer => answer.map_err(|error| Error::from(error).into()),
    }
}
