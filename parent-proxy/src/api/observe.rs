//! Around every request: its id, its line in the log, its metrics, the form of problems, and the
//! headers that every answer has. The log names the route and never the path, the query, a header
//! or a body: those hold users' data.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER;
use futures::FutureExt;

use super::{App, Problem, identity::Identity, paths, problem::MEDIA_TYPE};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// In place of a route, where there is none.
const NO_ROUTE: &str = "none";
/// The longest request id that is taken over.
const MAX_REQUEST_ID: usize = 64;

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Wraps everything else.
pub(super) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let _under_way = app.metrics.request_in_flight();
    let id = request_id(&request);
    let route = route(&request);
    let method = method(request.method());
    let identity = Identity::with(&mut request);
    // A fault in a handler ends one request, with an answer.
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| Problem::internal().into_response());
    let mut code = String::new();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        code = problem.code().to_owned();
        response = written(&problem, &id, response);
    }
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    identity.tell(headers);
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
    if app.limits.https {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    let status = response.status().as_u16();
    let took = started.elapsed();
    // What no route takes is counted as that, so that nobody makes more labels than there are routes.
    let counted = if response.status() == StatusCode::METHOD_NOT_ALLOWED { NO_ROUTE } else { route };
    app.metrics.request(counted, counted_method(method), status, took);
    let milliseconds = took.as_secs_f64() * 1000.0;
    // Not being ready is no fault: whoever asks hears it.
    if status >= 500 && !code.is_empty() {
        tracing::warn!(route, method, status, code, milliseconds, request_id = %id, "answered");
    } else {
        tracing::debug!(route, method, status, code, milliseconds, request_id = %id, "answered");
    }
    response
}

/// The problem as a body under the headers that it came with.
fn written(problem: &Problem, id: &str, bare: Response) -> Response {
    let mut response = (bare.status(), Json(problem.body(id))).into_response();
    let headers = response.headers_mut();
    for name in [header::RETRY_AFTER, header::ALLOW, header::WWW_AUTHENTICATE] {
        if let Some(value) = bare.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    response
}

/// The client's own id for the request if it can be shown anywhere, or a random one.
fn request_id(request: &Request) -> String {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let plain = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
    };
    given.filter(plain).map_or_else(|| HEXLOWER.encode(&rand::random::<[u8; 16]>()), str::to_owned)
}

/// The route as it is written in the router, of which there are few.
fn route(request: &Request) -> &'static str {
    let matched = request.extensions().get::<MatchedPath>();
    matched.and_then(|matched| paths().find(|path| *path == matched.as_str())).unwrap_or(NO_ROUTE)
}

/// The method, of a fixed set.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// The methods that routes have; HEAD is answered as GET is.
fn counted_method(method: &'static str) -> &'static str {
    match method {
        "GET" | "HEAD" => "GET",
        "POST" | "PUT" => method,
        _ => "other",
    }
}
