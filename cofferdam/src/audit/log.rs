//! The log: the stored one from its first entry on, and the running one, which must continue it and
//! what a witness remembers.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::log::Head;

use super::{
    Audit, Looked, no_image,
    report::{Finding, Section, Severity, Table},
    words::{counted, moment},
};
use crate::{
    clock,
    error::Error,
    log::{self, BootReport, Judge, Remote},
    shell::{quoted, quoted_path},
};
use verifier::Refused;

/// How old the running log's checkpoint may be, in seconds: the enclave signs one when it is asked.
const MAX_AGE: u64 = 300;

/// Where the log is.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The folder of the log, as the parent keeps it and object storage has it
    #[arg(long, value_name = "DIR", help_heading = "The log")]
    log: Option<PathBuf>,
    /// The state file of a witness (`cofferdam log watch`): the log must contain its checkpoint
    #[arg(long, value_name = "FILE", help_heading = "The log")]
    seen: Option<PathBuf>,
    /// How many boots may continue nothing: one for each parent whose logs are kept together
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "The log")]
    allow_roots: usize,
}

impl LogArgs {
    /// The folder.
    pub(super) const fn folder(&self) -> Option<&PathBuf> {
        self.log.as_ref()
    }
}

/// Verifies the stored log and the running one, as far as they are there.
pub(super) async fn look(audit: &mut Audit<'_>, section: &mut Section) -> Result<Looked, Error> {
    let args = &audit.args.log;
    let running = audit.client.is_some() && audit.args.identity.is_given();
    if args.log.is_none() && !running {
        let text = "no log was given: give --log, or --url with a client that may read it (audit.read)";
        return Ok(Looked::Missing(text.to_owned()));
    }
    let Some(deployment) = audit.deployment.clone() else {
        return Ok(Looked::Missing("the deployment is not known: give --config or --deployment".to_owned()));
    };
    let Some(trust) = audit.trust()? else { return Ok(no_image()) };
    let judge = Judge::new(trust, deployment);
    if let Some(file) = &args.seen {
        audit.inputs.file("--seen", file)?;
    }
    commands(audit, section);
    let stored = match &args.log {
        None => Vec::new(),
        Some(folder) => stored(audit, section, folder, &judge, running)?,
    };
    if running {
        follow(audit, section, judge, &stored).await?;
    } else {
        section.fact("Running log", "not looked at: no --url with a client that may read it");
    }
    if args.seen.is_none() {
        section.fact("Witness", "not looked at: no --seen was given");
    }
    Ok(Looked::Whole)
}

/// Reads the stored log.
fn stored(
    audit: &mut Audit<'_>,
    section: &mut Section,
    folder: &Path,
    judge: &Judge,
    running: bool,
) -> Result<Vec<BootReport>, Error> {
    let args = &audit.args.log;
    audit.inputs.folder("--log", folder)?;
    audit.sample.draw(audit.args, &audit.inputs);
    let sample = &mut audit.sample;
    // The running log goes further than a copy of it: a witness may have seen what the copy has not.
    let seen = args.seen.as_deref().filter(|_| !running);
    let found = log::read(folder, judge, args.allow_roots, seen, &mut |entry| sample.see(entry))?;
    describe(&found.boots, section);
    for fault in &found.faults {
        let seq = fault.seq.map_or("attestation document".to_owned(), |seq| format!("entry {seq}"));
        section.findings.push(Finding {
            id: format!("log.{}", fault.refused.check),
            severity: Severity::High,
            title: "The log is not as the enclave wrote it".to_owned(),
            statement: format!("boot {}, {seq}", fault.boot),
            detail: fault.refused.message.clone(),
            remedy: "Ask for another copy; compare it with the witness's memory and with object storage"
                .to_owned(),
            source: "docs/log.md, \"Verifying a stored log\"".to_owned(),
        });
    }
    match found.refused {
        Some(_) if !found.faults.is_empty() => return Ok(found.boots),
        Some(refused) => return Err(refused.into()),
        None => audit.sample.log_held(),
    }
    if seen.is_some() {
        section.fact("Witness", "the stored log contains the checkpoint that it remembers");
    }
    Ok(found.boots)
}

fn describe(boots: &[BootReport], section: &mut Section) {
    let total = |count: fn(&BootReport) -> u64| boots.iter().map(count).sum::<u64>();
    let (entries, unsigned) = (total(|boot| boot.entries), total(|boot| boot.unsigned));
    section.fact("Boots", boots.len().to_string());
    section.fact("Entries", entries.to_string());
    let first = boots.iter().filter_map(|boot| boot.from).min();
    if let (Some(from), Some(to)) = (first, boots.iter().filter_map(|boot| boot.to).max()) {
        section.fact("Time", format!("{} to {}", moment(from), moment(to)));
    }
    section.fact("Refused requests", total(|boot| boot.denied.values().sum()).to_string());
    let text = match unsigned {
        0 => "none".to_owned(),
        count => format!("{count}: no signature covers them, whoever keeps the log could have written them"),
    };
    section.fact("Entries without a signature", text);
    let row = |boot: &BootReport| {
        let time = |at: Option<u64>| at.map_or("-".to_owned(), moment);
        let signed = boot.signed.map_or("nothing".to_owned(), |head| format!("entry {}", head.seq));
        vec![boot.boot.to_string(), time(boot.from), time(boot.to), boot.entries.to_string(), signed]
    };
    section.tables.push(Table {
        caption: "Boots of the stored log, each after the one that it continues".to_owned(),
        columns: vec!["Boot", "First entry", "Last entry", "Entries", "Signed up to"],
        rows: boots.iter().map(row).collect(),
    });
}

