//! `GET /v1/log` and `GET /v1/log/checkpoint`: the log, as the enclave wrote it.

use std::sync::Arc;

use attestation::DocumentHash;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    App, Problem,
    openapi::{AuthProblems, EnclaveProblems, InputProblems, LogProblems, ServiceProblems},
    query::Query,
    signed::{self, Content},
};
use crate::log::LogError;

/// Lines of JSON (jsonlines.org).
const JSONL: HeaderValue = HeaderValue::from_static("application/jsonl");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// How many bytes are answered, where nothing is asked for.
const PAGE: usize = 1 << 20;
/// The most bytes that are answered.
const MAX_PAGE: usize = 8 << 20;

/// Lines of a boot's log, whole and in order, with the checkpoints among them. Empty at the end.
/// Role `audit.read`.
#[utoipa::path(
    get, path = "/v1/log", operation_id = "readLog", tag = "log",
    security(("messageSignature" = [])),
    params(
        ("boot" = Option<String>, Query, description = "SHA-256 of the boot's attestation document; the newest boot unless given.", min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$"),
        ("from" = Option<u64>, Query, description = "The number of the first entry; 1 unless given. Checkpoints right before it come as well.", minimum = 1, example = 1),
        ("limit" = Option<u32>, Query, description = "The most bytes; one line at least is answered. 1048576 unless given.", minimum = 1, maximum = 8388608, example = 1048576),
    ),
    responses(
        (status = 200, description = "One JSON object a line.", body = String, content_type = "application/jsonl"),
        InputProblems, AuthProblems, LogProblems, ServiceProblems,
    ),
)]
pub(super) async fn read(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let request = signed::read(request, Content::Any).await?;
    let mut query = Query::parse(request.query.as_deref())?;
    let boot = query.take("boot")?.map(|text| boot(&text)).transpose()?;
    let from = query.take("from")?.map_or(Ok(1), |text| number("from", &text, u64::MAX >> 1))?;
    let limit = query.take("limit")?.map(|text| number("limit", &text, MAX_PAGE as u64)).transpose()?;
    query.finish()?;
    signed::authorize(&app, request).await?;
    let limit = limit.map_or(PAGE, |limit| usize::try_from(limit).unwrap_or(MAX_PAGE));
    match app.book.read(boot, from, limit).await {
        Ok(lines) => Ok(([(header::CONTENT_TYPE, JSONL)], lines).into_response()),
        Err(LogError::UnknownBoot | LogError::NotBegun) => Err(Problem::no_log()),
        Err(error) => Err(error.into()),
    }
}

/// The enclave's signature over where its log stands. All that it covers is stored. Role
/// `audit.read`.
#[utoipa::path(
    get, path = "/v1/log/checkpoint", operation_id = "readCheckpoint", tag = "log",
    security(("messageSignature" = [])),
    responses(
        (status = 200, description = "A signed checkpoint.", body = Object, content_type = "application/json"),
        InputProblems, AuthProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn checkpoint(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let request = signed::read(request, Content::Any).await?;
    signed::authorize(&app, request).await?;
    let json = app.enclave.checkpoint().await?;
    Ok(([(header::CONTENT_TYPE, JSON)], json).into_response())
}

fn boot(text: &str) -> Result<DocumentHash, Problem> {
    let found = || format!("{} characters", text.len());
    text.parse().map_err(|_| Problem::field("boot", "64 lower-case hexadecimal digits", found()))
}

fn number(field: &'static str, text: &str, most: u64) -> Result<u64, Problem> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| Problem::field(field, format!("a whole number from 1 to {most}"), "another value"))
}
