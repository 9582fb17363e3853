//! AWS credentials from the default chain (environment, profile, web identity, container, IMDSv2),
//! kept fresh, for the enclave and for the store. Never logged: not even their identifier.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_config::Region;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::aws::AwsCredential;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use wire::Credentials;

use crate::{
    backoff::{backoff, fraction},
    metrics::Metrics,
    stop::Stop,
};

/// How long before their end credentials are renewed.
const LEAD: Duration = Duration::from_secs(600);
/// How often credentials without an end are read again: they may be rotated.
const REREAD: Duration = Duration::from_secs(300);
/// How long the chain may take: IMDS and STS are network calls.
const FETCH: Duration = Duration::from_secs(20);
/// Waits between failures.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The newest credentials, or none yet.
pub type Current = watch::Receiver<Option<Arc<Credentials>>>;

/// Renews credentials.
#[derive(Debug)]
pub struct Keeper {
    provider: SharedCredentialsProvider,
    current: watch::Sender<Option<Arc<Credentials>>>,
    metrics: Arc<Metrics>,
}

impl Keeper {
    /// Over the default chain of this machine.
    pub async fn default_chain(region: &str, metrics: Arc<Metrics>) -> Self {
        let chain = aws_config::default_provider::credentials::DefaultCredentialsChain::builder()
            .region(Region::new(region.to_owned()))
            .build()
            .await;
        Self::new(SharedCredentialsProvider::new(chain), metrics)
    }

    /// Over any provider.
    pub fn new(provider: SharedCredentialsProvider, metrics: Arc<Metrics>) -> Self {
        Self { provider, current: watch::Sender::new(None), metrics }
    }

    /// Where the newest appear.
    pub fn current(&self) -> Current {
        self.current.subscribe()
    }

    /// Renews until told to stop.
    pub(crate) async fn run(self, mut stop: Stop) {
        let mut failures = 0u32;
        while !stop.is_said() {
            let wait = match self.fetch().await {
                Ok(credentials) => {
                    failures = 0;
                    let left = credentials.expires.map(left);
                    self.metrics.credentials_refreshed(credentials.expires);
                    self.publish(credentials);
                    renew_in(left, fraction())
                }
                Err(error) => {
                    self.metrics.credentials_failed();
                    tracing::warn!(error, "the AWS chain gave no credentials; asking again");
                    let wait = backoff(failures, RETRY.0, RETRY.1);
                    failures = failures.saturating_add(1);
                    wait
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.said() => {}
            }
        }
    }

    /// The error is the provider's own name of what failed; its details could quote its source.
    async fn fetch(&self) -> Result<Credentials, &'static str> {
        use aws_credential_types::provider::error::CredentialsError as E;
        let found = match timeout(FETCH, self.provider.provide_credentials()).await {
            Ok(Ok(found)) => found,
            Ok(Err(E::CredentialsNotLoaded(_))) => return Err("no source of credentials is configured"),
            Ok(Err(E::ProviderTimedOut(_))) | Err(_) => return Err("the source took too long"),
            Ok(Err(E::InvalidConfiguration(_))) => return Err("the configuration is invalid"),
            Ok(Err(E::ProviderError(_))) => return Err("the source failed"),
            Ok(Err(_)) => return Err("the source failed in another way"),
        };
        Ok(Credentials {
            access_key_id: found.access_key_id().to_owned(),
            secret_access_key: found.secret_access_key().to_owned(),
            session_token: found.session_token().map(str::to_owned),
            expires: found.expiry().map(milliseconds),
        })
    }

    fn publish(&self, credentials: Credentials) {
        self.current.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&credentials);
            if changed {
                *current = Some(Arc::new(credentials));
            }
            changed
        });
    }
}

/// The same credentials, for the store.
#[derive(Debug)]
pub struct ForStore(Current);

impl ForStore {
    /// Those that are newest at each request.
    pub fn new(current: Current) -> Self {
        Self(current)
    }

    async fn newest(&self) -> object_store::Result<Arc<AwsCredential>> {
        let missing = || object_store::Error::Generic {
            store: "S3",
            source: "the AWS chain has not given credentials yet".into(),
        };
        let mut current = self.0.clone();
        let found = timeout(FETCH, current.wait_for(Option::is_some)).await.map_err(|_| missing())?;
        let found = found.map_err(|_| missing())?.clone().ok_or_else(missing)?;
        Ok(Arc::new(AwsCredential {
            key_id: found.access_key_id.clone(),
            secret_key: found.secret_access_key.clone(),
            token: found.session_token.clone(),
        }))
    }
}

impl object_store::CredentialProvider for ForStore {
    type Credential = AwsCredential;

    // By hand what `async_trait` would write.
    fn get_credential<'s, 'f>(
        &'s self,
    ) -> std::pin::Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(self.newest())
    }
}

/// When to renew credentials that are good for `left`; `jitter` from 0 to 1 spreads many parents.
fn renew_in(left: Option<Duration>, jitter: f64) -> Duration {
    let Some(left) = left else { return REREAD.mul_f64(1.0 - jitter / 10.0) };
    let lead = LEAD.min(left / 2);
    let early = lead.mul_f64(jitter / 2.0);
    left.saturating_sub(lead).saturating_sub(early).max(RETRY.0)
}

fn left(expires: u64) -> Duration {
    Duration::from_millis(expires.saturating_sub(milliseconds(SystemTime::now())))
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_renewed_well_before_they_end() {
        let hour = Duration::from_secs(3600);
        for jitter in [0.0, 0.5, 1.0] {
            let wait = renew_in(Some(hour), jitter);
            assert!(wait <= hour - LEAD && wait >= hour - LEAD * 3 / 2, "{wait:?}");
            let short = renew_in(Some(Duration::from_secs(60)), jitter);
            assert!(short <= Duration::from_secs(30) && short >= Duration::from_secs(15), "{short:?}");
            assert!(renew_in(None, jitter) <= REREAD);
        }
        assert_eq!(renew_in(Some(Duration::ZERO), 1.0), RETRY.0);
    }

    #[tokio::test]
    async fn credentials_appear_and_their_secret_does_not_in_any_text() {
        let found = aws_credential_types::Credentials::new(
            "AKIDEXAMPLE",
            "s3cr3t",
            Some("t0ken".into()),
            None,
            "test",
        );
        let keeper = Keeper::new(SharedCredentialsProvider::new(found), Arc::default());
        let mut current = keeper.current();
        let stopper = crate::stop::Stopper::new();
        let running = tokio::spawn(keeper.run(stopper.listener()));
        let shown = format!("{:?}", current.wait_for(Option::is_some).await.unwrap());
        assert!(!shown.contains("s3cr3t") && !shown.contains("t0ken") && !shown.contains("AKID"), "{shown}");
        let store = object_store::CredentialProvider::get_credential(&ForStore::new(current)).await.unwrap();
        assert_eq!(store.secret_key, "s3cr3t");
        stopper.stop();
        running.await.unwrap();
    }
}
