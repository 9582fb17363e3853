//! `cofferdam log watch`: a witness on another machine than the parent's. It keeps the last
//! checkpoint that it saw and alarms when the log that is shown does not extend it.

use std::{path::PathBuf, process::Stdio, time::Duration};

use clap::Args;
use protocol::log::Checkpoint;
use serde::Serialize;
use tokio::io::AsyncWriteExt;

use super::{
    alarm::{Alarm, Stop},
    judge::JudgeArgs,
    remote::Remote,
    state,
    witness::{Step, advance},
};
use crate::{
    clock,
    error::Error,
    output::{Paint, Screen, Sheet, Show},
    parent::ParentArgs,
};

/// How long the program of `--alarm-exec` may take.
const ALARM_DEADLINE: Duration = Duration::from_secs(60);

/// How long one round may take: a parent that answers ever so slowly is one that does not answer.
const ROUND_DEADLINE: Duration = Duration::from_secs(3600);

/// Arguments of `log watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    parent: ParentArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Where the last checkpoint is remembered. Without the file, the first one is believed
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    /// Look once, and end
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Alarm when the newest checkpoint that was verified is older than this, in seconds: a parent
    /// that shows an old log, or none
    #[arg(long, value_name = "SECONDS")]
    max_age: Option<u64>,
    /// What to run on an alarm, by sh -c: the alarm is its standard input, in JSON
    #[arg(long, value_name = "COMMAND")]
    alarm_exec: Option<String>,
}

pub(super) async fn run(args: &WatchArgs, screen: &Screen) -> Result<(), Error> {
    let judge = args.judge.load(args.parent.deployment()?)?;
    let mut remote = Remote::new(args.parent.client()?, judge);
    let mut seen = state::read(&args.state)?;
    if seen.is_none() {
        screen.remark(Paint::Warn, "no checkpoint is remembered: the first that verifies is believed");
    }
    let begun = clock::now();
    loop {
        let round = round(args, &mut remote, &mut seen, screen);
        let result = tokio::time::timeout(ROUND_DEADLINE, round).await.unwrap_or_else(|_| {
            let seconds = ROUND_DEADLINE.as_secs();
            Err(Error::Parent(format!("the parent: all answers of a round within {seconds} s were expected"))
                .into())
        });
        let alarm = match (result, stale(args, seen.as_ref(), begun)) {
            (Err(Stop::Alarm(alarm)), _) => Some(alarm),
            (_, Some(stale)) => Some(Box::new(stale)),
            (Err(Stop::Error(error)), None) if args.once || matches!(error, Error::Input(_)) => {
                return Err(error);
            }
            (Err(Stop::Error(error)), None) => {
                screen.remark(Paint::Warn, &format!("{}: {error}", clock::format(clock::now())));
                None
            }
            (Ok(()), None) if args.once => return Ok(()),
            (Ok(()), None) => None,
        };
        if let Some(alarm) = alarm {
            if let Some(command) = &args.alarm_exec {
                tell(command, &alarm, screen).await;
            }
            return Err(Error::Alarm(alarm));
        }
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
    }
}

async fn round(
    args: &WatchArgs,
    remote: &mut Remote,
    seen: &mut Option<Checkpoint>,
    screen: &Screen,
) -> Result<(), Stop> {
    let step = advance(remote, seen.as_ref()).await?;
    let moved = seen.as_ref().map(|seen| seen.head) != Some(step.checkpoint.head);
    if seen.as_ref() != Some(&step.checkpoint) {
        // On the disk before anything is said of it.
        state::write(&args.state, &step.checkpoint)?;
        *seen = Some(step.checkpoint.clone());
    }
    if moved || args.once {
        screen.show(&Answer(&step))?;
    }
    Ok(())
}

/// An alarm when nothing new enough was ever verified.
fn stale(args: &WatchArgs, seen: Option<&Checkpoint>, begun: u64) -> Option<Alarm> {
    let max_age = args.max_age?;
    let newest = seen.map_or(begun, |seen| seen.time);
    let age = clock::now().saturating_sub(newest) / 1000;
    (age > max_age).then(|| {
        let text = format!(
            "a checkpoint at most {max_age} s old was expected, the newest that was seen is {age} s old"
        );
        Alarm::new("stale", text).with(seen, None)
    })
}

/// Runs the operator's program. What goes wrong with it is told beside the alarm, never in its place.
async fn tell(command: &str, alarm: &Alarm, screen: &Screen) {
    let run = async {
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", command])
            .env("COFFERDAM_ALARM", alarm.tag)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A program that does not read it is none the worse.
            let _ = input.write_all(format!("{}\n", alarm.to_json()).as_bytes()).await;
        }
        child.wait().await
    };
    let failed = match tokio::time::timeout(ALARM_DEADLINE, run).await {
        Ok(Ok(status)) if status.success() => return,
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("not done after {} s", ALARM_DEADLINE.as_secs()),
    };
    screen.remark(Paint::Bad, &format!("--alarm-exec: the command was expected to succeed: {failed}"));
}

struct Answer<'a>(&'a Step);

impl Serialize for Answer<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Step { checkpoint, entries, boots } = self.0;
        serde_json::json!({"verified": true, "checkpoint": checkpoint, "new_entries": entries, "new_boots": boots})
            .serialize(serializer)
    }
}

impl Show for Answer<'_> {
    fn show(&self, sheet: &mut Sheet) {
        let Step { checkpoint, entries, boots } = self.0;
        let time = clock::format(checkpoint.time);
        sheet.good(format!(
            "{time}: boot {} signed entry {} ({entries} new entries, {boots} new boots, all verified)",
            checkpoint.head.boot, checkpoint.head.seq
        ));
    }
}
