//! `GET /v1/attestation` and `GET /v1/attestations/{sha256}`: attestation documents, as the
//! enclave made them. Whoever asks verifies them; the parent does not.

use std::sync::Arc;

use attestation::DocumentHash;
use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use data_encoding::HEXLOWER_PERMISSIVE;
use wire::message::MAX_NONCE;

use super::{
    App, Problem,
    openapi::{AttestationProblems, EnclaveProblems, InputProblems, RateProblems, ServiceProblems},
    query::Query,
};

/// RFC 9052 §2.
const COSE_SIGN1: HeaderValue = HeaderValue::from_static("application/cose; cose-type=\"cose-sign1\"");
/// What a hash names never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// A fresh attestation document with the caller's nonce, which binds the session key.
#[utoipa::path(
    get, path = "/v1/attestation", operation_id = "attest", tag = "attestation",
    params(("nonce" = String, Query, description = "1 to 512 bytes in hexadecimal, never used before.", min_length = 2, max_length = 1024, pattern = "^([0-9a-fA-F]{2})+$", example = "00112233445566778899aabbccddeeff")),
    responses(
        (status = 200, description = "COSE_Sign1, as the Nitro Secure Module signed it.", body = Vec<u8>, content_type = "application/cose; cose-type=\"cose-sign1\""),
        InputProblems, RateProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn fresh(State(app): State<Arc<App>>, RawQuery(raw): RawQuery) -> Result<Response, Problem> {
    let mut query = Query::parse(raw.as_deref())?;
    let nonce = query.take("nonce")?;
    query.finish()?;
    let found =
        nonce.as_ref().map_or_else(|| "nothing".into(), |nonce| format!("{} characters", nonce.len()));
    let nonce = nonce
        .filter(|nonce| nonce.len() <= MAX_NONCE * 2)
        .and_then(|nonce| HEXLOWER_PERMISSIVE.decode(nonce.as_bytes()).ok())
        .filter(|nonce| !nonce.is_empty())
        .ok_or_else(|| Problem::field("nonce", format!("1 to {MAX_NONCE} bytes in hexadecimal"), found))?;
    app.gates.attestation()?;
    let document = app.enclave.attest(nonce).await?;
    Ok(([(header::CONTENT_TYPE, COSE_SIGN1)], document).into_response())
}

/// The attestation document made when the enclave started, by its hash: what certificates name.
#[utoipa::path(
    get, path = "/v1/attestations/{sha256}", operation_id = "readAttestation", tag = "attestation",
    params(("sha256" = String, Path, description = "SHA-256 of the document, 64 lower-case hexadecimal digits.", min_length = 64, max_length = 64, pattern = "^[0-9a-f]{64}$", example = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")),
    responses(
        (status = 200, description = "COSE_Sign1, as the Nitro Secure Module signed it.", body = Vec<u8>, content_type = "application/cose; cose-type=\"cose-sign1\""),
        InputProblems, AttestationProblems, ServiceProblems,
    ),
)]
pub(super) async fn stored(
    State(app): State<Arc<App>>,
    sha256: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let hash: DocumentHash = sha256
        .ok()
        .and_then(|Path(text)| text.parse().ok())
        .ok_or_else(|| Problem::field("sha256", "64 lower-case hexadecimal digits", "another text"))?;
    let document = app.attestations.read(&hash).await?.ok_or_else(Problem::no_attestation)?;
    Ok(([(header::CONTENT_TYPE, COSE_SIGN1), (header::CACHE_CONTROL, FOR_EVER)], document).into_response())
}
