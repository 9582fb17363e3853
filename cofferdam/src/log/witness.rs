//! One round of the witness: does the log that the parent shows extend the one that was seen?
//! Everything between the two checkpoints is fetched and verified, over any number of boots.

use protocol::log::{BootFacts, Checkpoint, Head};
use verifier::log::LogLine;

use super::{
    alarm::{Alarm, Stop},
    remote::Remote,
};
use crate::error::Error;

/// The most boots between two rounds that are followed.
const MAX_BOOTS: usize = 1000;

/// What a round found.
#[derive(Debug)]
pub(super) struct Step {
    /// To be remembered.
    pub(super) checkpoint: Checkpoint,
    /// How many entries were verified since the last one.
    pub(super) entries: u64,
    /// How many boots began since.
    pub(super) boots: usize,
}

/// Asks for the checkpoint, and verifies the way to it from the one that was seen.
pub(super) async fn advance(remote: &mut Remote, seen: Option<&Checkpoint>) -> Result<Step, Stop> {
    let offered = match remote.checkpoint().await {
        Ok(offered) => offered,
        Err(stop) => return Err(evident(stop, seen, None)),
    };
    let Some(seen) = seen else {
        return Ok(Step { checkpoint: offered, entries: 0, boots: 0 });
    };
    extend(remote, seen, &offered).await.map_err(|stop| evident(stop, Some(seen), Some(&offered)))
}

fn evident(stop: Stop, seen: Option<&Checkpoint>, offered: Option<&Checkpoint>) -> Stop {
    match stop {
        Stop::Alarm(alarm) => alarm.with(seen, offered).into(),
        error => error,
    }
}

async fn extend(remote: &mut Remote, seen: &Checkpoint, offered: &Checkpoint) -> Result<Step, Stop> {
    let (way, joint) = way_back(remote, seen.head, offered.head).await?;
    // The memory is this machine's own; that its key is an enclave's is shown again.
    remote.signed(seen).await.map_err(|stop| match stop {
        Stop::Alarm(alarm) if alarm.tag == "signer" => {
            Error::Input("--state: a checkpoint that its boot signed for this deployment was expected".into())
                .into()
        }
        stop => stop,
    })?;
    let entries = between(remote, seen.head, joint, &way).await?;
    let newer = offered.head != seen.head || offered.time >= seen.time;
    let checkpoint = if newer { offered } else { seen }.clone();
    Ok(Step { checkpoint, entries, boots: way.len() })
}

/// Verifies the way from an entry that was seen signed to the one that is offered: how many entries
/// and boots there are between them.
pub(crate) async fn follows(remote: &mut Remote, seen: Head, offered: Head) -> Result<(u64, usize), Stop> {
    let (way, joint) = way_back(remote, seen, offered).await?;
    Ok((between(remote, seen, joint, &way).await?, way.len()))
}

/// Reads and verifies everything on the way that was found.
async fn between(
    remote: &mut Remote,
    seen: Head,
    joint: Head,
    way: &[(Head, BootFacts)],
) -> Result<u64, Stop> {
    let text = |what: &str| {
        let Head { boot, seq, .. } = joint;
        format!("boot {boot}: entry {} was seen signed, and {what} entry {seq}", seen.seq)
    };
    let what = if way.is_empty() { "the parent now shows only" } else { "the next boot continues" };
    if joint.seq < seen.seq {
        return Err(Alarm::new("rollback", text(what)).into());
    }
    if joint.seq == seen.seq && joint.hash != seen.hash {
        return Err(Alarm::new("fork", text("another is shown as")).into());
    }
    let mut entries = joint.seq - seen.seq;
    let mut verifier = remote.after(seen).await?;
    remote.read_to(&mut verifier, &joint, |_, _, _| Ok(())).await?;
    for (head, facts) in way.iter().rev() {
        entries = entries.saturating_add(head.seq);
        let mut verifier = remote.boot(head.boot).await?;
        let mut shown = None;
        let each = |line: &LogLine, _: &_, _: &[u8]| {
            if let LogLine::Entry(entry) = line
                && entry.seq == 1
            {
                shown = BootFacts::of(entry);
            }
            Ok(())
        };
        remote.read_to(&mut verifier, head, each).await?;
        if shown.as_ref() != Some(facts) {
            let text = format!("boot {}: its first entry is shown in two forms", head.boot);
            return Err(Alarm::new("fork", text).into());
        }
    }
    Ok(entries)
}

/// The boots from the offered one back to the one that was seen, newest first, each with the entry
/// that is named of it; and the entry that is named of the boot that was seen.
async fn way_back(
    remote: &Remote,
    seen: Head,
    offered: Head,
) -> Result<(Vec<(Head, BootFacts)>, Head), Stop> {
    let mut way: Vec<(Head, BootFacts)> = Vec::new();
    let mut head = offered;
    while head.boot != seen.boot {
        if way.len() == MAX_BOOTS || way.iter().any(|(known, _)| known.boot == head.boot) {
            let text = format!("{MAX_BOOTS} boots lead not back to the boot {}", seen.boot);
            return Err(Alarm::new("fork", text).into());
        }
        let facts = remote.facts(head.boot).await?;
        let Some(previous) = facts.previous else {
            let text = format!(
                "the boot {} continues nothing, but entry {} of boot {} was seen signed",
                head.boot, seen.seq, seen.boot
            );
            return Err(Alarm::new("fork", text).into());
        };
        way.push((head, facts));
        head = previous;
    }
    Ok((way, head))
}
