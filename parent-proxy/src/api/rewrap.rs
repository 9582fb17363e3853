//! `POST /v1/keys/rewrap`: records, rewrapped under the deployment's first KMS key. A new record is
//! stored beside the one before, read back, and only then answered. Nothing is changed or deleted.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, stream};
use protocol::{
    KeyId,
    api::{self, RewrapRequest},
};
use serde::Serialize;
use serde_bytes::ByteBuf;
use utoipa::ToSchema;
use wire::{Refusal, Rewrapping, frame::MAX_FRAME};

use super::{
    App, Problem,
    openapi::{AuthProblems, BodyProblems, EnclaveProblems, ServiceProblems},
    problem::PartBody,
    shapes,
    signatures::readable,
    signed::{self, Content},
};
use crate::{address::AddressError, enclave::EnclaveError, records::FoundRecord};

/// The longest body: a hundred keys, each with what it is expected to be.
pub(super) const MAX_REWRAP: usize = 64 << 10;
/// Reads and writes of one request at once.
const STORE_AT_ONCE: usize = 32;

/// What became of the keys.
#[derive(Serialize, ToSchema)]
pub(super) struct RewrapAnswer {
    /// The KMS key that the records are under now: the first of the enclave's configuration.
    kms_key: String,
    /// In the order of the request.
    keys: Vec<RewrappedKey>,
}

/// What became of one key.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum RewrappedKey {
    Done(Rewrapped),
    Refused(NotRewrapped),
}

/// A key whose record is under the first KMS key.
#[derive(Serialize, ToSchema)]
pub(super) struct Rewrapped {
    /// The key.
    key_id: String,
    /// `rewrapped`: a record is stored that nobody opened yet. `current`: the stored record opened,
    /// with a data key that KMS gave for this request.
    state: RewrapState,
    /// The public key of the private key in it. Hexadecimal.
    public_key: String,
    /// Where the record is stored.
    object: String,
}

/// How far a key is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RewrapState {
    Current,
    Rewrapped,
}

/// Why a key's record is not under the first KMS key.
#[derive(Serialize, ToSchema)]
pub(super) struct NotRewrapped {
    /// The key.
    key_id: String,
    problem: PartBody,
}

/// Rewraps stored keys under the first KMS key of the enclave's configuration. Role `keys.rewrap`.
/// A second request for the same keys says whether what is stored opens.
#[utoipa::path(
    post, path = "/v1/keys/rewrap", operation_id = "rewrapKeys", tag = "keys",
    security(("messageSignature" = [])),
    request_body(content = RewrapRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Every key is under the KMS key, or has a problem of its own. Nothing was changed or deleted.", body = RewrapAnswer),
        BodyProblems, AuthProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn rewrap(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<RewrapAnswer>, Problem> {
    let request = signed::read(request, Content::Json).await?;
    let keys = api::rewrapped_keys(&request.body).map_err(|error| shapes::rewrap(&request.body, &error))?;
    signed::admit(&app, &request)?;
    let found: Vec<Result<FoundRecord, Problem>> = stream::iter(keys.clone())
        .map(|key_id| find(Arc::clone(&app), key_id))
        .buffered(STORE_AT_ONCE)
        .collect()
        .await;
    let records: Vec<&Bytes> = found.iter().flatten().map(|found| &found.record).collect();
    let length: usize = records.iter().map(|record| record.len()).sum();
    if length.saturating_add(request.body.len()) > MAX_FRAME {
        return Err(EnclaveError::TooLarge.into());
    }
    let records = records.into_iter().map(|record| ByteBuf::from(record.to_vec())).collect();
    let answer = app.enclave.rewrap(request, records, keys.len()).await?;
    let kms_key = answer.kms_key;
    let outcomes: Vec<_> = keys.into_iter().zip(found).zip(answer.keys).enumerate().collect();
    let keys = stream::iter(outcomes)
        .map(|(item, ((key_id, found), outcome))| {
            let (app, kms_key) = (&app, &kms_key);
            async move {
                let finished = match found {
                    Ok(found) => finish(app, kms_key, key_id, &found, outcome).await,
                    Err(problem) => Err(problem.of_field(format!("keys[{item}]"))),
                };
                finished.unwrap_or_else(|problem| {
                    let problem = problem.of_item(item).part();
                    RewrappedKey::Refused(NotRewrapped { key_id: key_id.to_string(), problem })
                })
            }
        })
        .buffered(STORE_AT_ONCE)
        .collect()
        .await;
    Ok(Json(RewrapAnswer { kms_key, keys }))
}

/// The record of a key, if it has one that can be read. What is wrong with it is its own problem.
async fn find(app: Arc<App>, key_id: KeyId) -> Result<FoundRecord, Problem> {
    let found = app.records.find(&key_id).await?.ok_or_else(|| Problem::no_such_key(&key_id, "keys"))?;
    readable(&found.record, &key_id)?;
    Ok(found)
}

/// Stores what is new.
async fn finish(
    app: &App,
    kms_key: &str,
    key_id: KeyId,
    found: &FoundRecord,
    outcome: Result<Rewrapping, Refusal>,
) -> Result<RewrappedKey, Problem> {
    let done = |state, public_key: &[u8], object| {
        let (key_id, public_key) = (key_id.to_string(), HEXLOWER.encode(public_key));
        RewrappedKey::Done(Rewrapped { key_id, state, public_key, object })
    };
    match outcome? {
        Rewrapping::Current { public_key } => {
            Ok(done(RewrapState::Current, &public_key, found.object.clone()))
        }
        Rewrapping::Record { record, public_key } => {
            let record = Bytes::from(record.into_vec());
            let kept = app.records.keep(&key_id, kms_key, &found.record, &record).await?;
            let object = kept.ok_or_else(|| {
                tracing::error!(%key_id, kms_key, "a rewrapped record cannot be stored under its name");
                Problem::stored(StatusCode::BAD_GATEWAY, &AddressError::Identity)
            })?;
            Ok(done(RewrapState::Rewrapped, &public_key, object))
        }
    }
}
