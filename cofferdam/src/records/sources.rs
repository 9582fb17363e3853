//! Where keys are known from: the exchange's own list, and a verified log.

use std::path::PathBuf;

use clap::Args;
use protocol::{
    Deployment, KeyId,
    log::{Decision, Entry, OperationName},
};
use serde::Deserialize;

use super::{
    Survey,
    inventory::{Fact, Listed, Spool},
};
use crate::{
    clock,
    error::Error,
    lines::Lines,
    log::{StoredLog, Summary},
    trust::TrustArgs,
};

/// The longest line of a list of addresses.
const MAX_LINE: usize = 16 << 10;
/// The entry by which a key is re-sealed; its result is the new record.
const REWRAP: &str = "key.rewrap";

/// Which keys there are.
#[derive(Debug, Args)]
pub(crate) struct InventoryArgs {
    /// The exchange's own list of its addresses: JSON Lines as `cofferdam address create --json` and
    /// `address list --json` print them; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "folder", help_heading = "Which keys")]
    addresses: Option<PathBuf>,
    #[command(flatten, next_help_heading = "Which keys")]
    log: StoredLog,
}

/// How many of them are opened.
#[derive(Debug, Args)]
pub(crate) struct CoverageArgs {
    /// Open so many records, chosen at random
    #[arg(long, value_name = "N", required_unless_present = "all", conflicts_with = "all",
        value_parser = clap::value_parser!(u32).range(1..), help_heading = "Which keys")]
    sample: Option<u32>,
    /// Open every record
    #[arg(long, help_heading = "Which keys")]
    all: bool,
    /// Records that are opened at once
    #[arg(long, value_name = "N", default_value_t = 32,
        value_parser = clap::value_parser!(u16).range(1..=256), help_heading = "Which keys")]
    in_flight: u16,
}

/// All keys, and what was read to know them.
pub(crate) struct Known {
    pub(crate) survey: Survey,
    /// The log, where one was read.
    pub(crate) log: Option<Summary>,
    /// When its last entry was written, in milliseconds since 1970.
    pub(crate) last_entry: Option<u64>,
}

impl Known {
    /// Whether a key that only the log names may never have been answered to anyone.
    pub(crate) const fn tells_unlisted(&self) -> bool {
        self.survey.listed > 0
    }
}

impl CoverageArgs {
    /// The size of the sample; nothing for all.
    pub(crate) fn sample(&self) -> Option<usize> {
        self.sample.filter(|_| !self.all).map(|size| usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// Records that are opened at once.
    pub(crate) fn in_flight(&self) -> usize {
        usize::from(self.in_flight)
    }
}

/// The part of a line that is of interest.
#[derive(Deserialize)]
struct Line {
    key_id: KeyId,
    public_key: String,
    address: String,
    #[serde(default)]
    taproot_address: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    verified: Option<bool>,
}

impl InventoryArgs {
    /// Reads and joins the sources. The log is verified: its boots may have run the images that are
    /// trusted, and those of `--log-image`.
    pub(crate) fn read(
        &self,
        trust: &TrustArgs,
        deployment: &Deployment,
        sample: Option<usize>,
        newest: usize,
    ) -> Result<Known, Error> {
        let mut spool = Spool::new()?;
        if let Some(file) = &self.addresses {
            for line in Lines::open(file, MAX_LINE)? {
                let line = line?;
                let address: Line = line.json("an address object of the API")?;
                if address.verified == Some(false) {
                    return Err(line.bad("an address whose certificate verified was expected"));
                }
                spool.push(&address.fact())?;
            }
        }
        let mut last_entry = None;
        let log = if self.log.is_given() {
            let trust = trust.and(&self.log.log_images).load()?;
            self.log.read(trust, deployment, &mut |entry| {
                last_entry = last_entry.max(Some(entry.time));
                made(entry).map_or(Ok(()), |fact| spool.push(&fact))
            })?
        } else {
            None
        };
        let survey = Survey::new(spool.finish()?, sample, newest)?;
        Ok(Known { survey, log, last_entry })
    }
}

impl Line {
    fn fact(self) -> Fact {
        let created = self.created_at.and_then(|text| clock::parse(&text).ok());
        let Self { key_id, public_key, address, taproot_address, .. } = self;
        let listed = Some(Listed { public_key, address, taproot_address });
        Fact { key_id, listed, record: None, created }
    }
}

/// The record that an entry says was made.
fn made(entry: &Entry) -> Option<Fact> {
    let event = &entry.event;
    let creates = event.operation == OperationName::ADDRESS_CREATE;
    let [key_id] = *event.keys.as_slice() else { return None };
    if event.outcome.decision() != Decision::Allow || !(creates || event.operation.as_str() == REWRAP) {
        return None;
    }
    let record = Some(event.result?);
    Some(Fact { key_id, listed: None, record, created: creates.then_some(entry.time) })
}
