//! What each operation does, and in which phase.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protocol::{
    AddressClaims, Answer, Credentials, Description, KeyId, NewKey, Operation, Phase, Purpose, Record,
    RecordHeader, Refusal, RefusalCode,
    certificate::Issuer,
    message::{MAX_KEYS, MAX_NONCE},
};
use serde_bytes::{ByteArray, ByteBuf};

use crate::{
    MeasuredConfig, Secret,
    data_keys::{DataKeys, Reservation},
    entropy::Entropy,
    keys::PrivateKey,
    kms::{KmsError, SharedCredentials, WrappedDataKey},
    refusal::{draining, internal, nsm},
    sealing,
    secret::with_clean_stack,
    session::Session,
};

/// Bounds of what the parent may push as credentials.
const MAX_CREDENTIAL: usize = 256;
const MAX_TOKEN: usize = 16 * 1024;

/// The enclave's state between requests.
pub(crate) struct Service {
    pub(crate) config: MeasuredConfig,
    pub(crate) session: Arc<Session>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) credentials: SharedCredentials,
    pub(crate) data_keys: DataKeys,
    draining: AtomicBool,
}

impl Service {
    pub(crate) fn new(
        config: MeasuredConfig,
        session: Arc<Session>,
        entropy: Arc<dyn Entropy>,
        credentials: SharedCredentials,
        data_keys: DataKeys,
    ) -> Self {
        Self { config, session, entropy, credentials, data_keys, draining: AtomicBool::new(false) }
    }

