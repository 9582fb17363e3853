//! Starting everything in order, watching over it, and ending it in order. Whichever service
//! ends before it was told to, the process says which and stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use protocol::Endpoint;
use serde::Serialize;
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::sleep,
};
use wire::transport;

use crate::{
    Config,
    alerts::{AlertError, AlertLimits, Alerts, Counting, Raised, WebhookConfig, WebhookError},
    api::{self, ApiLimits, App, AppParts},
    clients::{Clients, FailureLimits},
    credentials::{ForStore, Keeper},
    egress::{self, EgressLimits},
    enclave::{Enclave, EnclaveLimits, EnclaveParts},
    index::{Index, IndexConfig},
    log::{Book, BookLimits, LogError, Shipping},
    metrics::Metrics,
    server::{self, Drain},
    stop::{Stop, Stopper},
    store::{ProbeError, Store, StoreError, StoreLimits, StoreUrl, probe},
    tls::{TlsError, TlsFiles},
};

/// How often the store is asked whether it answers.
const STORE_CHECK: Duration = Duration::from_secs(10);

/// Where the parent listens once it does.
#[derive(Debug, Clone, Serialize)]
pub struct Listening {
    /// The HTTP API.
    pub listen: SocketAddr,
    /// The enclave's way out to KMS.
    pub kms_egress: Endpoint,
}

