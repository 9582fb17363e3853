//! The AWS SDK's client, and the checks that every answer has to pass.

use std::{sync::Arc, time::Duration};

use attestation::RecipientKey;
use aws_sdk_kms::{
    Client, Config,
    config::{
        BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{DataKeySpec, KeyEncryptionMechanism, RecipientInfo},
};
use aws_smithy_async::rt::sleep::TokioSleep;
use protocol::{Purpose, record::MAX_DATA_KEY};

use super::{BoxFuture, Kms, KmsError, SharedCredentials, WrappedDataKey, connector::KmsHttpClient};
use protocol::measured::{self, MeasuredConfig};

use crate::{Secret, secret::with_clean_stack, session::Session};

/// How often a call is made before it fails.
const ATTEMPTS: u32 = 3;

/// AWS KMS through the parent's egress.
pub struct AwsKms {
    client: Client,
    session: Arc<Session>,
    recipient: Arc<RecipientKey>,
    deployment: String,
    keys: measured::Kms,
    key: String,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The trust anchors.
    #[error(transparent)]
    Config(#[from] protocol::measured::ConfigError),
    /// TLS cannot be set up with them.
    #[error("kms.trust_anchors: {0}")]
    Tls(#[from] rustls::Error),
    /// The recipient key.
    #[error(transparent)]
    Recipient(#[from] attestation::envelope::EnvelopeError),
    /// The configuration names no key.
    #[error("kms.keys: at least one ARN was expected")]
    NoKey,
}

impl AwsKms {
    /// A client for the configured region and key, with a recipient key of its own.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn new(
        config: &MeasuredConfig,
        session: Arc<Session>,
        credentials: SharedCredentials,
    ) -> Result<Self, ClientError> {
        let kms = config.kms();
        let clock = session.clock();
        let http =
            KmsHttpClient::new(config.network().kms_egress.clone(), kms.trust_anchors()?, clock.clone())?;
        let whole = Duration::from_secs(config.limits().kms_timeout_seconds);
        let timeouts =
            TimeoutConfig::builder().operation_timeout(whole).operation_attempt_timeout(whole.div_f32(2.0));
        let sdk = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(kms.region.to_string()))
            .credentials_provider(credentials)
            // The parent pushes credentials: nothing older may be used than it pushed last.
            .identity_cache(IdentityCache::no_cache())
            .http_client(http)
            .time_source(clock.clone())
            .sleep_impl(TokioSleep::new())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts.build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        Ok(Self {
            client: Client::from_conf(sdk),
            session,
            recipient: Arc::new(RecipientKey::generate()?),
            deployment: config.deployment().to_string(),
            keys: kms.clone(),
            key: kms.keys.first().cloned().ok_or(ClientError::NoKey)?,
        })
    }

    /// The Recipient of a call: a fresh document that binds the recipient key.
    async fn recipient(&self) -> Result<RecipientInfo, KmsError> {
        let (session, public_key) = (self.session.clone(), self.recipient.public_key().to_vec());
        let document = tokio::task::spawn_blocking(move || session.document_for(None, public_key))
            .await
            .map_err(|_| attestation::NsmError::Internal)??;
        Ok(RecipientInfo::builder()
            .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
            .attestation_document(Blob::new(document))
            .build())
    }

    /// Takes the data key out of an answer that names the right key and carries no plaintext.
    async fn secret(
        &self,
        expected_key: &str,
        key: Option<&str>,
        plaintext: Option<&Blob>,
        for_recipient: Option<Blob>,
    ) -> Result<Secret, KmsError> {
        if plaintext.is_some_and(|plaintext| !plaintext.as_ref().is_empty()) {
            return Err(KmsError::Answer("no plaintext"));
        }
        if key != Some(expected_key) {
            return Err(KmsError::Answer("the ARN of the key that was asked for"));
        }
        let envelope = for_recipient.ok_or(KmsError::Answer("CiphertextForRecipient"))?;
        let recipient = self.recipient.clone();
        let open = move || {
            let wrong = KmsError::Answer("a data key of 32 bytes for this enclave's recipient key");
            let opened = recipient.open(envelope.as_ref()).map_err(|_| wrong.clone())?;
            Secret::copy_of(&opened).ok_or(wrong)
        };
        tokio::task::spawn_blocking(|| with_clean_stack(open))
            .await
            .map_err(|_| KmsError::Unavailable("an interrupted decryption".into()))?
    }
}

impl Kms for AwsKms {
    fn generate_data_key(&self, purpose: Purpose) -> BoxFuture<'_, (Secret, WrappedDataKey)> {
        Box::pin(async move {
            let answer = self
                .client
                .generate_data_key()
                .key_id(&self.key)
                .key_spec(DataKeySpec::Aes256)
                .encryption_context("deployment", &self.deployment)
                .encryption_context("purpose", purpose.as_str())
                .recipient(self.recipient().await?)
                .send()
                .await
                .map_err(refused)?;
            let blob = answer
                .ciphertext_blob
                .map(Blob::into_inner)
                .filter(|blob| (1..=MAX_DATA_KEY).contains(&blob.len()))
                .ok_or(KmsError::Answer("a CiphertextBlob of 1 to 1024 bytes"))?;
            let secret = self
                .secret(
                    &self.key,
                    answer.key_id.as_deref(),
                    answer.plaintext.as_ref(),
                    answer.ciphertext_for_recipient,
                )
                .await?;
            Ok((secret, WrappedDataKey { kms_key: self.key.clone(), blob }))
        })
    }

    fn decrypt<'a>(&'a self, purpose: Purpose, wrapped: &'a WrappedDataKey) -> BoxFuture<'a, Secret> {
        Box::pin(async move {
            // This region's own, where the blob is of the same multi-Region key in another one.
            let key = self.keys.key_for(&wrapped.kms_key).ok_or(KmsError::WrongKey)?;
            let answer = self
                .client
                .decrypt()
                // Named, so that a blob under any other key is an error and not a surprise.
                .key_id(key)
                .ciphertext_blob(Blob::new(wrapped.blob.clone()))
                .encryption_context("deployment", &self.deployment)
                .encryption_context("purpose", purpose.as_str())
                .recipient(self.recipient().await?)
                .send()
                .await
                .map_err(refused)?;
            self.secret(
                key,
                answer.key_id.as_deref(),
                answer.plaintext.as_ref(),
                answer.ciphertext_for_recipient,
            )
            .await
        })
    }
}

/// What a failed call means. Only KMS's error code is kept of its answer.
fn refused<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> KmsError {
    let code = match &error {
        SdkError::ServiceError(service) => service.err().code().unwrap_or("an unknown error"),
        SdkError::TimeoutError(_) => "a timeout",
        SdkError::ConstructionFailure(_) => return KmsError::NoCredentials,
        SdkError::DispatchFailure(failure) if failure.is_user() => return KmsError::NoCredentials,
        SdkError::DispatchFailure(_) => "no connection",
        _ => "an answer that is not KMS's",
    };
    match code {
        "IncorrectKeyException" => KmsError::WrongKey,
        "InvalidCiphertextException" => KmsError::InvalidBlob,
        "AccessDeniedException"
        | "DisabledException"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "InvalidGrantTokenException"
        | "InvalidKeyUsageException"
        | "InvalidSignatureException"
        | "KMSInvalidStateException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotFoundException"
        | "OptInRequired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "ValidationException" => KmsError::Denied(code.to_owned()),
        // A code of KMS is a short word; anything else is not repeated.
        _ if code.len() <= 64 => KmsError::Unavailable(code.to_owned()),
        _ => KmsError::Unavailable("an unknown error".to_owned()),
    }
}
