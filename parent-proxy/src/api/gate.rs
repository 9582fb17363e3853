//! What keeps the API answering when too much is asked of it: a bound on requests under way, a
//! time for each, and a rate for fresh attestation documents.

use std::{num::NonZeroU32, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use tokio::{sync::Semaphore, time::timeout};

use super::{ApiLimits, App, Problem};

/// The bounds' state.
pub(super) struct Gates {
    requests: Semaphore,
    attestations: DefaultDirectRateLimiter,
}

impl Gates {
    pub(super) fn new(limits: &ApiLimits) -> Self {
        let at_least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(at_least_one(limits.attestation_rate))
            .allow_burst(at_least_one(limits.attestation_burst));
        Self { requests: Semaphore::new(limits.in_flight), attestations: RateLimiter::direct(quota) }
    }

    /// Whether one more attestation document may be asked of the enclave now.
    pub(super) fn attestation(&self) -> Result<(), Problem> {
        self.attestations.check().map_err(|not_until| {
            Problem::rate_limited(not_until.wait_time_from(DefaultClock::default().now()))
        })
    }
}

/// Lets a request through if the bound allows, and gives it its time.
pub(super) async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = app.gates.requests.try_acquire() else {
        return Problem::overloaded().into_response();
    };
    match timeout(app.limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::timeout().into_response(),
    }
}
