//! `cofferdam log tail`: the last entries of a running log. An entry is printed only once a
//! checkpoint that the enclave signed covers it.

use std::{collections::VecDeque, time::Duration};

use clap::Args;
use protocol::log::{Checkpoint, Decision, Entry};
use verifier::log::{LogLine, Verifier};

use super::{
    alarm::{Alarm, Stop},
    judge::JudgeArgs,
    remote::Remote,
};
use crate::{
    clock,
    error::Error,
    output::{Paint, Screen, plain},
    parent::ParentArgs,
};
use verifier::Refused;

/// The most entries that wait for a checkpoint.
const MAX_WAITING: usize = 1 << 16;

/// Arguments of `log tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    parent: ParentArgs,
    #[command(flatten)]
    judge: JudgeArgs,
    /// How many entries of the running boot to begin with
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "from")]
    lines: u64,
    /// The entry of the running boot to begin with
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    from: Option<u64>,
    /// Go on, over restarts as well
    #[arg(long)]
    follow: bool,
    /// With --follow: seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
}

pub(super) async fn run(args: &TailArgs, screen: &Screen) -> Result<(), Error> {
    let mut remote = Remote::new(args.parent.client()?, args.judge.load(args.parent.deployment()?)?);
    let checkpoint = remote.checkpoint().await?;
    let first = args.from.unwrap_or_else(|| (checkpoint.head.seq + 1).saturating_sub(args.lines)).max(1);
    if first > checkpoint.head.seq {
        let expected =
            format!("an entry up to {}, the last that is signed, was expected", checkpoint.head.seq);
        return Err(Error::input("--from", expected));
    }
    let mut verifier = match first {
        1 => remote.boot(checkpoint.head.boot).await?,
        _ => {
            // What comes before is not shown, so that it need not be verified.
            let entry = remote.entry(checkpoint.head.boot, first).await?;
            let before = protocol::log::Head { seq: first - 1, hash: entry.prev, ..checkpoint.head };
            remote.after(before).await?
        }
    };
    show(&remote, &mut verifier, &checkpoint, screen).await?;
    if !args.follow {
        return Ok(());
    }
    loop {
        tokio::time::sleep(Duration::from_secs(args.interval)).await;
        match step(&mut remote, &mut verifier, screen).await {
            Ok(()) => {}
            Err(Stop::Error(error @ (Error::Parent(_) | Error::Problem(_)))) => {
                screen.remark(Paint::Warn, &error.to_string());
            }
            Err(stop) => return Err(stop.into()),
        }
    }
}

/// What came since, to the end of this boot and over to the next.
async fn step(remote: &mut Remote, verifier: &mut Verifier, screen: &Screen) -> Result<(), Stop> {
    let checkpoint = remote.checkpoint().await?;
    let Some(head) = verifier.head() else { return Ok(()) };
    if checkpoint.head.boot != head.boot {
        let facts = remote.facts(checkpoint.head.boot).await?;
        match facts.previous {
            Some(previous) if previous.boot == head.boot && previous.seq >= head.seq => {
                let mut rows = Rows::new(screen);
                remote.read_to(verifier, &previous, |line, _, bytes| rows.take(line, bytes)).await?;
                rows.print_all()?;
                screen.remark(Paint::Dim, &format!("boot {} begins", checkpoint.head.boot));
            }
            _ => {
                let text =
                    format!("boot {} was expected to continue entry {}", checkpoint.head.boot, head.seq);
                return Err(Alarm::new("fork", text).into());
            }
        }
        *verifier = remote.boot(checkpoint.head.boot).await?;
    } else if checkpoint.head.seq < head.seq {
        let text =
            format!("entry {} was shown, the checkpoint is over entry {}", head.seq, checkpoint.head.seq);
        return Err(Refused::new("rollback", text).into());
    }
    show(remote, verifier, &checkpoint, screen).await
}

async fn show(
    remote: &Remote,
    verifier: &mut Verifier,
    checkpoint: &Checkpoint,
    screen: &Screen,
) -> Result<(), Stop> {
    let mut rows = Rows::new(screen);
    let each = |line: &LogLine, verifier: &Verifier, bytes: &[u8]| {
        rows.take(line, bytes)?;
        rows.print_to(verifier.signed().map_or(0, |head| head.seq))
    };
    remote.read_to(verifier, &checkpoint.head, each).await?;
    Ok(rows.print_all()?)
}

/// Entries that wait until they are known to be signed.
struct Rows<'s> {
    screen: &'s Screen,
    waiting: VecDeque<(u64, String)>,
}

impl<'s> Rows<'s> {
    const fn new(screen: &'s Screen) -> Self {
        Self { screen, waiting: VecDeque::new() }
    }

    fn take(&mut self, line: &LogLine, bytes: &[u8]) -> Result<(), Error> {
        let LogLine::Entry(entry) = line else { return Ok(()) };
        if self.waiting.len() == MAX_WAITING {
            return Err(Error::Parent(format!("a checkpoint within {MAX_WAITING} entries was expected")));
        }
        let text = match self.screen.json() {
            true => String::from_utf8_lossy(bytes).into_owned(),
            false => row(entry, self.screen.colours()),
        };
        self.waiting.push_back((entry.seq, text));
        Ok(())
    }

    fn print_to(&mut self, signed: u64) -> Result<(), Error> {
        while let Some((_, text)) = self.waiting.pop_front_if(|(seq, _)| *seq <= signed) {
            self.screen.bytes(format!("{text}\n").as_bytes())?;
        }
        Ok(())
    }

    fn print_all(&mut self) -> Result<(), Error> {
        self.print_to(u64::MAX)
    }
}

/// Time, number, decision, operation, client, reason, keys.
fn row(entry: &Entry, colours: bool) -> String {
    let event = &entry.event;
    let paint = match event.outcome.decision() {
        Decision::Allow => Paint::Good,
        Decision::Deny => Paint::Bad,
    };
    let decision = paint.paint(event.outcome.decision().as_str(), colours);
    let client = event.client.as_ref().map_or("-", |client| client.as_str());
    let keys = match event.keys.as_slice() {
        [] => String::new(),
        [key] => format!("  {key}"),
        [key, rest @ ..] => format!("  {key} and {} more", rest.len()),
    };
    let (time, seq) = (clock::format(entry.time), entry.seq);
    let (operation, tag) = (event.operation.as_str(), event.outcome.tag().as_str());
    plain(&format!("{time} {seq:>8}")) + &format!("  {decision:<5} {operation:<19} {client:<16} {tag}{keys}")
}
