//! Who asks, and may they? A request is a client's when its signature, its time and its nonce are
//! right by the policy that is in force; what it asks for takes a role.

use std::sync::{Arc, Mutex, PoisonError};

use protocol::{
    Deployment,
    api::Route,
    policy::{Policy, Role},
    request::{NonceMemory, RequestError, SignedRequest, Window},
};
use wire::{Refusal, RefusalCode};

/// Remembers which requests it let through.
pub(crate) struct Gate {
    tag: String,
    window: Window,
    nonces: Mutex<NonceMemory>,
}

/// How often a request is let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    /// Once: its nonce is remembered.
    One,
    /// As often as it comes within its window: for what is harmless when repeated.
    Many,
}

/// A request that is a client's, who may make it.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The client, as the policy names it.
    pub(crate) client: Arc<str>,
    /// The key that its request was verified with.
    pub(crate) key: [u8; 32],
    /// What it asks for.
    pub(crate) route: Route,
    /// SHA-256 of what it signed.
    pub(crate) request: [u8; 32],
}

/// A request that is refused at the gate, with what is known of it for the log.
pub(crate) struct TurnedAway {
    /// What it asks for, if that is anything.
    pub(crate) route: Option<Route>,
    /// The client, once the signature proved it.
    pub(crate) client: Option<Arc<str>>,
    /// SHA-256 of what was said to be signed.
    pub(crate) request: Option<[u8; 32]>,
    /// Why.
    pub(crate) refusal: Refusal,
}

impl Gate {
    /// For requests to this deployment, of at most so many clients with at most so many nonces each.
    pub(crate) fn new(deployment: &Deployment, window: Window, clients: usize, share: usize) -> Self {
        let nonces = Mutex::new(NonceMemory::new(window, clients, share));
        Self { tag: format!("cofferdam:{deployment}"), window, nonces }
    }

    /// Lets a request through.
    pub(crate) fn pass(
        &self,
        request: &SignedRequest,
        uses: Uses,
        policy: Result<Arc<Policy>, Refusal>,
        now: u64,
    ) -> Result<Caller, Box<TurnedAway>> {
        let route = Route::from_request(&request.method, &request.path, request.query.as_deref());
        let away = |refusal, request, client| Box::new(TurnedAway { route, client, request, refusal });
        let policy = policy.map_err(|refusal| away(refusal, None, None))?;
        let signature = request.open().map_err(|error| away(refusal(error), None, None))?;
        let hash = signature.hash();
        let known = policy.client(signature.keyid());
        let client = known.ok_or_else(|| away(refusal(RequestError::Client), Some(hash), None))?;
        let authentic = signature
            .expect_tag(&self.tag)
            .and_then(|()| self.window.check(signature.created(), signature.expires(), now))
            .and_then(|()| signature.verify(client.key()));
        authentic.map_err(|error| away(refusal(error), Some(hash), None))?;
        let name: Arc<str> = Arc::from(client.id());
        if uses == Uses::One {
            let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            let taken = nonces.remember(client.id(), signature.nonce(), signature.created(), now);
            drop(nonces);
            taken.map_err(|error| away(refusal(error), Some(hash), Some(name.clone())))?;
        }
        let forbidden = |text| {
            let refusal = Refusal::new(RefusalCode::Forbidden, text);
            away(refusal, Some(hash), Some(name.clone()))
        };
        let route = route.ok_or_else(|| forbidden("the API has no such method and path"))?;
        if !route.roles().iter().any(|role| client.roles().contains(role)) {
            return Err(forbidden("the client has no role that allows it"));
        }
        Ok(Caller { client: name.clone(), key: client.key().to_bytes(), route, request: hash })
    }
}

impl Caller {
    /// Whether the caller may still ask for what it asks for, by a policy: it may be another one than
    /// that which let it in.
    pub(crate) fn may_ask(&self, policy: &Policy) -> Result<(), Refusal> {
        if self.route.roles().iter().any(|role| self.may(policy, *role)) {
            return Ok(());
        }
        let text = "the client has no role that allows it under the policy in force";
        Err(Refusal::new(RefusalCode::Forbidden, text))
    }

    /// Whether the caller has a role by a policy.
    pub(crate) fn may(&self, policy: &Policy, role: Role) -> bool {
        policy
            .client(&self.client)
            .is_some_and(|client| client.key().to_bytes() == self.key && client.roles().contains(&role))
    }
}

fn refusal(error: RequestError) -> Refusal {
    Refusal::new(RefusalCode::Unauthenticated, error.to_string()).tagged(error.tag())
}
