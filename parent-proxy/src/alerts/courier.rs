//! Delivering to one endpoint: one event after the other, each until it is taken. A redirect is
//! no answer that takes, and is not followed.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use reqwest::{
    Client,
    header::{CONTENT_TYPE, HeaderName},
};
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    endpoint::Endpoint,
    event::Event,
    limits::{AlertError, AlertLimits},
    outbox::Outbox,
    webhook::signature,
};
use crate::{backoff::backoff, metrics::Metrics};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Delivers to one endpoint.
pub(super) struct Courier {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) client: Client,
    pub(super) limits: AlertLimits,
    pub(super) metrics: Arc<Metrics>,
}

/// The client for all endpoints.
pub(super) fn client(limits: &AlertLimits) -> Result<Client, AlertError> {
    // A process that has chosen keeps its choice.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(limits.timeout / 2)
        .timeout(limits.timeout)
        .user_agent(concat!("cofferdam-parent/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| AlertError::Client(error.to_string()))
}

impl Courier {
    /// Delivers for ever.
    pub(super) async fn run(self) {
        let mut end = self.outbox.end();
        let mut failures = 0u32;
        let mut waiting: std::vec::IntoIter<String> = Vec::new().into_iter();
        let mut place = None;
        loop {
            if let Some(event) = self.endpoint.next_urgent() {
                let payload = event.payload();
                if self.deliver(&event.id, &payload).await {
                    self.endpoint.urgent_told();
                    failures = 0;
                } else {
                    failures = failures.saturating_add(1);
                    sleep(backoff(failures, self.limits.retry.0, self.limits.retry.1)).await;
                }
                continue;
            }
            let next = self.catch_up().await;
            let last = *end.borrow_and_update();
            self.metrics.alerts().queued(self.endpoint.number, last.saturating_sub(next));
            if next >= last {
                tokio::select! {
                    _ = end.changed() => {}
                    () = self.endpoint.wake.notified() => {}
                }
                continue;
            }
            // What was read ahead, unless the place is another by now.
            if place != Some(next) || waiting.len() == 0 {
                waiting = self.read(next).await.into_iter();
            }
            let Some(payload) = waiting.next() else {
                sleep(self.limits.retry.0).await;
                continue;
            };
            place = Some(next + 1);
            let id = Event::from_payload(&payload).map(|event| event.id);
            // What is no event of ours was damaged on disk; it would never be taken.
            let taken = match &id {
                Some(id) => self.deliver(id, &payload).await,
                None => {
                    self.metrics.alerts().dropped(self.endpoint.number, 1);
                    true
                }
            };
            if taken {
                failures = 0;
                self.advance(next, next + 1).await;
            } else {
                place = None;
                failures = failures.saturating_add(1);
                let wait = backoff(failures - 1, self.limits.retry.0, self.limits.retry.1);
                tokio::select! {
                    () = sleep(wait) => {}
                    () = self.endpoint.wake.notified() => {}
                }
            }
        }
    }

    /// The next event, behind what was dropped before it was taken.
    async fn catch_up(&self) -> u64 {
        let (next, begin) = (self.endpoint.next(), self.outbox.begin());
        if next >= begin {
            return next;
        }
        let lost = begin - next;
        tracing::error!(
            endpoint = self.endpoint.number,
            lost,
            "events were dropped before this endpoint took them"
        );
        self.metrics.alerts().dropped(self.endpoint.number, lost);
        self.advance(next, begin).await;
        begin
    }

    async fn advance(&self, from: u64, to: u64) {
        let endpoint = Arc::clone(&self.endpoint);
        // If this is not on disk, the event comes again after a restart.
        if let Ok(Err(error)) = spawn_blocking(move || endpoint.advance(from, to)).await {
            tracing::warn!(%error, endpoint = self.endpoint.number, "what an endpoint took is not on disk");
        }
    }

    async fn read(&self, from: u64) -> Vec<String> {
        let outbox = Arc::clone(&self.outbox);
        match spawn_blocking(move || outbox.read(from)).await {
            Ok(Ok(payloads)) => payloads,
            Ok(Err(error)) => {
                tracing::error!(%error, "the queue of events cannot be read");
                Vec::new()
            }
            Err(_) => Vec::new(),
        }
    }

    /// One attempt; true when it was taken.
    async fn deliver(&self, id: &str, payload: &str) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let request = self
            .client
            .post(self.endpoint.config.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ID, id)
            .header(TIMESTAMP, now)
            .header(SIGNATURE, signature(&self.endpoint.config.secret, id, now, payload))
            .body(payload.to_owned());
        let number = self.endpoint.number;
        // Of the answer only the status counts; its body is not read.
        let why = match request.send().await {
            Ok(answer) if answer.status().is_success() => {
                self.metrics.alerts().delivered(number);
                return true;
            }
            Ok(answer) => format!("status {}", answer.status().as_u16()),
            Err(error) => error.without_url().to_string(),
        };
        self.metrics.alerts().failed(number);
        tracing::warn!(endpoint = number, id, why, "an event was not taken; trying again");
        false
    }
}
