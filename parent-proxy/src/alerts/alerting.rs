//! Alerting: reads the log, hears what the parent says itself, and has it all delivered.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{Mutex as AsyncMutex, mpsc},
    task::spawn_blocking,
    time::sleep,
};

use super::{
    courier::{self, Courier},
    endpoint::Endpoint,
    event::{Event, EventKind},
    limits::{AlertError, AlertLimits},
    outbox::Outbox,
    reader::{Reader, now},
    replay,
    webhook::WebhookConfig,
};
use crate::{
    backoff::backoff,
    durable,
    log::{Book, Progress},
    metrics::Metrics,
};

/// How often wishes are looked for, and what is being gathered is looked at.
const TICK: Duration = Duration::from_secs(1);
/// The least time between two readings of the log.
const PAUSE: Duration = Duration::from_millis(100);
/// Waits after a failure of the queue or the log.
const FAILED: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));
/// The most words of the parent's own that wait.
const RAISED: usize = 64;

/// What the parent says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raised {
    /// KMS denied something of which nothing is on the log.
    KmsDenied,
    /// The store does not answer.
    StoreFailing,
    /// The store answers again.
    StoreRecovered,
}

/// Alerts. Cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    inner: Arc<AlertsInner>,
}

struct AlertsInner {
    folder: PathBuf,
    limits: AlertLimits,
    metrics: Arc<Metrics>,
    book: Book,
    outbox: Arc<Outbox>,
    endpoints: Vec<Arc<Endpoint>>,
    raise: mpsc::Sender<Raised>,
    /// What [`Alerts::run`] takes.
    parts: AsyncMutex<(Reader, mpsc::Receiver<Raised>)>,
    client: reqwest::Client,
}

impl std::fmt::Debug for Alerts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alerts").field("endpoints", &self.inner.endpoints.len()).finish_non_exhaustive()
    }
}

impl Alerts {
    /// Opens the queue in a folder, making it when missing. Without webhooks events are queued all
    /// the same, and can be delivered once there is one.
    ///
    /// # Errors
    /// [`AlertError`]
    pub fn open(
        folder: &Path,
        webhooks: Vec<WebhookConfig>,
        limits: AlertLimits,
        book: Book,
        metrics: Arc<Metrics>,
    ) -> Result<Self, AlertError> {
        let failed = |error| AlertError::Folder(folder.to_owned(), error);
        durable::make_folder(folder).map_err(failed)?;
        let outbox = Arc::new(Outbox::open(folder, limits.bytes).map_err(failed)?);
        let end = *outbox.end().borrow();
        let endpoints = webhooks
            .into_iter()
            .enumerate()
            .map(|(number, config)| Endpoint::open(folder, number, config, end).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()
            .map_err(failed)?;
        let (raise, raised) = mpsc::channel(RAISED);
        let reader =
            Reader::open(book.clone(), Arc::clone(&outbox), Arc::clone(&metrics), folder, limits.window)
                .map_err(failed)?;
        let client = courier::client(&limits)?;
        let folder = folder.to_owned();
        let parts = AsyncMutex::new((reader, raised));
        Ok(Self {
            inner: Arc::new(AlertsInner {
                folder,
                limits,
                metrics,
                book,
                outbox,
                endpoints,
                raise,
                parts,
                client,
            }),
        })
    }

    /// Has something told that is on no log. What comes faster than it can be told is left out.
    pub fn raise(&self, what: Raised) {
        let _ = self.inner.raise.try_send(what);
    }

    /// Reads and delivers until told to stop; what is not delivered by then waits on disk.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let inner = &self.inner;
        // A wish that was made while nobody ran.
        inner.fulfil().await;
        let couriers = inner.endpoints.iter().map(|endpoint| {
            let courier = Courier {
                endpoint: Arc::clone(endpoint),
                outbox: Arc::clone(&inner.outbox),
                client: inner.client.clone(),
                limits: inner.limits,
                metrics: Arc::clone(&inner.metrics),
            };
            courier.run()
        });
        let work = async { tokio::join!(inner.read(), inner.fulfil_wishes(), join_all(couriers)) };
        tokio::select! {
            () = stop => {}
            _ = work => {}
        }
        // What came last on the log is queued before the end.
        let (reader, _) = &mut *inner.parts.lock().await;
        if let Err(error) = reader.pass().await {
            tracing::warn!(%error, "events are queued at the next start");
        }
    }
}

