//! `/openapi.json`: the API described for programs, from the handlers themselves.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{NameError, request::RequestError};
use utoipa::{
    IntoResponses, Modify, OpenApi,
    openapi::{
        RefOr, response,
        security::{ApiKey, ApiKeyValue, SecurityScheme},
    },
};
use wire::{Refusal, RefusalCode};

use super::{
    Problem,
    addresses::{self, MAX_SINGLE},
    attestation,
    described::{self, document},
    health, keys, listing, log, orders, policy,
    problem::{ProblemBody, SOON},
    rewrap, signatures,
};
use crate::address::AddressError;

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
pub(super) struct Document;

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

/// A problem that an answer may have.
type Example = fn() -> Problem;

fn problems(examples: &[Example]) -> BTreeMap<String, RefOr<response::Response>> {
    let response = |problem: &Example| {
        let problem = problem();
        let described = serde_json::from_value(described::response(&problem)).unwrap_or_default();
        (problem.status().as_str().to_owned(), RefOr::T(described))
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

const INVALID: Example = || Problem::name("user", &NameError::User, "a string of 0 bytes");
const ORDER: &str = "order_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq";
const STRANGERS: Example = || Problem::too_many_failures(SOON);

/// A refusal of the enclave.
fn refused(code: RefusalCode, tag: &str, text: &str) -> Problem {
    Problem::refused(Refusal::new(code, text).tagged(tag))
}

/// One that says what was expected and found.
fn wrong(code: RefusalCode, tag: &str, text: &str, expected: &str, found: &str) -> Problem {
    Problem::refused(Refusal::new(code, text).tagged(tag).wrong(expected, found))
}

problem_sets! {
    /// Of whatever reads a path or a query.
    InputProblems: [INVALID]
    /// Of whatever reads a body.
    BodyProblems: [INVALID, || Problem::too_large(MAX_SINGLE), Problem::media_type]
    /// Of whatever a client signs.
    AuthProblems: [
        || refused(RefusalCode::Unauthenticated, "auth.signature", &RequestError::Signature.to_string()),
        || Problem::refused(Refusal::new(RefusalCode::Forbidden, "a client with the role for it was expected")),
        STRANGERS,
    ]
    /// Of whatever only operators sign.
    UnsignedProblems: [STRANGERS]
    /// Of whatever signs a transaction.
    TransactionProblems: [
        || {
            let (expected, found) = ("a recipient", "the creation of a contract");
            let text = format!("transaction.evm.creation: {expected} was expected, found {found}");
            wrong(RefusalCode::TransactionRefused, "transaction.evm.creation", &text, expected, found)
        },
    ]
    /// Of whatever can be frozen.
    FrozenProblems: [
        || {
            let problem = refused(RefusalCode::Frozen, "order.frozen", "a key that is not frozen was expected");
            problem.by_order(ORDER.parse().ok())
        },
    ]
    /// Of whatever takes an order.
    OrderProblems: [
        || {
            let text = "1 signatures were expected, found 0";
            wrong(RefusalCode::OrderRefused, "dsse.too_few", text, "1 signatures", "0")
        },
    ]
    /// Of whatever takes a policy.
    PolicyProblems: [
        || {
            let (expected, found) = ("a policy of a version above 2", "version 1");
            let text = format!("{expected} was expected, found {found}");
            wrong(RefusalCode::PolicyRefused, "policy.version", &text, expected, found)
        },
        || {
            let text = "1 signatures were expected, found 0";
            wrong(RefusalCode::PolicyRefused, "dsse.too_few", text, "1 signatures", "0")
        },
    ]
    /// Of whatever shows the policy.
    StoredPolicyProblems: [Problem::no_policy]
    /// Of whatever names a boot.
    LogProblems: [Problem::no_log]
    /// Of whatever opens a stored record.
    UnreadableProblems: [
        || {
            let text = "a record that opens under its data key was expected";
            Problem::refused(Refusal::new(RefusalCode::RecordTampered, text))
        },
    ]
    /// Of whatever names a key.
    KeyProblems: [Problem::no_key]
    /// Of whatever names a stored attestation document.
    AttestationProblems: [Problem::no_attestation]
    /// Of whatever reads stored records.
    RecordProblems: [|| Problem::stored(StatusCode::BAD_GATEWAY, &AddressError::Identity)]
    /// Of whatever the enclave is asked for.
    EnclaveProblems: [
        || Problem::refused(Refusal::new(RefusalCode::KmsDenied, "KMS was expected to allow the call, found AccessDeniedException")),
    ]
    /// Of whatever is limited in its rate.
    RateProblems: [|| Problem::rate_limited(SOON)]
    /// Of everything behind the gate.
    ServiceProblems: [
        || Problem::slow(Duration::from_secs(10)),
        Problem::internal,
        Problem::overloaded,
        Problem::timeout,
    ]
}
