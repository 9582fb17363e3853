//! `POST /v1/signatures`, `…/batch` and `…/explain`: transactions, signed or explained. The parent
//! reads the request to fetch the records of its keys; what is signed is the enclave's to decide.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use axum::{
    Json,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures::{StreamExt, stream};
use protocol::{
    KeyId, Record,
    api::{self, Route, SignaturesRequest, TransactionToSign},
    request::SignedRequest,
};
use serde::Serialize;
use serde_bytes::ByteBuf;
use utoipa::ToSchema;
use wire::{Refusal, frame::MAX_FRAME};

use super::{
    App, Problem,
    openapi::{
        AuthProblems, BodyProblems, EnclaveProblems, FrozenProblems, KeyProblems, ServiceProblems,
        TransactionProblems,
    },
    problem::PartBody,
    shapes,
    signed::{self, Content},
};
use crate::{address::AddressError, enclave::EnclaveError};

/// Records that are read at once.
const READ_AT_ONCE: usize = 32;

/// A transaction that can be broadcast.
#[derive(Serialize, ToSchema)]
pub(super) struct SignedTransaction {
    /// Its family.
    chain: String,
    /// The signed transaction, as its network takes it. EVM: `0x` and hexadecimal; Bitcoin: hexadecimal;
    /// Tron: hexadecimal of the `Transaction` with `raw_data` and signature; Solana: standard base64 of the
    /// whole transaction.
    transaction: String,
    /// The network's name of it; empty on Solana while the fee payer has not signed.
    id: String,
    /// Which template it matches.
    kind: String,
    /// Which network it is for.
    network: String,
    /// The public keys of the request's keys, in their order. Hexadecimal.
    public_keys: Vec<String>,
}

/// Why one transaction of a batch is not signed.
#[derive(Serialize, ToSchema)]
pub(super) struct NotSigned {
    problem: PartBody,
}

/// What became of a transaction of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchSignature {
    Signed(SignedTransaction),
    NotSigned(NotSigned),
}

/// The transactions of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct SignaturesAnswer {
    /// In the order of the request.
    signatures: Vec<BatchSignature>,
}

