//! `GET /v1/keys`, `GET /v1/keys/{key_id}` and `POST /v1/keys/{key_id}/check`: what is stored.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{KeyId, UserRef, api::expected_of_check};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App, Problem,
    openapi::{
        AuthProblems, EnclaveProblems, InputProblems, KeyProblems, RecordProblems, ServiceProblems,
        UnreadableProblems,
    },
    query::Query,
    shapes,
    signed::{self, Content},
};
use crate::{
    address::{Address, AddressError, StoredKey},
    store::Cursor,
};

/// Keys of a page, where none is asked for.
const PAGE: usize = 100;
/// The most keys of a page.
const MAX_PAGE: usize = 1000;
/// Records of a page that are read at once.
const READ_AT_ONCE: usize = 32;

/// Some of a user's keys.
#[derive(Serialize, ToSchema)]
pub(super) struct KeyPage {
    /// In the order of their ids.
    keys: Vec<Address>,
    /// For the next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

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

/// Lists a user's keys. Role `keys.read`.
#[utoipa::path(
    get, path = "/v1/keys", operation_id = "listKeys", tag = "keys",
    security(("messageSignature" = [])),
    params(
        ("user" = String, Query, description = "The exchange's reference of the user: at most 128 bytes of UTF-8.", min_length = 1, max_length = 128, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb]+$", example = "alice"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.", min_length = 55, max_length = 55, pattern = "^[A-Za-z0-9_-]{55}$"),
        ("limit" = Option<u32>, Query, description = "The most keys of the page; 100 unless given.", minimum = 1, maximum = 1000, example = 100),
    ),
    responses(
        (status = 200, description = "A page of keys; keys made meanwhile may be on any page.", body = KeyPage),
        InputProblems, AuthProblems, RecordProblems, ServiceProblems,
    ),
)]
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<KeyPage>, Problem> {
    let request = signed::read(request, Content::Any).await?;
    let mut query = Query::parse(request.query.as_deref())?;
    let user = query.take("user")?.ok_or_else(|| Problem::field("user", "a value", "nothing"))?;
    let found = format!("a string of {} bytes", user.len());
    let user = UserRef::try_from(user).map_err(|error| Problem::name("user", &error, found))?;
    let cursor = query.take("cursor")?.map(|text| Cursor::parse(&text, &user)).transpose()?;
    let limit = query.take("limit")?.map_or(Ok(PAGE), |text| limit(&text))?;
    query.finish()?;
    signed::authorize(&app, request).await?;
    let page = app.users.page(&user, cursor.as_ref(), limit).await?;
    let found: Vec<Option<StoredKey>> = stream::iter(page.keys)
        .map(|key_id| find(Arc::clone(&app), key_id))
        .buffered(READ_AT_ONCE)
        .try_collect()
        .await?;
    // A marker without a record is of a creation that was cut short.
    let keys: Vec<StoredKey> = found.into_iter().flatten().collect();
    if let Some(other) = keys.iter().find(|key| *key.user() != user) {
        tracing::error!(key_id = %other.key_id(), "a key is marked as another user's");
        return Err(Problem::stored(StatusCode::BAD_GATEWAY, &AddressError::Identity));
    }
    Ok(Json(KeyPage {
        keys: keys.iter().map(StoredKey::to_address).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

fn limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
    let expected = || format!("a whole number from 1 to {MAX_PAGE}");
    limit
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
        .ok_or_else(|| Problem::field("limit", expected(), "another value"))
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

/// What the key is expected to be: at most one of the two.
#[derive(Deserialize, ToSchema)]
#[expect(dead_code, reason = "only its schema is used: the protocol reads it")]
pub(super) struct CheckRequest {
    /// As the address's certificate spells it; on Bitcoin either of the two.
    #[serde(default)]
    #[schema(nullable = false, max_length = 128)]
    address: Option<String>,
    /// 32 or 33 bytes in lower-case hexadecimal.
    #[serde(default)]
    #[schema(nullable = false, pattern = "^([0-9a-f]{64}|[0-9a-f]{66})$")]
    public_key: Option<String>,
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
    let ticket = signed::authorize(&app, request).await?.ticket;
    // As it is stored: what is wrong with it is for the enclave to say.
    let found = app.records.find(&key_id).await?.ok_or_else(Problem::no_key)?;
    let statement = app.enclave.check_record(ticket, &found.record).await?;
    Ok(Json(Checked { key_id: key_id.to_string(), opened: true, statement }))
}

async fn find(app: Arc<App>, key_id: KeyId) -> Result<Option<StoredKey>, Problem> {
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
