//! What each operation does, and in which phase.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use protocol::{
    log::{BootFacts, EntryHash, Head, OperationName},
    request::Window,
};
use serde_bytes::ByteBuf;
use tokio::sync::OwnedSemaphorePermit;
use wire::{
    Answer, Credentials, Description, LogHead, Operation, Phase, Refusal, RefusalCode, message::MAX_NONCE,
};

use crate::{
    authority::{Authority, Origin},
    data_keys::DataKeys,
    entropy::Entropy,
    gate::Gate,
    journal::{Event, Journal, RequestLog, describe},
    kms::{KmsError, SharedCredentials},
    refusal::{blocking, draining, malformed, nsm},
    secret::with_clean_stack,
    session::Session,
    signing::Signing,
    velocity::Velocity,
};
use protocol::MeasuredConfig;

/// Bounds of what the parent may push as credentials.
const MAX_CREDENTIAL: usize = 256;
const MAX_TOKEN: usize = 16 * 1024;

/// The enclave's state between requests.
pub(crate) struct Service {
    pub(crate) config: Arc<MeasuredConfig>,
    pub(crate) session: Arc<Session>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) credentials: SharedCredentials,
    pub(crate) data_keys: Arc<DataKeys>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) gate: Gate,
    pub(crate) signing: Signing,
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
        let config = Arc::new(config);
        let clock = session.clock().clone();
        let limits = config.limits();
        let authority = Arc::new(Authority::new(
            config.deployment().clone(),
            config.operators().clone(),
            config.activation(),
            session.document_hash(),
            config.bitcoin(),
        ));
        let journal = Arc::new(Journal::new(clock.clone()));
        let window = Window {
            past_seconds: limits.request_past_seconds,
            future_seconds: limits.request_future_seconds,
        };
        let gate = Gate::new(config.deployment(), window, protocol::policy::MAX_CLIENTS, limits.nonces);
        let signing = Signing {
            config: config.clone(),
            authority: authority.clone(),
            velocity: Velocity::new(limits.velocity_counts),
            journal: journal.clone(),
            clock,
        };
        Self {
            config,
            session,
            entropy,
            credentials,
            data_keys: Arc::new(data_keys),
            authority,
            journal,
            gate,
            signing,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on nothing new is taken.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Lets go of everything that is too old to count.
    pub(crate) fn expire(&self) {
        self.data_keys.expire();
        self.journal.expire();
        self.signing.velocity.expire(self.session.clock().now());
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

    /// Carries out one operation, if the phase allows it. `memory` is what the request takes of the room
    /// for requests. What it puts on the log is in `log`.
    pub(crate) async fn perform(
        self: &Arc<Self>,
        operation: Operation,
        memory: Option<OwnedSemaphorePermit>,
        log: &mut RequestLog,
    ) -> Result<Answer, Refusal> {
        let phase = self.phase();
        match (operation, phase) {
            (Operation::Describe, _) => Ok(Answer::Description(Box::new(self.describe(phase)))),
            // What is under way while the enclave ends is still stored and signed for.
            (Operation::ReadLog { from }, _) => Ok(Answer::LogLines(self.journal.read(from))),
            (Operation::Checkpoint { stored }, _) => self.checkpoint(stored),
            (_, Phase::Draining) => Err(draining()),
            (Operation::Attest { nonce }, _) => self.attest(nonce.into_vec()).await,
            (Operation::PutCredentials(credentials), _) => self.put_credentials(credentials),
            (Operation::OpenLog { previous }, _) => Ok(Answer::LogOpened(self.open_log(previous.as_ref()))),
            (Operation::PutPolicy { envelope }, _) => self.put_policy(&envelope, log),
            (Operation::Activate { envelope }, _) => self.activate(&envelope, log),
            (Operation::ReplayOrders { envelopes }, _) => self.replay_orders(&envelopes, log),
            (Operation::State, _) => Ok(Answer::State(self.authority.state(self.session.clock().now()))),
            (Operation::Authorize { request }, _) => self.authorize(&request, log),
            (Operation::SubmitOrder { request }, _) => self.submit_order(&request, log),
            (_, Phase::AwaitingCredentials) => Err(KmsError::NoCredentials.into()),
            (Operation::Create { request, positions }, Phase::Serving) => {
                self.create(request, positions, memory, log).await
            }
            (Operation::Confirm { request, records }, Phase::Serving) => {
                self.confirm(request, records, log).await
            }
            (Operation::Sign { request, records }, Phase::Serving) => self.sign(request, records, log).await,
            (Operation::Rewrap { request, records }, Phase::Serving) => {
                self.rewrap(request, records, log).await
            }
        }
    }

    fn describe(&self, phase: Phase) -> Description {
        let now = self.session.clock().now();
        let in_force = self.authority.read();
        Description {
            deployment: self.config.deployment().clone(),
            phase,
            pcr0: self.session.pcr0(),
            document: ByteBuf::from(self.session.document().to_vec()),
            document_hash: self.session.document_hash(),
            time: now,
            kms_keys: self.config.kms().keys.clone(),
            log_open: self.journal.is_open(),
            policy: in_force.reference(),
            active: in_force.policy(now).is_ok(),
        }
    }

    async fn attest(&self, nonce: Vec<u8>) -> Result<Answer, Refusal> {
        if !(1..=MAX_NONCE).contains(&nonce.len()) {
            let found = nonce.len();
            return Err(malformed(format!("nonce: 1 to {MAX_NONCE} bytes were expected, found {found}")));
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

    fn open_log(&self, previous: Option<&LogHead>) -> LogHead {
        let previous =
            previous.map(|head| Head { boot: head.boot, seq: head.seq, hash: EntryHash::new(*head.hash) });
        let facts = BootFacts { previous, config: self.config.sha384(), pcr0: self.session.pcr0() };
        self.journal.open(self.session.document_hash(), &facts)
    }

    fn checkpoint(&self, stored: u64) -> Result<Answer, Refusal> {
        let checkpoint = with_clean_stack(|| {
            self.journal.checkpoint(stored, self.session.key(), self.config.deployment())
        });
        let closed =
            || Refusal::new(RefusalCode::LogUnavailable, "the log has not begun: the parent must open it");
        Ok(Answer::Checkpoint(checkpoint.ok_or_else(closed)?.to_json()))
    }

    fn put_policy(&self, envelope: &[u8], log: &mut RequestLog) -> Result<Answer, Refusal> {
        self.journal.room_to_restrict()?;
        // Attested and logged before anyone signs under it.
        let put = self.authority.put_policy(envelope, self.session.clock().now(), |reference| {
            self.session.bind(reference.clone());
            let event = Event::done(OperationName::POLICY_PUT).policy(Some(reference.clone()));
            self.journal.write(event.result(envelope), log);
        });
        put.map(|(reference, _)| Answer::PolicyAccepted(reference)).map_err(|refusal| {
            let event = Event::refused(OperationName::POLICY_PUT, &refusal).result(envelope);
            self.turn_stranger_down(event, refusal, log)
        })
    }

    /// Refuses what anybody can send, and says so on the log, as long as strangers left room on it.
    fn turn_stranger_down(&self, event: Event, refusal: Refusal, log: &mut RequestLog) -> Refusal {
        if let Err(full) = self.journal.room_for_strangers() {
            return full;
        }
        self.journal.write_of_stranger(event.policy(self.authority.read().reference()), log);
        refusal
    }

    fn activate(&self, envelope: &[u8], log: &mut RequestLog) -> Result<Answer, Refusal> {
        self.journal.room_to_restrict()?;
        match self.authority.activate(envelope) {
            Ok(()) => {
                let event = Event::done(OperationName::ACTIVATION_PUT).result(envelope);
                self.journal.write(event.policy(self.authority.read().reference()), log);
                Ok(Answer::Activated)
            }
            Err(refusal) => {
                let event = Event::refused(OperationName::ACTIVATION_PUT, &refusal).result(envelope);
                Err(self.turn_stranger_down(event, refusal, log))
            }
        }
    }

    /// Takes the orders that earlier boots took. One that is refused does not stop the others.
    fn replay_orders(&self, envelopes: &[ByteBuf], log: &mut RequestLog) -> Result<Answer, Refusal> {
        let mut taken = Vec::with_capacity(envelopes.len());
        for envelope in envelopes {
            self.journal.room_to_restrict()?;
            let taking = self.authority.order(
                envelope,
                Origin::Replayed,
                |_| Ok(()),
                |order, new, policy| {
                    if new {
                        let event = Event::done(OperationName::ORDER_REPLAY).detail(&describe(order));
                        self.journal.write(event.policy(policy), log);
                    }
                },
            );
            match taking {
                Ok(applied) => taken.push(applied.id),
                Err(refusal) => {
                    // Anybody can send these.
                    self.journal.room_for_strangers()?;
                    let event = Event::refused(OperationName::ORDER_REPLAY, &refusal);
                    self.journal.write_of_stranger(event.policy(self.authority.read().reference()), log);
                }
            }
        }
        Ok(Answer::OrdersReplayed(taken))
    }
}