impl AlertsInner {
    async fn fulfil_wishes(&self) {
        loop {
            sleep(TICK).await;
            self.fulfil().await;
        }
    }

    async fn fulfil(&self) {
        let (folder, endpoints) = (self.folder.clone(), self.endpoints.clone());
        if let Ok(Err(error)) = spawn_blocking(move || replay::fulfil(&folder, &endpoints)).await {
            tracing::warn!(%error, "events are not delivered again yet");
        }
    }

    /// Reads the log whenever it grew, and hears what the parent says.
    async fn read(&self) {
        let (reader, raised) = &mut *self.parts.lock().await;
        let mut progress = self.book.progress();
        let mut before = Progress::default();
        let mut failures = 0u32;
        loop {
            let is = progress.borrow_and_update().clone();
            for event in of_progress(&before, &is) {
                self.tell(event).await;
            }
            before = is;
            let passed = reader.pass().await;
            self.metrics.alerts().failing(passed.is_err());
            let mut pause = PAUSE;
            match passed {
                Ok(()) => failures = 0,
                Err(error) => {
                    if failures == 0 {
                        tracing::error!(%error, "events of the log are not queued; trying again");
                    }
                    pause = backoff(failures, FAILED.0, FAILED.1);
                    failures = failures.saturating_add(1);
                }
            }
            sleep(pause).await;
            let gathers = reader.gathers() || failures > 0;
            let what = tokio::select! {
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    None
                }
                what = raised.recv() => what,
                () = sleep(TICK), if gathers => None,
            };
            match what {
                Some(Raised::KmsDenied) => reader.gather(EventKind::KmsDenied, "kms.denied"),
                Some(Raised::StoreFailing) => {
                    self.tell(Event::from_parent(EventKind::StoreFailing, now())).await
                }
                Some(Raised::StoreRecovered) => {
                    self.tell(Event::from_parent(EventKind::StoreRecovered, now())).await;
                }
                None => {}
            }
        }
    }

    /// Queues an event of the parent's own; where that fails, as on a full disk, it is told
    /// all the same, for as long as the process lives.
    async fn tell(&self, event: Event) {
        let (outbox, queued) = (Arc::clone(&self.outbox), event.clone());
        match spawn_blocking(move || outbox.append(&[queued])).await {
            Ok(Ok(())) => self.metrics.alerts().event(event.kind.as_str()),
            _ => self.endpoints.iter().for_each(|endpoint| endpoint.tell_urgently(&event)),
        }
    }
}

/// What became worse or better with the log.
fn of_progress(before: &Progress, is: &Progress) -> Vec<Event> {
    let mut events = Vec::new();
    let stopped = matches!(is.fault, Some(crate::log::LogError::Stopped));
    match (&before.fault, &is.fault) {
        (None, Some(fault)) if !stopped => {
            let mut event = Event::from_parent(EventKind::LogFailing, now());
            event.tag = Some(format!("log.{}", fault.kind()));
            event.detail.insert("error".into(), fault.to_string().into());
            events.push(event);
        }
        (Some(_), None) => events.push(Event::from_parent(EventKind::LogRecovered, now())),
        _ => {}
    }
    if is.conflict != before.conflict
        && let Some(object) = &is.conflict
    {
        let mut event = Event::from_parent(EventKind::LogConflict, now());
        event.detail.insert("object".into(), object.clone().into());
        events.push(event);
    }
    events
}
