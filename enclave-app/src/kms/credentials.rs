//! The credentials that the parent pushed last.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials as AwsCredentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use wire::Credentials;

use crate::clock::Clock;

/// Where the KMS client finds the newest credentials. They authorise, they open nothing: KMS
/// also asks for an attestation.
#[derive(Clone)]
pub struct SharedCredentials {
    clock: Clock,
    latest: Arc<RwLock<Option<Credentials>>>,
}

impl SharedCredentials {
    /// None yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, latest: Arc::default() }
    }

    /// Replaces what was there.
    pub fn put(&self, credentials: Credentials) {
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Some(credentials);
    }

    /// Whether there are some that have not expired.
    pub fn are_valid(&self) -> bool {
        self.valid().is_some()
    }

    fn valid(&self) -> Option<Credentials> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        let now = Clock::now(&self.clock);
        latest.clone().filter(|credentials| credentials.expires.is_none_or(|expires| now < expires))
    }
}

impl std::fmt::Debug for SharedCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SharedCredentials")
    }
}

impl ProvideCredentials for SharedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let credentials = self.valid().map(|credentials| {
            let expires = credentials
                .expires
                .and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
            AwsCredentials::new(
                credentials.access_key_id.clone(),
                credentials.secret_access_key.clone(),
                credentials.session_token.clone(),
                expires,
                "parent",
            )
        });
        future::ProvideCredentials::ready(
            credentials.ok_or_else(|| CredentialsError::not_loaded("no valid credentials from the parent")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(expires: Option<u64>) -> Credentials {
        Credentials {
            access_key_id: "AKIA".into(),
            secret_access_key: "secret".into(),
            session_token: None,
            expires,
        }
    }

    #[test]
    fn expired_credentials_are_as_good_as_none() {
        let now = 1_700_000_000_000;
        let shared = SharedCredentials::new(Clock::new(now));
        assert!(!shared.are_valid());
        shared.put(credentials(Some(now + 60_000)));
        assert!(shared.are_valid());
        shared.put(credentials(Some(now)));
        assert!(!shared.are_valid());
        shared.put(credentials(None));
        assert!(shared.are_valid());
        assert!(!format!("{shared:?}").contains("secret"));
    }
}