    /// From now on nothing new is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn phase(&self) -> Phase {
        if self.draining.load(Ordering::Acquire) {
            Phase::Draining
        } else if self.credentials.are_valid() {
            Phase::Serving
        } else {
            Phase::AwaitingCredentials
        }
    }

    /// Carries out one operation, if the phase allows it.
    pub(crate) async fn perform(self: &Arc<Self>, operation: Operation) -> Result<Answer, Refusal> {
        let phase = self.phase();
        match (operation, phase) {
            (Operation::Describe, _) => Ok(Answer::Description(self.describe(phase))),
            (_, Phase::Draining) => Err(draining()),
            (Operation::Attest { nonce }, _) => self.attest(nonce.into_vec()).await,
            (Operation::PutCredentials(credentials), _) => self.put_credentials(credentials),
            (_, Phase::AwaitingCredentials) => Err(KmsError::NoCredentials.into()),
            (Operation::CreateKeys { keys }, Phase::Serving) => self.create_keys(keys).await,
            (Operation::CheckRecord { key_id, record }, Phase::Serving) => {
                self.check_record(key_id, record.into_vec()).await
            }
        }
    }

    fn describe(&self, phase: Phase) -> Description {
        Description {
            deployment: self.config.deployment().clone(),
            phase,
            pcr0: self.session.pcr0(),
            document: ByteBuf::from(self.session.document().to_vec()),
            document_hash: self.session.document_hash(),
            time: self.session.clock().now(),
        }
    }

    async fn attest(&self, nonce: Vec<u8>) -> Result<Answer, Refusal> {
        if !(1..=MAX_NONCE).contains(&nonce.len()) {
            return Err(malformed("nonce: 1 to 512 bytes were expected"));
        }
        let session = self.session.clone();
        let document = blocking(move || session.attest(Some(nonce))).await?.map_err(nsm)?;
        Ok(Answer::Document(ByteBuf::from(document)))
    }

    fn put_credentials(&self, credentials: Credentials) -> Result<Answer, Refusal> {
        // Printable alone: the SDK panics on an access key id that no HTTP header can carry.
        let short = |text: &str, limit| {
            (1..=limit).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let fits = short(&credentials.access_key_id, MAX_CREDENTIAL)
            && short(&credentials.secret_access_key, MAX_CREDENTIAL)
            && credentials.session_token.as_deref().is_none_or(|token| short(token, MAX_TOKEN));
        if !fits {
            return Err(malformed("credentials: printable ASCII of AWS's lengths was expected"));
        }
        self.credentials.put(credentials);
        Ok(Answer::CredentialsAccepted)
    }

    async fn create_keys(self: &Arc<Self>, keys: Vec<NewKey>) -> Result<Answer, Refusal> {
        if !(1..=MAX_KEYS).contains(&keys.len()) {
            return Err(malformed("keys: 1 to 256 were expected"));
        }
        let purpose = keys.first().map_or(Purpose::default(), |key| key.purpose);
        if keys.iter().any(|key| key.purpose != purpose) {
            return Err(malformed("keys: one purpose was expected, it is the data key's"));
        }
        let count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let reservations = self.data_keys.reserve(purpose, count).await?;
        let service = self.clone();
        let records = blocking(move || with_clean_stack(|| service.seal_all(&keys, &reservations))).await??;
        Ok(Answer::Records(records))
    }

    fn seal_all(&self, keys: &[NewKey], reservations: &[Reservation]) -> Result<Vec<ByteBuf>, Refusal> {
        let issuer = Issuer::new(self.session.key()).map_err(internal)?;
        let data_keys =
            reservations.iter().flat_map(|reservation| (0..reservation.records).map(|_| &reservation.key));
        let pairs = keys.iter().zip(data_keys);
        pairs.map(|(key, data_key)| self.seal(key, &data_key.secret, &data_key.wrapped, &issuer)).collect()
    }

    /// Makes one key; what leaves is its sealed record.
    fn seal(
        &self,
        new: &NewKey,
        data_key: &Secret,
        wrapped: &WrappedDataKey,
        issuer: &Issuer<'_>,
    ) -> Result<ByteBuf, Refusal> {
        let (key, public_key) = PrivateKey::generate(new.chain.curve(), self.entropy.as_ref())?;
        let addresses = chains::addresses(new.chain, &public_key, self.config.bitcoin()).map_err(internal)?;
        let public_key = public_key.to_bytes();
        let created = self.session.clock().now();
        let mut nonce = [0; 12];
        self.entropy.public(&mut nonce)?;
        let header = RecordHeader {
            deployment: self.config.deployment().clone(),
            key_id: KeyId::derive(self.config.deployment(), &new.path()),
            user: new.user.clone(),
            chain: new.chain,
            purpose: new.purpose,
            index: new.index,
            label: new.label.clone(),
            public_key: ByteBuf::from(public_key),
            address: addresses.address,
            taproot_address: addresses.taproot,
            created,
            kms_key: wrapped.kms_key.clone(),
            data_key: ByteBuf::from(wrapped.blob.clone()),
            nonce: ByteArray::new(nonce),
        };
        let claims = AddressClaims::of(&header, self.session.pcr0(), self.session.document_hash());
        let certificate = issuer.issue(&claims).map_err(internal)?;
        let record = sealing::seal(header, certificate, &key, data_key)?;
        Ok(ByteBuf::from(record.encode()?))
    }

    async fn check_record(&self, key_id: KeyId, bytes: Vec<u8>) -> Result<Answer, Refusal> {
        let record = Record::parse(&bytes)?;
        let header = record.header();
        if header.key_id != key_id || header.deployment != *self.config.deployment() {
            return Err(Refusal::new(
                RefusalCode::RecordIdentity,
                "the record of the key that was asked for, of this deployment, was expected",
            ));
        }
        if !self.config.kms().keys.contains(&header.kms_key) {
            return Err(Refusal::new(
                RefusalCode::RecordKmsKey,
                "a record under one of this deployment's KMS keys was expected",
            ));
        }
        let wrapped =
            WrappedDataKey { kms_key: header.kms_key.clone(), blob: header.data_key.clone().into_vec() };
        let data_key = self.data_keys.open(header.purpose, &wrapped).await?;
        blocking(move || with_clean_stack(|| sealing::open(&record, &data_key).map(drop))).await??;
        Ok(Answer::RecordOpened)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work).await.map_err(internal)
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::new(RefusalCode::RequestMalformed, message)
}
