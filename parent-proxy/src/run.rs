//! Starting everything in order, watching over it, and ending it in order. Whichever service
//! ends before it was told to, the process says which and stops.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use protocol::Endpoint;
use serde::Serialize;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Config,
    api::{self, ApiLimits, App},
    credentials::{ForStore, Keeper},
    egress::{self, EgressLimits},
    enclave::{Enclave, EnclaveLimits},
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
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store must not be used.
    #[error("refusing to serve: {0}")]
    Probe(#[from] ProbeError),
    /// HTTPS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("{what} cannot be listened on: {error}")]
    Listen {
        /// Which.
        what: String,
        /// Why.
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
    // For the store's HTTPS; a test may have chosen before us.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let limits = &config.limits;
    let (first, last) = (Stopper::new(), Stopper::new());
    let mut services: JoinSet<&'static str> = JoinSet::new();

    let keeper = Keeper::default_chain(&config.region, Arc::clone(&metrics)).await;
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
    let way_out = config.kms_egress.listen().map_err(cannot(config.kms_egress.to_string()))?;
    let forwarding = egress::run(way_out, config.kms(), egress_limits, Arc::clone(&metrics), last.listener());
    services.spawn(named("the way out to KMS", forwarding));

    let attestations = store.attestations();
    let enclave = Enclave::new(
        config.enclave.clone(),
        config.deployment.clone(),
        EnclaveLimits {
            connections: limits.enclave_connections.into(),
            in_flight: limits.enclave_in_flight.into(),
            timeout: limits.enclave_timeout,
            heartbeat: limits.enclave_heartbeat,
        },
        attestations.clone(),
        credentials.clone(),
        Arc::clone(&metrics),
    );
    services.spawn(named("keeping the enclave", enclave.clone().run(last.listener())));

    let tls = tls_files(&config).map(|files| files.server()).transpose()?;
    let api_limits = ApiLimits {
        in_flight: limits.http_in_flight.into(),
        timeout: limits.http_timeout,
        attestation_rate: limits.attestation_rate,
        attestation_burst: limits.attestation_burst,
        https: tls.is_some(),
    };
    let app =
        Arc::new(App::new(enclave, &store, attestations, credentials, api_limits, Arc::clone(&metrics)));
    services.spawn(named("watching the store", watch_store(store, Arc::clone(&app), last.listener())));

    let listener = std::net::TcpListener::bind(config.listen).map_err(cannot(config.listen.to_string()))?;
    let listen = listener.local_addr().map_err(cannot(config.listen.to_string()))?;
    listener.set_nonblocking(true).map_err(cannot(config.listen.to_string()))?;
    let drain = Drain { delay: limits.drain_delay, timeout: limits.drain_timeout };
    let router = api::router(Arc::clone(&app));
    let serving =
        server::serve(listener, router, tls, limits.http_connections.into(), drain, first.listener());
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
    last.stop();
    while services.join_next().await.is_some() {}
    if let Endpoint::Unix(path) = &config.kms_egress {
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("stopped");
    Ok(())
}

async fn named(name: &'static str, service: impl Future<Output = ()>) -> &'static str {
    service.await;
    name
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
async fn watch_store(store: Store, app: Arc<App>, mut stop: Stop) {
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
        } else if ok && !was_ok {
            tracing::info!("the store answers again");
        }
        was_ok = ok;
        app.set_store_ok(ok);
    }
}
