//! `cofferdam rewrap`: has the enclave seal keys anew under another KMS key, and open again what is
//! then stored (`docs/rewrap.md`). A key counts once its stored record opened with a data key that the
//! new KMS key gave. Nothing is deleted; what was verified is remembered in a state file, and repeating
//! all of it is harmless.

mod batch;
mod progress;
mod report;
mod source;
mod state;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use clap::Args;
use futures::{StreamExt, stream};
use protocol::{KeyId, api::MAX_REWRAPPED};

use crate::{
    error::Error,
    output::{Paint, Screen},
    parent::ParentArgs,
};
use batch::Outcome;
use progress::Progress;
use report::Report;
use source::Source;
use state::State;

/// Arguments of `rewrap`.
#[derive(Debug, Args)]
pub(crate) struct RewrapArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// The new KMS key, by its ARN: the first of kms.keys in the enclave's configuration. A parent
    /// whose enclave has another one first is not asked twice
    #[arg(long, value_name = "ARN")]
    kms_key: String,
    #[command(flatten)]
    source: Source,
    /// Where the keys that were verified are remembered, so that a second run goes on with the rest
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Requests under way at once, of 100 keys each
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    concurrency: u8,
    /// A new file for the paths of the records whose keys were re-sealed: what an earlier KMS key still
    /// opens. Written once every key is verified. The records must stay: each holds its key's name
    #[arg(long, value_name = "FILE")]
    list_superseded: Option<PathBuf>,
}

/// Runs `rewrap`.
pub(crate) async fn run(args: &RewrapArgs, screen: &Screen) -> Result<(), Error> {
    let client = args.parent.client()?;
    let deployment = args.parent.deployment()?;
    let keys = args.source.keys()?;
    let mut state = State::open(args.state.as_deref(), deployment, &args.kms_key)?;
    if let Some(file) = args.list_superseded.as_ref().filter(|file| file.exists()) {
        return Err(Error::input(file.display(), "a file that does not exist yet was expected"));
    }
    let left: Vec<KeyId> = keys.iter().copied().filter(|key| !state.is_verified(key)).collect();
    let mut report = Report::new(&args.kms_key, keys.len(), keys.len() - left.len());
    let mut progress = Progress::new(screen, keys.len(), keys.len() - left.len());
    let stop = stop_on_signal(screen)?;
    let mut batches = stream::iter(left.chunks(MAX_REWRAPPED))
        .take_while(|_| std::future::ready(!stop.load(Ordering::Relaxed)))
        .map(|keys| batch::rewrap(&client, keys, &args.kms_key))
        .buffered(usize::from(args.concurrency));
    let mut failed = None;
    while let Some(outcomes) = batches.next().await {
        let outcomes = match outcomes {
            Ok(outcomes) => outcomes,
            Err(error) => {
                failed = Some(error);
                break;
            }
        };
        state.remember(&outcomes)?;
        for (key, outcome) in &outcomes {
            report.count(outcome);
            if let Outcome::Refused(problem) = outcome {
                progress.aside(|| report::refused(screen, key, problem))?;
            }
        }
        progress.step(outcomes.len());
    }
    drop(batches);
    progress.finish();
    report.finish(screen, failed.is_some(), args.state.is_some())?;
    if let Some(error) = failed {
        return Err(error);
    }
    report.verdict()?;
    match &args.list_superseded {
        Some(file) => state.list_superseded(file, &keys),
        None => Ok(()),
    }
}

/// Set by the first SIGINT or SIGTERM: what is under way is finished, and nothing more is begun. The
/// second ends the program at once, which is harmless as well.
fn stop_on_signal(screen: &Screen) -> Result<Arc<AtomicBool>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| {
        signal(kind).map_err(|error| Error::Failed(format!("signals were expected to be heard: {error}")))
    };
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, screen) = (Arc::clone(&stop), *screen);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if seen.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
            screen.remark(Paint::Warn, "stopping: what is under way is finished first");
        }
    });
    Ok(stop)
}
