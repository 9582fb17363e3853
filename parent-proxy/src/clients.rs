//! What the parent knows of the clients, to shed load: whoever cannot be one costs the enclave, and
//! its log, no more than a bounded rate. The parent decides nothing by it: what it takes for a
//! client's the enclave verifies, and what it does not take for one is passed on as well, as long as
//! there is not too much of it.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use attestation::DocumentHash;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use protocol::{
    PolicyRef,
    api::Route,
    dsse::{ACTIVATION_TYPE, Envelope, POLICY_TYPE},
    operators::{Ed25519Key, MAX_OPERATORS, Quorum},
    policy::{ActivationStatement, MAX_CLIENTS, Policy},
    request::{NonceMemory, RequestError, SignedRequest, Window},
};

/// How many nonces of a client are remembered.
const SHARE: usize = 1 << 15;

/// Requests that are no client's, per second and at once.
#[derive(Debug, Clone, Copy)]
pub struct FailureLimits {
    /// Per second.
    pub rate: u32,
    /// At once, before the rate counts.
    pub burst: u32,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self { rate: 50, burst: 200 }
    }
}

/// The clients of the policy that the enclave was last seen to take, and the operators who signed
/// such policies.
pub struct Clients {
    policy: RwLock<Option<Arc<Policy>>>,
    operators: RwLock<Vec<Ed25519Key>>,
    window: Window,
    nonces: Mutex<NonceMemory>,
    failures: DefaultDirectRateLimiter,
    envelopes: DefaultDirectRateLimiter,
}

impl Clients {
    /// Before there is a policy: everyone is a stranger.
    pub fn new(limits: FailureLimits) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.rate)).allow_burst(at_least_one(limits.burst));
        let window = Window::default();
        Self {
            policy: RwLock::default(),
            operators: RwLock::default(),
            window,
            nonces: Mutex::new(NonceMemory::new(window, MAX_CLIENTS, SHARE)),
            failures: RateLimiter::direct(quota),
            envelopes: RateLimiter::direct(quota),
        }
    }

    /// Learns a policy that the enclave has, and with it the clients. What is no policy changes
    /// nothing.
    pub fn learn(&self, envelope: &[u8]) {
        let payload = Envelope::parse(envelope, POLICY_TYPE).and_then(|envelope| envelope.payload());
        let Some(policy) = payload.ok().and_then(|payload| Policy::parse(&payload).ok()) else { return };
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(policy));
    }

    /// Learns a policy in the envelope that the enclave took: its signers are operators.
    pub fn learn_signed(&self, envelope: &[u8]) {
        self.learn(envelope);
        let Ok(envelope) = Envelope::parse(envelope, POLICY_TYPE) else { return };
        let mut operators = self.operators.write().unwrap_or_else(PoisonError::into_inner);
        for operator in envelope.signers().filter_map(|signer| signer.parse().ok()) {
            if operators.len() < MAX_OPERATORS && !operators.contains(&operator) {
                operators.push(operator);
            }
        }
    }

    /// The policy that was last learned.
    pub fn policy(&self) -> Option<PolicyRef> {
        self.read().map(|policy| policy.reference())
    }

    /// Lets a request through to the enclave: at once when it looks like a client's that was not
    /// seen before, else as often as the bound allows.
    ///
    /// # Errors
    /// After which time to try again.
    pub fn admit(&self, request: &SignedRequest) -> Result<(), Duration> {
        if self.looks_good(request).is_ok() { Ok(()) } else { self.spend() }
    }

    /// Lets a policy through: at once when known operators signed it and it is newer than the one
    /// that is known, else as often as the bound allows.
    ///
    /// # Errors
    /// After which time to try again.
    pub fn admit_policy(&self, envelope: &[u8]) -> Result<(), Duration> {
        let known = self.policy().map(|policy| policy.version);
        let policy = self.signed(envelope, POLICY_TYPE).and_then(|payload| Policy::parse(&payload).ok());
        let newer =
            policy.is_some_and(|policy| known.is_some_and(|known| policy.reference().version > known));
        if newer { Ok(()) } else { wait(&self.envelopes) }
    }

    /// Lets an activation through: at once when known operators signed it for the boot that waits
    /// for one, else as often as the bound allows.
    ///
    /// # Errors
    /// After which time to try again.
    pub fn admit_activation(&self, envelope: &[u8], waits: Option<DocumentHash>) -> Result<(), Duration> {
        let statement = self.signed(envelope, ACTIVATION_TYPE);
        let statement = statement.and_then(|payload| ActivationStatement::parse(&payload).ok());
        let awaited = statement.is_some_and(|statement| Some(statement.boot) == waits);
        if awaited { Ok(()) } else { wait(&self.envelopes) }
    }

    fn spend(&self) -> Result<(), Duration> {
        wait(&self.failures)
    }

    /// The payload, when only known operators signed it.
    fn signed(&self, envelope: &[u8], payload_type: &'static str) -> Option<Vec<u8>> {
        let keys = self.operators.read().unwrap_or_else(PoisonError::into_inner).clone();
        Envelope::parse(envelope, payload_type).ok()?.verify(&Quorum { threshold: 1, keys }).ok()
    }

    /// As the enclave does, by this machine's clock and with what is known here.
    fn looks_good(&self, request: &SignedRequest) -> Result<(), RequestError> {
        let policy = self.read().ok_or(RequestError::Client)?;
        let signature = request.open()?;
        let client = policy.client(signature.keyid()).ok_or(RequestError::Client)?;
        signature.expect_tag(&format!("cofferdam:{}", policy.deployment()))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.window.check(signature.created(), signature.expires(), now)?;
        signature.verify(client.key())?;
        // Orders wait for each other alone: whoever may not give one does not make them wait.
        let route = Route::from_request(&request.method, &request.path, request.query.as_deref());
        if let Some(route @ (Route::SubmitOrder | Route::ReplaceKey(_))) = route
            && !route.roles().iter().any(|role| client.roles().contains(role))
        {
            return Err(RequestError::Client);
        }
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        match nonces.remember(client.id(), signature.nonce(), signature.created(), now) {
            // Of a client with so much to ask nothing is held against it that cannot be known.
            Err(RequestError::Busy) => Ok(()),
            remembered => remembered,
        }
    }

    fn read(&self) -> Option<Arc<Policy>> {
        self.policy.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn wait(limiter: &DefaultDirectRateLimiter) -> Result<(), Duration> {
    limiter.check().map_err(|not_until| not_until.wait_time_from(DefaultClock::default().now()))
}
