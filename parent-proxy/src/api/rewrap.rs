//! `POST /v1/keys/rewrap`: records, sealed anew under the deployment's first KMS key. A new record is
//! stored beside the one before, read back, and only then answered. Nothing is changed or deleted.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{KeyId, Refusal, Rewrapping, api, frame::MAX_FRAME};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use utoipa::ToSchema;

use super::{
    App, Problem,
    openapi::{AuthProblems, BodyProblems, EnclaveProblems, ServiceProblems},
    problem::PartBody,
    signatures::ExpectedKey,
    signed::{self, Content},
};
use crate::{address::AddressError, enclave::EnclaveError, records::Found};

/// Reads and writes of one request at once.
const STORE_AT_ONCE: usize = 32;

/// Keys to re-seal.
#[derive(Deserialize, ToSchema)]
#[schema(as = RewrapRequest)]
#[expect(dead_code, reason = "only its schema is used: the protocol reads it")]
pub(super) struct RewrapRequest {
    /// Each once.
    #[schema(min_items = 1, max_items = 100, example = json!(["key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq"]))]
    keys: Vec<String>,
    /// Of some of the keys, what they are expected to be: a key whose record is another one's is refused.
    #[serde(default)]
    #[schema(max_items = 100)]
    expected: Vec<ExpectedKey>,
}

/// What became of the keys.
#[derive(Serialize, ToSchema)]
pub(super) struct RewrapAnswer {
    /// The KMS key that the records are under now: the first of the enclave's configuration.
    #[schema(example = "arn:aws:kms:eu-central-1:111122223333:key/3f0a7e0c-1f5b-4b8e-9c55-6d1f0a2b7c11")]
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
    #[schema(example = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")]
    key_id: String,
    /// `rewrapped`: a record is stored that nobody opened yet. `current`: the stored record opened,
    /// with a data key that KMS gave for this request.
    state: RewrapState,
    /// The public key of the private key in it. Hexadecimal.
    #[schema(example = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")]
    public_key: String,
    /// Where the record is stored.
    #[schema(
        example = "rewrapped/v1/a8b1f6f14ce5c4fa9ab9ad5d5e3f9c2e/06/key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq"
    )]
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
    #[schema(example = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")]
    key_id: String,
    problem: PartBody,
}

/// Seals stored keys anew under the first KMS key of the enclave's configuration. Role `keys.rewrap`.
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
    let keys = api::rewrapped_keys(&request.body).map_err(|error| Problem::malformed(error.to_string()))?;
    signed::admit(&app, &request)?;
    let found: HashMap<KeyId, Found> = stream::iter(keys.clone())
        .map(|key_id| find(Arc::clone(&app), key_id))
        .buffered(STORE_AT_ONCE)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await?;
    let lengths = found.values().map(|found| found.record.len());
    if lengths.sum::<usize>().saturating_add(request.body.len()) > MAX_FRAME {
        return Err(EnclaveError::TooLarge.into());
    }
    let records = found.values().map(|found| ByteBuf::from(found.record.to_vec())).collect();
    let answer = app.enclave.rewrap(request, records, keys.len()).await?;
    let kms_key = answer.kms_key;
    let outcomes: Vec<_> = keys.into_iter().zip(answer.keys).collect();
    let keys = stream::iter(outcomes)
        .map(|(key_id, outcome)| finish(&app, &kms_key, key_id, found.get(&key_id), outcome))
        .buffered(STORE_AT_ONCE)
        .try_collect()
        .await?;
    Ok(Json(RewrapAnswer { kms_key, keys }))
}

async fn find(app: Arc<App>, key_id: KeyId) -> Result<Option<(KeyId, Found)>, Problem> {
    Ok(app.records.find(&key_id).await?.map(|found| (key_id, found)))
}

/// Stores what is new. What the store refuses for a moment is the whole request's problem, which is
/// then repeated.
async fn finish(
    app: &App,
    kms_key: &str,
    key_id: KeyId,
    found: Option<&Found>,
    outcome: Result<Rewrapping, Refusal>,
) -> Result<RewrappedKey, Problem> {
    let done = |state, public_key: &[u8], object| {
        let (key_id, public_key) = (key_id.to_string(), HEXLOWER.encode(public_key));
        Ok(RewrappedKey::Done(Rewrapped { key_id, state, public_key, object }))
    };
    let refused = |problem: Problem| {
        Ok(RewrappedKey::Refused(NotRewrapped { key_id: key_id.to_string(), problem: problem.part() }))
    };
    let Some(found) = found else { return refused(Problem::no_such_key(&key_id)) };
    match outcome {
        Ok(Rewrapping::Current { public_key }) => {
            done(RewrapState::Current, &public_key, found.object.clone())
        }
        Ok(Rewrapping::Record { record, public_key }) => {
            let record = Bytes::from(record.into_vec());
            match app.records.keep(&key_id, kms_key, &found.record, &record).await? {
                Some(object) => done(RewrapState::Rewrapped, &public_key, object),
                None => {
                    tracing::error!(%key_id, kms_key, "a re-sealed record cannot be stored under its name");
                    refused(Problem::stored(StatusCode::BAD_GATEWAY, &AddressError::Identity))
                }
            }
        }
        Err(refusal) => refused(refusal.into()),
    }
}
