//! `/healthz`, `/readyz` and `/metrics`, for whoever watches.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Problem, policy::PolicyTaken};
use crate::metrics::Format;

/// The process lives.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    /// Always `alive`.
    status: &'static str,
}

/// Whether requests will be served, and if not, which part is not ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Readiness {
    /// All parts are.
    ready: bool,
    /// `serving`, or `disconnected`, `opening_log`, `awaiting_credentials`, `draining`.
    enclave: &'static str,
    /// `ok`, or `failing`.
    store: &'static str,
    /// `open`; `closed` while it has not begun; `failing` while it cannot be written.
    log: &'static str,
    /// The policy that is in the enclave; null before there is one, and while no enclave is there.
    policy: Option<PolicyTaken>,
    /// `ok`, or `missing`: whether the AWS chain gave credentials for the enclave.
    credentials: &'static str,
    /// The parent is about to stop.
    draining: bool,
}

/// Whether the process lives.
#[utoipa::path(
    get, path = "/healthz", operation_id = "alive", tag = "operation",
    responses((status = 200, description = "It does.", body = Alive)),
)]
pub(super) async fn alive() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Whether requests will be served.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready", tag = "operation",
    responses(
        (status = 200, description = "They will.", body = Readiness),
        (status = 503, description = "Some part is not ready.", body = Readiness),
    ),
)]
pub(super) async fn ready(State(app): State<Arc<App>>) -> (StatusCode, Json<Readiness>) {
    let enclave = app.enclave.state();
    let store_ok = app.store_ok.load(Ordering::Relaxed);
    let draining = app.draining.load(Ordering::Relaxed);
    let log_failing = app.book.progress().borrow().fault.is_some();
    let ready = enclave.is_serving() && store_ok && !log_failing && !draining;
    let here = enclave.connections > 0;
    let readiness = Readiness {
        ready,
        enclave: enclave.as_str(),
        store: if store_ok { "ok" } else { "failing" },
        log: match (log_failing, here && enclave.log_open) {
            (true, _) => "failing",
            (false, true) => "open",
            (false, false) => "closed",
        },
        policy: enclave.policy.filter(|_| here).map(|policy| PolicyTaken::new(&policy, enclave.active)),
        credentials: if app.credentials.borrow().is_some() { "ok" } else { "missing" },
        draining,
    };
    (if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(readiness))
}

/// Metrics for Prometheus, in the format that `Accept` asks for.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "operation",
    responses((status = 200, description = "OpenMetrics where it is preferred, else the text format 0.0.4.", content(
        (String = "text/plain; version=0.0.4; charset=utf-8"),
        (String = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
    ))),
)]
pub(super) async fn metrics(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    let accept: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).collect();
    let format = Format::from_accept(&accept.join(","));
    let text = app.metrics.encode_as(format).map_err(|_| Problem::internal())?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (header::VARY, HeaderValue::from_static("accept")),
    ];
    Ok((headers, text).into_response())
}
