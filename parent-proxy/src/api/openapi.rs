//! The problems that the OpenAPI document tells of, by what an operation does. Each is an example with the words
//! that the server has for it.

use std::{collections::BTreeMap, time::Duration};

use axum::http::StatusCode;
use protocol::{NameError, request::RequestError};
use serde_json::{Value, json};
use utoipa::{
    IntoResponses,
    openapi::{RefOr, response},
};
use wire::{Refusal, RefusalCode};

use super::{
    Problem,
    problem::{MEDIA_TYPE, SOON},
    signed::MAX_SINGLE,
};
use crate::address::AddressError;

/// The id of the request in problems that are examples.
pub(super) const REQUEST_ID: &str = "4f1c8a52e0b94e0e8f6f3c1d2a7b9e05";

/// A problem that an answer may have.
type Example = fn() -> Problem;

fn problems(examples: &[Example]) -> BTreeMap<String, RefOr<response::Response>> {
    let response = |problem: &Example| {
        let problem = problem();
        let described = serde_json::from_value(as_response(&problem)).unwrap_or_default();
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
        || Problem::refused(Refusal::new(RefusalCode::Forbidden, "the client has no role that allows it")),
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
            let problem = refused(RefusalCode::Frozen, "order.frozen", "the key is frozen");
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
            let text = "the record does not open under its data key";
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

/// A problem as a response of the document.
pub(super) fn as_response(problem: &Problem) -> Value {
    let body = problem.body(REQUEST_ID);
    json!({
        "description": body.title(),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": body}},
    })
}
