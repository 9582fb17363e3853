//! Opens many records, some at a time, and says how far it is on stderr. Whoever interrupts it is
//! told what was done.

use std::time::Duration;

use futures::{StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::Deployment;

use super::{Survey, Tally, ask, judge};
use crate::{error::Error, stop::Stop};
use client::Client;
use verifier::{Documents, Trust};

/// Fewer than this are done before a bar is drawn.
const WORTH_A_BAR: u64 = 100;

/// Has records opened by the enclaves of some parents.
pub(crate) struct Runner<'r> {
    clients: &'r [Client],
    deployment: &'r Deployment,
    documents: Documents,
    in_flight: usize,
}

impl<'r> Runner<'r> {
    /// Each record is opened by one of the parents, in turn. Statements of enclaves of these images
    /// are believed.
    pub(crate) fn new(
        clients: &'r [Client],
        deployment: &'r Deployment,
        trust: Trust,
        in_flight: usize,
    ) -> Self {
        Self { clients, deployment, documents: Documents::new(trust), in_flight }
    }

    /// Opens the records of a survey. What ends the run early is in the tally.
    pub(crate) async fn run(&mut self, survey: &Survey, tells_unlisted: bool) -> Result<Tally, Error> {
        let mut tally = Tally::default();
        let mut stop = Stop::new()?;
        let bar = progress(survey.count());
        let clients = self.clients.iter().cycle();
        let mut asked = stream::iter(survey.keys().zip(clients))
            .map(|(key, client)| async move {
                let key = key?;
                let answer = ask(client, &key.key_id).await;
                Ok::<_, Error>((client, key, answer))
            })
            .buffer_unordered(self.in_flight);
        loop {
            let next = tokio::select! {
                biased;
                () = stop.asked() => {
                    tally.interrupted = Some("asked to stop".to_owned());
                    break;
                }
                next = asked.next() => next,
            };
            // A key that cannot be read is the inventory's fault: nothing that was counted is lost
            // by it that would not be wrong anyway.
            let Some((client, key, answer)) = next.transpose()? else { break };
            match judge(client, &mut self.documents, self.deployment, &key, answer).await {
                Ok(finding) => tally.count(&key, finding, tells_unlisted),
                Err(error @ Error::Input(_)) => return Err(error),
                Err(error) => {
                    tally.interrupted = Some(error.to_string());
                    break;
                }
            }
            bar.inc(1);
            if tally.wrong() > 0 {
                bar.set_message(format!(", {} not as they should be", tally.wrong()));
            }
        }
        bar.finish_and_clear();
        Ok(tally)
    }
}

/// A bar on a terminal; else nothing.
fn progress(total: u64) -> ProgressBar {
    let target =
        if total < WORTH_A_BAR { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = "  {bar:32} {human_pos} of {human_len} records, {per_sec}, {eta} to go{msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
