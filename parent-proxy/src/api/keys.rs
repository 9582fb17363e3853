//! `GET /v1/keys/{key_id}` and `POST /v1/keys/{key_id}/check`: what is stored of a key.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
};
use protocol::{
    KeyId,
    api::{CheckRequest, expected_of_check},
};
use serde::Serialize;
use serde_bytes::ByteBuf;
use utoipa::ToSchema;

use super::{
    App, Problem,
    openapi::{
        AuthProblems, EnclaveProblems, InputProblems, KeyProblems, RecordProblems, ServiceProblems,
        UnreadableProblems,
    },
    shapes,
    signed::{self, Content},
};
use crate::address::{Address, StoredKey};

/// A record that opened.
#[derive(Serialize, ToSchema)]
pub(super) struct Checked {
    /// The key.
    key_id: String,
    /// Always true: a record that does not open is a problem.
    opened: bool,
    /// The enclave's signed statement of it, a compact JWS: docs/formats.md, section 7. Without it
    /// the answer is the parent's word alone.
    statement: String,
}

/// Reads one key. Role `keys.read`.
#[utoipa::path(
    get, path = "/v1/keys/{key_id}", operation_id = "readKey", tag = "keys",
    security(("messageSignature" = [])),
    params(("key_id" = String, Path, description = "`key_` and 52 characters.", min_length = 56, max_length = 56, pattern = "^key_[a-z2-7]{51}[aq]$", example = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")),
    responses(
        (status = 200, description = "The key's address.", body = Address),
        InputProblems, AuthProblems, KeyProblems, RecordProblems, ServiceProblems,
    ),
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    key_id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Address>, Problem> {
    let key_id = parse(key_id)?;
    signed::authorize(&app, signed::read(request, Content::Any).await?).await?;
    let found = find(app, key_id).await?.ok_or_else(Problem::no_key)?;
    Ok(Json(found.to_address()))
}

/// Has the enclave open the stored record, as signing would. Role `keys.read`.
#[utoipa::path(
    post, path = "/v1/keys/{key_id}/check", operation_id = "checkKey", tag = "keys",
    security(("messageSignature" = [])),
    params(("key_id" = String, Path, description = "`key_` and 52 characters.", min_length = 56, max_length = 56, pattern = "^key_[a-z2-7]{51}[aq]$", example = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")),
    request_body(content = Option<CheckRequest>, content_type = "application/json", description = "May be left out."),
    responses(
        (status = 200, description = "The record opened, and the private key is that of the address.", body = Checked),
        InputProblems, AuthProblems, KeyProblems, UnreadableProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn check(
    State(app): State<Arc<App>>,
    key_id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Checked>, Problem> {
    let key_id = parse(key_id)?;
    let request = signed::read(request, Content::Any).await?;
    expected_of_check(&request.body).map_err(|error| shapes::check(&request.body, &error))?;
    signed::admit(&app, &request)?;
    // As it is stored: what is wrong with it is for the enclave to say. That there is none is said to
    // clients alone, so it is asked without one as well.
    let found = app.records.find(&key_id).await?;
    let records = found.map(|found| ByteBuf::from(found.record.to_vec())).into_iter().collect();
    let statement = app.enclave.confirm(request, records).await?.pop().ok_or_else(Problem::no_key)??;
    Ok(Json(Checked { key_id: key_id.to_string(), opened: true, statement }))
}

pub(super) async fn find(app: Arc<App>, key_id: KeyId) -> Result<Option<StoredKey>, Problem> {
    let Some(bytes) = app.keys.read(&key_id).await? else { return Ok(None) };
    StoredKey::parse(&bytes, &key_id).map(Some).map_err(|error| {
        tracing::error!(%key_id, %error, "a stored record is not usable");
        Problem::stored(StatusCode::BAD_GATEWAY, &error)
    })
}

pub(super) fn parse(key_id: Result<Path<String>, PathRejection>) -> Result<KeyId, Problem> {
    let parsed = key_id.ok().and_then(|Path(text)| text.parse().ok());
    parsed.ok_or_else(|| Problem::name("key_id", &protocol::NameError::KeyId, "another text"))
}
