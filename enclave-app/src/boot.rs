//! From a measured configuration to a serving enclave.

use std::{future::Future, sync::Arc, time::Duration};

use attestation::{Nsm, Pcr};
use tokio::time::MissedTickBehavior;
use wire::transport::{self, Listener};

use crate::{
    Entropy,
    data_keys::DataKeys,
    kms::{AwsKms, SharedCredentials},
    secret::with_clean_stack,
    server,
    service::Service,
    session::{Session, SessionError},
};
use protocol::MeasuredConfig;

/// How often the clock is read from the NSM anew, and stale data keys are dropped.
const UPKEEP: Duration = Duration::from_secs(60);

/// Why an enclave does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] protocol::measured::ConfigError),
    /// The session key and its attestation.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The KMS client.
    #[error(transparent)]
    Kms(#[from] crate::kms::ClientError),
    /// The address that the parent connects to.
    #[error("network.listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// An enclave that has booted and listens.
pub struct Enclave {
    service: Arc<Service>,
    listener: Listener,
}

impl Enclave {
    /// Makes the session, and listens. Nothing is served yet. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`BootError`]
    pub fn boot(
        config: MeasuredConfig,
        nsm: Arc<dyn Nsm>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BootError> {
        let session = Arc::new(with_clean_stack(|| Session::begin(&config, nsm, entropy.as_ref()))?);
        let credentials = SharedCredentials::new(session.clock().clone());
        let kms = Arc::new(AwsKms::new(&config, session.clone(), credentials.clone())?);
        let data_keys = DataKeys::new(kms, session.clock().clone(), config.limits());
        let listener = transport::listen(&config.network().listen)?;
        let service = Arc::new(Service::new(config, session, entropy, credentials, data_keys));
        Ok(Self { service, listener })
    }

    /// PCR0 of the image, as the NSM says.
    pub fn pcr0(&self) -> Pcr {
        self.service.session.pcr0()
    }

    /// Serves until `stop`, then finishes what is under way.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self { service, listener } = self;
        tracing::info!(
            deployment = %service.config.deployment(),
            activation = ?service.config.activation(),
            pcr0 = %service.session.pcr0(),
            document = %service.session.document_hash(),
            "serving on {}", service.config.network().listen
        );
        let upkeep = tokio::spawn(upkeep(service.clone()));
        server::serve(service, listener, stop).await;
        upkeep.abort();
    }
}

async fn upkeep(service: Arc<Service>) {
    let mut ticks = tokio::time::interval(UPKEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let session = service.session.clone();
        // Any document refreshes the clock; this one is thrown away.
        let refreshed = tokio::task::spawn_blocking(move || session.attest(None).map(drop)).await;
        if !matches!(refreshed, Ok(Ok(()))) {
            tracing::warn!("the NSM's time was expected, going on with the machine's clock");
        }
        service.expire();
    }
}