/// Signs a transaction. Role `sign.sweep` or `sign.secondary`, by the purpose of its keys.
#[utoipa::path(
    post, path = "/v1/signatures", operation_id = "sign", tag = "signatures",
    security(("messageSignature" = [])),
    request_body(content = TransactionToSign, content_type = "application/json"),
    responses(
        (status = 200, description = "The transaction is signed. Repeating the request signs the same.", body = SignedTransaction),
        BodyProblems, AuthProblems, KeyProblems, TransactionProblems, FrozenProblems, EnclaveProblems,
        ServiceProblems,
    ),
)]
pub(super) async fn sign(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<SignedTransaction>, Problem> {
    let SigningJob { request, wanted, records, .. } = ask(&app, Route::Sign, request).await?;
    let mut signed = app.enclave.sign(request, records, wanted.len()).await?;
    let (Some(wanted), Some(signed)) = (wanted.first(), signed.pop()) else {
        return Err(Problem::internal());
    };
    Ok(Json(SignedTransaction::new(wanted, signed?)))
}

/// Signs up to 256 transactions, each by itself. Role `sign.sweep` or `sign.secondary`, by the purpose of
/// the keys.
#[utoipa::path(
    post, path = "/v1/signatures/batch", operation_id = "signBatch", tag = "signatures",
    security(("messageSignature" = [])),
    request_body(content = SignaturesRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Every transaction is signed, or has a problem of its own.", body = SignaturesAnswer),
        BodyProblems, AuthProblems, KeyProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn sign_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<SignaturesAnswer>, Problem> {
    let SigningJob { request, wanted, records, faults } = ask(&app, Route::SignBatch, request).await?;
    let signed = app.enclave.sign(request, records, wanted.len()).await?;
    let all = wanted.iter().zip(signed).enumerate();
    let signatures = all.map(|(item, (wanted, signed))| BatchSignature::new(item, wanted, signed, &faults));
    Ok(Json(SignaturesAnswer { signatures: signatures.collect() }))
}

/// Says what signing would do, by the same evaluation, without a signature. Role `sign.sweep` or
/// `sign.secondary`.
#[utoipa::path(
    post, path = "/v1/signatures/explain", operation_id = "explain", tag = "signatures",
    security(("messageSignature" = [])),
    request_body(content = TransactionToSign, content_type = "application/json"),
    responses(
        (status = 200, description = "Whether it would be signed, and by what.", body = Object, content_type = "application/json"),
        BodyProblems, AuthProblems, KeyProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn explain(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let SigningJob { request, records, .. } = ask(&app, Route::Explain, request).await?;
    let json = app.enclave.explain(request, records).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json).into_response())
}

/// What the enclave needs to sign.
struct SigningJob {
    request: SignedRequest,
    wanted: Vec<TransactionToSign>,
    records: Vec<ByteBuf>,
    /// Of a batch, the keys that have no record which can be passed on, and why.
    faults: HashMap<KeyId, Problem>,
}

/// Reads a request and fetches the records of its keys. What is wrong with one of them is the whole
/// request's problem; in a batch it is its item's, and the enclave refuses that item for want of it.
async fn ask(app: &App, route: Route, request: Request) -> Result<SigningJob, Problem> {
    let request = signed::read(request, Content::Json).await?;
    let wanted = api::signatures(route, &request.body)
        .map_err(|error| shapes::signatures(route, &request.body, &error))?;
    signed::admit(app, &request)?;
    let batch = route == Route::SignBatch;
    let mut seen = HashSet::new();
    let keys: Vec<KeyId> =
        wanted.iter().flat_map(|wanted| &wanted.keys).copied().filter(|key| seen.insert(*key)).collect();
    let mut found = stream::iter(keys.into_iter().enumerate())
        .map(|(at, key_id)| async move { (key_id, record(app, &key_id, at, batch).await) })
        .buffered(READ_AT_ONCE);
    let (mut records, mut faults, mut length) = (Vec::new(), HashMap::new(), request.body.len());
    while let Some((key_id, record)) = found.next().await {
        match record {
            Ok(record) => {
                length = length.saturating_add(record.len());
                records.push(ByteBuf::from(Vec::from(record)));
            }
            Err(problem) if batch => drop(faults.insert(key_id, problem)),
            Err(problem) => return Err(problem),
        }
        if length > MAX_FRAME {
            return Err(EnclaveError::TooLarge.into());
        }
    }
    drop(found);
    Ok(SigningJob { request, wanted, records, faults })
}

/// The record of the key that is named at this place. In a batch one that is not the key's is not passed
/// on, where it might be taken for another item's.
async fn record(app: &App, key_id: &KeyId, at: usize, batch: bool) -> Result<Bytes, Problem> {
    let found = app.records.find(key_id).await?;
    let record = found.ok_or_else(|| Problem::no_such_key(key_id, format!("keys[{at}]")))?.record;
    if batch {
        readable(&record, key_id)?;
    }
    Ok(record)
}

/// Whether bytes are a record of the key, as far as can be seen without opening it.
pub(super) fn readable(record: &[u8], key_id: &KeyId) -> Result<(), Problem> {
    let fault = match Record::read(record) {
        Ok(record) if record.header().key_id == *key_id => return Ok(()),
        Ok(_) => AddressError::Identity,
        Err(error) => AddressError::Record(error),
    };
    tracing::error!(%key_id, error = %fault, "a stored record is not usable");
    Err(Problem::stored(StatusCode::UNPROCESSABLE_ENTITY, &fault))
}

impl SignedTransaction {
    fn new(wanted: &TransactionToSign, signed: wire::SignedTransaction) -> Self {
        Self {
            chain: wanted.chain.to_string(),
            transaction: api::encode_transaction(wanted.chain, &signed.transaction),
            id: signed.id,
            kind: signed.kind,
            network: signed.network,
            public_keys: signed.public_keys.iter().map(|key| HEXLOWER.encode(key)).collect(),
        }
    }
}

impl BatchSignature {
    fn new(
        item: usize,
        wanted: &TransactionToSign,
        signed: Result<wire::SignedTransaction, Refusal>,
        faults: &HashMap<KeyId, Problem>,
    ) -> Self {
        let refusal = match signed {
            Ok(signed) => return Self::Signed(SignedTransaction::new(wanted, signed)),
            Err(refusal) => refusal,
        };
        let mut keys = wanted.keys.iter().enumerate();
        let fault = keys.find_map(|(at, key)| Some((at, faults.get(key)?.clone())));
        let problem = match fault {
            Some((at, problem)) => problem.of_field(format!("signatures[{item}].keys[{at}]")),
            None => refusal.into(),
        };
        Self::NotSigned(NotSigned { problem: problem.of_item(item).part() })
    }
}