/// Why the parent does not serve, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Bounds that contradict each other.
    #[error("{0}")]
    Bounds(String),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store must not be used.
    #[error("refusing to serve: {0}")]
    Probe(#[from] ProbeError),
    /// The log cannot be kept.
    #[error("refusing to serve: {0}")]
    Log(#[from] LogError),
    /// Alerts cannot be told.
    #[error("alerts: {0}")]
    Alerts(#[from] AlertError),
    /// The file of webhooks is no use.
    #[error("webhooks: {0}")]
    Webhooks(#[from] WebhookError),
    /// HTTPS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("{what} cannot be listened on: {error}")]
    Listen {
        /// What was to listen there.
        what: String,
        /// Why the system refused.
        error: io::Error,
    },
    /// A service ended by itself.
    #[error("{0} ended unexpectedly")]
    Service(&'static str),
}

/// Serves until `shutdown`, then drains. `ready` is told where.
///
/// # Errors
/// [`RunError`]
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()>,
    ready: impl FnOnce(&Listening),
) -> Result<(), RunError> {
    config.check().map_err(RunError::Bounds)?;
    // For the store's HTTPS; a test may have chosen before us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let limits = &config.limits;
    let (first, last) = (Stopper::new(), Stopper::new());
    let mut services: JoinSet<&'static str> = JoinSet::new();

    let keeper = Keeper::default_chain(config.region.as_str(), Arc::clone(&metrics)).await;
    let credentials = keeper.current();
    services.spawn(named("renewing credentials", keeper.run(last.listener())));

    let store = open_store(&config, &credentials, &metrics)?;
    probe(&store).await?;
    metrics.store_probe_passed();
    tracing::info!(store = %config.store, "the store passed the probe");

    let cannot = |what: String| move |error| RunError::Listen { what, error };
    let egress_limits = EgressLimits {
        connections: limits.egress_connections.into(),
        connect_timeout: limits.egress_connect_timeout,
        idle_timeout: limits.egress_idle_timeout,
    };
    let way_out = transport::listen(&config.kms_egress).map_err(cannot(config.kms_egress.to_string()))?;
    let forwarding = egress::run(way_out, config.kms(), egress_limits, Arc::clone(&metrics), last.listener());
    services.spawn(named("the way out to KMS", forwarding));

    let book = open_log(&config, &metrics).await?;
    services.spawn(named("shipping the log", ship(book.clone(), &store, last.listener())));

    services.spawn(named("counting the log", count(&config, &book, &metrics, last.listener())));
    let alerts = open_alerts(&config, &book, &metrics).await?;
    if let Some(alerts) = alerts.clone() {
        services.spawn(named("telling alerts", tell(alerts, last.listener())));
    }

    let clients = Arc::new(Clients::new(FailureLimits {
        rate: limits.auth_failure_rate,
        burst: limits.auth_failure_burst,
    }));
    let attestations = store.attestations();
    let enclave = Enclave::new(EnclaveParts {
        endpoint: config.enclave.clone(),
        expected: config.deployment.clone(),
        limits: EnclaveLimits {
            connections: limits.enclave_connections.into(),
            in_flight: limits.enclave_in_flight.into(),
            timeout: limits.enclave_timeout,
            heartbeat: limits.enclave_heartbeat,
        },
        store: store.clone(),
        attestations: attestations.clone(),
        credentials: credentials.clone(),
        book: book.clone(),
        clients: Arc::clone(&clients),
        metrics: Arc::clone(&metrics),
    });
    services.spawn(named("writing the log", write(book.clone(), enclave.clone(), last.listener())));
    services.spawn(named("keeping the enclave", enclave.clone().run(last.listener())));
    services.spawn(named("signing the log", enclave.clone().run_checkpoints(last.listener())));

    let index_config =
        IndexConfig { path: config.index(), store: config.store.to_string(), refresh: limits.index_refresh };
    let index = Index::new(index_config, store.keys(), Arc::clone(&metrics));
    services.spawn(named("keeping the index", keep(index.clone(), last.listener())));

    let tls = tls_files(&config).map(|files| files.server()).transpose()?;
    let api_limits = ApiLimits {
        in_flight: limits.http_in_flight.into(),
        restricting: limits.http_restricting.into(),
        body_bytes: usize::from(limits.http_body_mib) << 20,
        body_timeout: limits.http_body_timeout,
        timeout: limits.http_timeout,
        attestation_rate: limits.attestation_rate,
        attestation_burst: limits.attestation_burst,
        https: tls.is_some(),
    };
    let parts = AppParts {
        enclave: enclave.clone(),
        attestations,
        credentials,
        book,
        clients,
        index,
        limits: api_limits,
        metrics: Arc::clone(&metrics),
    };
    let app = Arc::new(App::new(&store, parts));
    services
        .spawn(named("watching the store", watch_store(store, Arc::clone(&app), alerts, last.listener())));

    let listener = std::net::TcpListener::bind(config.listen).map_err(cannot(config.listen.to_string()))?;
    let listen = listener.local_addr().map_err(cannot(config.listen.to_string()))?;
    listener.set_nonblocking(true).map_err(cannot(config.listen.to_string()))?;
    let drain = Drain { delay: limits.drain_delay, timeout: limits.drain_timeout };
    let router = api::router(Arc::clone(&app));
    let connections = (limits.http_connections.into(), Arc::clone(&metrics));
    let serving = server::serve(listener, router, tls, connections, drain, first.listener());
    let mut serving = tokio::spawn(serving);
    tracing::info!(%listen, kms_egress = %config.kms_egress, kms = %config.kms(), "serving");
    ready(&Listening { listen, kms_egress: config.kms_egress.clone() });

    tokio::select! {
        () = shutdown => {}
        _ = &mut serving => return Err(RunError::Service("the HTTP server")),
        Some(ended) = services.join_next() => {
            return Err(RunError::Service(ended.unwrap_or("a service, by a fault of its own,")));
        }
    }
    // First the requests, then what they need.
    tracing::info!("draining");
    app.set_draining();
    first.stop();
    let _ = serving.await;
    enclave.last_checkpoint().await;
    last.stop();
    while services.join_next().await.is_some() {}
    if let Some(file) = config.kms_egress.file() {
        let _ = std::fs::remove_file(file);
    }
    tracing::info!("stopped");
    Ok(())
}

async fn named(name: &'static str, service: impl Future<Output = ()>) -> &'static str {
    service.await;
    name
}

/// Opens the log. Reading what is there may take a moment.
async fn open_log(config: &Config, metrics: &Arc<Metrics>) -> Result<Book, LogError> {
    let (folder, metrics) = (config.log.clone(), Arc::clone(metrics));
    let opened = spawn_blocking(move || Book::open(&folder, BookLimits::default(), metrics)).await;
    opened.map_err(|_| LogError::Stopped)?
}

/// Writes the log until told to stop.
async fn write(book: Book, enclave: Enclave, mut stop: Stop) {
    book.run(enclave, async move { stop.said().await }).await;
}

/// Copies closed segments to the store until told to stop.
fn ship(book: Book, store: &Store, mut stop: Stop) -> impl Future<Output = ()> + use<> {
    let shipping = Shipping::new(book, store);
    async move { shipping.run(async move { stop.said().await }).await }
}

/// Counts the entries of the log until told to stop.
fn count(
    config: &Config,
    book: &Book,
    metrics: &Arc<Metrics>,
    mut stop: Stop,
) -> impl Future<Output = ()> + use<> {
    let counting = Counting::open(&config.log, book.clone(), Arc::clone(metrics));
    async move { counting.run(async move { stop.said().await }).await }
}

/// Keeps the index of keys until told to stop.
async fn keep(index: Index, mut stop: Stop) {
    index.run(async move { stop.said().await }).await;
}

/// Opens the alerts, if there are to be any.
async fn open_alerts(
    config: &Config,
    book: &Book,
    metrics: &Arc<Metrics>,
) -> Result<Option<Alerts>, RunError> {
    let Some(folder) = config.alerts.clone() else { return Ok(None) };
    let webhooks = config.webhooks.as_deref().map(WebhookConfig::read).transpose()?.unwrap_or_default();
    let (book, metrics) = (book.clone(), Arc::clone(metrics));
    let limits = AlertLimits::default();
    let opened = spawn_blocking(move || Alerts::open(&folder, webhooks, limits, book, metrics)).await;
    Ok(Some(opened.map_err(|_| LogError::Stopped)??))
}

/// Tells alerts until told to stop.
async fn tell(alerts: Alerts, mut stop: Stop) {
    alerts.run(async move { stop.said().await }).await;
}

fn open_store(
    config: &Config,
    credentials: &crate::credentials::Current,
    metrics: &Arc<Metrics>,
) -> Result<Store, StoreError> {
    let limits =
        StoreLimits { in_flight: config.limits.store_in_flight.into(), timeout: config.limits.store_timeout };
    let for_store: Option<object_store::aws::AwsCredentialProvider> = match &config.store {
        StoreUrl::Folder(_) => None,
        StoreUrl::Bucket { .. } => Some(Arc::new(ForStore::new(credentials.clone()))),
    };
    Store::open(&config.store, &config.region, for_store, limits, Arc::clone(metrics))
}

fn tls_files(config: &Config) -> Option<TlsFiles> {
    Some(TlsFiles {
        certificate: config.tls_cert.clone()?,
        key: config.tls_key.clone()?,
        client_ca: config.tls_client_ca.clone(),
    })
}

/// Keeps what `/readyz` says of the store up to date.
async fn watch_store(store: Store, app: Arc<App>, alerts: Option<Alerts>, mut stop: Stop) {
    let raise = |raised| alerts.iter().for_each(|alerts| alerts.raise(raised));
    let mut was_ok = true;
    loop {
        tokio::select! {
            () = sleep(STORE_CHECK) => {}
            () = stop.said() => return,
        }
        let checked = store.check().await;
        let ok = checked.is_ok();
        if let Err(error) = checked
            && was_ok
        {
            tracing::warn!(%error, "the store no longer answers");
            raise(Raised::StoreFailing);
        } else if ok && !was_ok {
            tracing::info!("the store answers again");
            raise(Raised::StoreRecovered);
        }
        was_ok = ok;
        app.set_store_ok(ok);
    }
}
