//! What keeps the API answering when too much is asked of it: bounds on requests under way and on the
//! bytes of their bodies, a time for each, and a rate for fresh attestation documents.
//!
//! A body is read before a place is taken, so that a slow client takes nothing but its connection. What
//! restricts (orders, policies, activations) has places and bytes of its own.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    ApiLimits, App, Problem, Route,
    budget::{Budget, Share},
    input,
    signed::NO_BODY,
};
use crate::server::ReplySlot;

/// How long what restricts may wait for a place. Each place is held for milliseconds: whoever waits so
/// long would not be answered soon.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes of bodies of what restricts.
const RESTRICTING_BYTES: usize = 32 << 20;

/// Whose places and bytes a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Everybody's.
    Common,
    /// Those of orders, policies and activations.
    Restricting,
}

/// The bounds' state.
pub(super) struct Gates {
    requests: Arc<Semaphore>,
    restricting: Arc<Semaphore>,
    bodies: Budget,
    restricting_bodies: Budget,
    attestations: DefaultDirectRateLimiter,
}

impl Gates {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.attestation_rate))
            .allow_burst(at_least_one(limits.attestation_burst));
        Self {
            requests: Arc::new(Semaphore::new(limits.in_flight)),
            restricting: Arc::new(Semaphore::new(limits.restricting)),
            bodies: Budget::new(limits.body_bytes),
            restricting_bodies: Budget::new(RESTRICTING_BYTES),
            attestations: RateLimiter::direct(quota),
        }
    }

    /// Whether one more attestation document may be asked of the enclave now.
    pub(super) fn attestation(&self) -> Result<(), Problem> {
        self.attestations.check().map_err(|not_until| {
            Problem::rate_limited(not_until.wait_time_from(DefaultClock::default().now()))
        })
    }

    fn bodies(&self, lane: Lane) -> &Budget {
        match lane {
            Lane::Common => &self.bodies,
            Lane::Restricting => &self.restricting_bodies,
        }
    }

    /// A place: at once, or after a while where restricting.
    async fn place(&self, lane: Lane) -> Result<OwnedSemaphorePermit, Problem> {
        match lane {
            Lane::Common => Arc::clone(&self.requests).try_acquire_owned().map_err(|_| Problem::overloaded()),
            Lane::Restricting => {
                let place = timeout(PATIENCE, Arc::clone(&self.restricting).acquire_owned()).await;
                place.ok().and_then(Result::ok).ok_or_else(Problem::overloaded)
            }
        }
    }
}

/// The place of a request that restricts, which whoever carries it out holds on to: also when the
/// client goes away meanwhile.
#[derive(Clone)]
pub(super) struct Turn(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Turn {
    /// That of a request behind the gate.
    pub(super) fn from_request(request: &Request) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self(Arc::default()))
    }

    /// What restricts is in effect and stored. What is left to do may wait for KMS: it takes a place
    /// among everybody's, and others restrict meanwhile.
    pub(super) fn done(self, gates: &Gates) -> Result<OwnedSemaphorePermit, Problem> {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
        Arc::clone(&gates.requests).try_acquire_owned().map_err(|_| Problem::overloaded())
    }
}

/// What the gate of a route knows.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) app: Arc<App>,
    pub(super) route: &'static Route,
}

/// Lets a request through once it is whole and the bounds allow, and gives it its time.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let Gate { app, route } = gate;
    let mut share = app.gates.bodies(route.lane).begin();
    let (request, place) = match enter(&app, route, request, &mut share).await {
        Ok(entered) => entered,
        Err(problem) => return problem.into_response(),
    };
    let _under_way = request.extensions().get::<ReplySlot>().map(ReplySlot::under_way);
    let _turn = place;
    match timeout(app.limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout().into_response(),
    }
}

/// Reads the body, then finds a place. Until both are there the body makes room for others.
async fn enter(
    app: &App,
    route: &Route,
    request: Request,
    share: &mut Share,
) -> Result<(Request, Turn), Problem> {
    share.grow(0).map_err(|_| Problem::overloaded())?;
    let (mut head, body) = request.into_parts();
    let writes = matches!(head.method, Method::POST | Method::PUT);
    let limit = if writes { route.most } else { NO_BODY };
    let reading = timeout(app.limits.body_timeout, input::body(&head.headers, body, limit, share));
    let body = reading.await.map_err(|_| Problem::slow(app.limits.body_timeout))??;
    let place = tokio::select! {
        place = app.gates.place(route.lane) => place?,
        () = share.lost() => return Err(Problem::overloaded()),
    };
    share.keep().map_err(|_| Problem::overloaded())?;
    let turn = Turn(Arc::new(Mutex::new(Some(place))));
    head.extensions.insert(turn.clone());
    Ok((Request::from_parts(head, Body::from(body)), turn))
}
