//! `/openapi.json`: the API described for programs, from the handlers themselves.

use std::sync::LazyLock;

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, SecurityScheme},
};

use super::{
    addresses, attestation, described, health, keys, listing, log, orders, policy, problem::ProblemBody,
    rewrap, signatures,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cofferdam",
        description = "Deposit addresses whose keys are made and used in an attested enclave. Every address comes with a certificate that anyone can verify offline; the server that answers here need not be trusted.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    servers((url = "/", description = "The parent that serves this document")),
    security(()),
    tags(
        (name = "addresses", description = "Make deposit addresses. Repeating a request is safe."),
        (name = "keys", description = "Read and check what is stored."),
        (name = "signatures", description = "Sign transactions. Repeating a request signs the same."),
        (name = "orders", description = "Freeze, pause and retire. An order only restricts."),
        (name = "policy", description = "Who may do what. Signed by the operators' threshold."),
        (name = "log", description = "Everything that the enclave did, and its signature over it."),
        (name = "attestation", description = "What proves that the enclave is the one it should be."),
        (name = "operation", description = "For operators and their monitors."),
    ),
    paths(
        addresses::create, addresses::create_batch, listing::list, keys::read, keys::check, rewrap::rewrap,
        signatures::sign, signatures::sign_batch, signatures::explain, orders::submit, orders::replace,
        orders::list, policy::put, policy::read, policy::activate, log::read, log::checkpoint,
        attestation::fresh, attestation::stored, health::alive, health::ready, health::metrics, serve,
    ),
    components(schemas(ProblemBody)),
    modifiers(&Signed),
)]
struct Document;

/// The OpenAPI 3.1 document.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    described::complete(&mut document);
    document
}

/// How clients sign.
struct Signed;

impl Modify for Signed {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let text = "HTTP Message Signatures (RFC 9421) with Ed25519: the headers `Signature-Input`, \
            `Signature` and `Content-Digest` (RFC 9530, sha-256), each once. Exactly one signature, which \
            covers `\"@method\"`, `\"@path\"`, `\"content-digest\"`, and `\"@query\"` where there is a \
            query; with `created`, `keyid` (the client's id in the policy), `alg=\"ed25519\"`, `nonce` (new \
            for every request) and `tag=\"cofferdam:<deployment>\"`. A body that is empty has a digest, too. \
            The enclave verifies it; the server that answers here does not decide.";
        let header = ApiKeyValue::with_description("Signature", text);
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("messageSignature", SecurityScheme::ApiKey(ApiKey::Header(header)));
    }
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub(super) async fn serve() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| document().to_string());
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], JSON.as_str()).into_response()
}