/// Asks the running log where it stands, and follows it there.
async fn follow(
    audit: &Audit<'_>,
    section: &mut Section,
    judge: Judge,
    stored: &[BootReport],
) -> Result<(), Error> {
    let Some(client) = &audit.client else { return Ok(()) };
    let mut remote = Remote::new(client.clone(), judge);
    let offered = remote.checkpoint().await?;
    let age = clock::now().saturating_sub(offered.time) / 1000;
    section.fact(
        "Running log",
        format!("stands at entry {}, signed {}", offered.head.seq, moment(offered.time)),
    );
    section.exact("Running boot", offered.head.boot.to_string());
    section.exact("Its last entry, SHA-256", offered.head.hash.to_string());
    if age > MAX_AGE {
        let text = format!("a checkpoint at most {MAX_AGE} s old was expected, found one {age} s old");
        return Err(Refused::new("stale", text).into());
    }
    if let Some(attested) = &audit.attested {
        let identity = remote.identity(offered.head.boot).await?;
        if identity.session != attested.session {
            let text = "a checkpoint that the attested enclave signed was expected, found another enclave's";
            return Err(Refused::new("session", text).into());
        }
        section.fact("Signed by", "the session key of the attested enclave");
    }
    // One that does not hold is followed nowhere: what is wrong with it is told already.
    if let Some((entries, boots)) =
        continues(&mut remote, stored, offered.head, section.findings.is_empty()).await?
    {
        section.fact(
            "Continues the stored log",
            format!(
                "by {} and {}, all verified",
                counted(entries, "entry", "entries"),
                counted(boots.try_into().unwrap_or(u64::MAX), "boot", "boots")
            ),
        );
    }
    if let Some(file) = &audit.args.log.seen {
        let seen = log::seen(file)?;
        remote.signed(&seen).await?;
        let (entries, _) = log::follows(&mut remote, seen.head, offered.head).await?;
        let entries = counted(entries, "entry", "entries");
        let (seq, time) = (seen.head.seq, moment(seen.time));
        section.fact(
            "Witness",
            format!(
                "remembers entry {seq}, signed {time}; the running log continues it by {entries} entries"
            ),
        );
    }
    Ok(())
}

/// How far the running log goes beyond the stored one. With the logs of several parents, it has to
/// continue one of them.
async fn continues(
    remote: &mut Remote,
    stored: &[BootReport],
    offered: Head,
    holds: bool,
) -> Result<Option<(u64, usize)>, Error> {
    let signed = |boot: &&BootReport| boot.signed.is_some();
    let same = stored.iter().find(|boot| boot.boot == offered.boot);
    let is_last = |boot: &&BootReport| {
        !stored.iter().any(|next| next.previous.is_some_and(|head| head.boot == boot.boot))
    };
    let ends: Vec<&BootReport> = match same {
        Some(boot) => vec![boot],
        None => stored.iter().filter(signed).filter(is_last).collect(),
    };
    let mut refused = None;
    for head in ends.iter().filter_map(|boot| boot.signed).filter(|_| holds) {
        match log::follows(remote, head, offered).await {
            Ok(way) => return Ok(Some(way)),
            Err(stop) => refused = Some(Error::from(stop)),
        }
    }
    refused.map_or(Ok(None), Err)
}

/// How to do the same by hand.
fn commands(audit: &Audit<'_>, section: &mut Section) {
    let trust = audit.args.trust.arguments();
    let deployment = audit.deployment.as_ref().map_or(String::new(), ToString::to_string);
    let seen = |file: &PathBuf| format!(" --seen {}", quoted_path(file));
    if let Some(folder) = &audit.args.log.log {
        let seen = audit.args.log.seen.as_ref().map_or(String::new(), seen);
        section.repeat(
            "Verify the stored log again (docs/log.md, section 9: the same with sha256sum and openssl)",
            format!("cofferdam log verify {} --deployment {deployment} {trust}{seen}", quoted_path(folder)),
        );
    }
    if let Some(url) = &audit.args.url {
        section.repeat(
            "Be a witness from now on",
            format!(
                "cofferdam log watch --url {} --deployment {deployment} {trust} --state witness.json --max-age 300",
                quoted(url.as_str().trim_end_matches('/'))
            ),
        );
    }
}
