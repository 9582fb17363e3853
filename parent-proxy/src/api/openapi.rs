//! `/openapi.json`: the API described for programs, from the handlers themselves.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        ContentBuilder, Ref, RefOr, response,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};

use super::{
    addresses, attestation, health, keys, listing, log, orders, policy,
    problem::{MEDIA_TYPE, ProblemBody},
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

/// The OpenAPI 3.1 document.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "openapi", tag = "operation",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object, content_type = "application/json")),
)]
pub(super) async fn serve() -> Response {
    static JSON: LazyLock<String> = LazyLock::new(|| document().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], JSON.as_str()).into_response()
}

/// One status, with a problem as an example of what may have gone wrong.
type Example = (u16, &'static str, &'static str, &'static str);

fn problems(examples: &[Example]) -> BTreeMap<String, RefOr<response::Response>> {
    let response = |(status, code, title, detail): &Example| {
        let example = json!({
            "type": format!("urn:cofferdam:problem:{code}"), "title": title, "status": status,
            "detail": detail, "code": code, "request_id": "4f1c8a52e0b94e0e8f6f3c1d2a7b9e05",
        });
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name("Problem")))
            .example(Some(example))
            .build();
        let response = response::ResponseBuilder::new().description(*title).content(MEDIA_TYPE, content);
        (status.to_string(), RefOr::T(response.build()))
    };
    examples.iter().map(response).collect()
}

macro_rules! problem_sets {
    ($($(#[$doc:meta])* $name:ident: [$($example:expr),* $(,)?])*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<response::Response>> {
                problems(&[$($example),*])
            }
        }
    )*};
}

const INVALID: Example =
    (400, "request.invalid", "The request is not valid", "user: 1 to 128 bytes were expected");

problem_sets! {
    /// Of whatever reads a path or a query.
    InputProblems: [INVALID]
    /// Of whatever reads a body.
    BodyProblems: [
        INVALID,
        (413, "request.too_large", "The request is too large", "a body of at most 16384 bytes was expected"),
        (415, "request.media_type", "The request has another media type", "Content-Type: application/json was expected"),
    ]
    /// Of whatever a client signs.
    AuthProblems: [
        (401, "auth.signature", "The request is no client's", "a signature by the client's key over this request was expected"),
        (403, "auth.role", "The client may not do this", "a client with the role for it was expected"),
        (429, "auth.rate_limited", "Too many requests were no client's", "fewer requests without a client's signature were expected"),
    ]
    /// Of whatever only operators sign.
    UnsignedProblems: [
        (429, "auth.rate_limited", "Too many requests were no client's", "fewer requests without a client's signature were expected"),
    ]
    /// Of whatever signs a transaction.
    TransactionProblems: [
        (422, "transaction.refused", "The transaction is not one that is signed", "a transaction of a known template was expected"),
    ]
    /// Of whatever can be frozen.
    FrozenProblems: [(423, "order.frozen", "It is frozen", "a key that is not frozen was expected")]
    /// Of whatever takes an order.
    OrderProblems: [(422, "dsse.too_few", "The order is not taken", "2 signatures were expected, found 1")]
    /// Of whatever takes a policy.
    PolicyProblems: [
        (409, "policy.version", "There is a newer policy", "a policy of a version above 7 was expected"),
        (422, "dsse.too_few", "The policy is not taken", "2 signatures were expected, found 1"),
    ]
    /// Of whatever shows the policy.
    StoredPolicyProblems: [
        (404, "policy.not_found", "There is no such policy", "the policy that is in the enclave was expected to be stored"),
    ]
    /// Of whatever names a boot.
    LogProblems: [
        (404, "log.not_found", "There is no such log", "the SHA-256 of the attestation document of a boot whose log is kept here was expected"),
    ]
    /// Of whatever opens a stored record.
    UnreadableProblems: [
        (422, "record.tampered", "The stored record does not open", "a record that nobody changed was expected"),
    ]
    /// Of whatever names a key.
    KeyProblems: [(404, "key.not_found", "There is no such key", "no key has this id")]
    /// Of whatever names a stored attestation document.
    AttestationProblems: [
        (404, "attestation.not_found", "There is no such attestation document", "no stored document has this hash"),
    ]
    /// Of whatever reads stored records.
    RecordProblems: [
        (502, "record.malformed", "The stored record is not usable", "a certificate that agrees with its record was expected"),
    ]
    /// Of whatever the enclave is asked for.
    EnclaveProblems: [
        (502, "kms.denied", "KMS refused", "the key policy admits this image was expected"),
    ]
    /// Of whatever is limited in its rate.
    RateProblems: [
        (429, "attestation.rate_limited", "Too many attestation documents were asked for", "fewer requests for fresh documents were expected; stored ones are not limited"),
    ]
    /// Of everything behind the gate.
    ServiceProblems: [
        (408, "request.slow", "The request came too slowly", "a whole body was expected within 10 s"),
        (500, "parent.internal", "A fault of the parent", "repeating the request is safe"),
        (503, "parent.overloaded", "Too many requests are under way", "fewer requests at once were expected"),
        (504, "parent.timeout", "The request took too long", "repeating it is safe"),
    ]
}
