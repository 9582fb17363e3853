//! `PUT /v1/policy`, `PUT /v1/activation` and `GET /v1/policy`: who may do what. The operators'
//! signatures are the authority, and the enclave verifies them; the parent only stores what it took.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Request, State},
};
use data_encoding::HEXLOWER;
use protocol::{
    PolicyRef,
    dsse::{Envelope, POLICY_TYPE},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App, Problem,
    gate::Turn,
    input,
    openapi::{
        AuthProblems, BodyProblems, EnclaveProblems, InputProblems, PolicyProblems, ServiceProblems,
        StoredPolicyProblems, UnsignedProblems,
    },
    orders::carried_out,
    signed::{self, Content},
};

/// The policy that is in the enclave.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyTaken {
    /// Its version.
    version: u64,
    /// SHA-256 of its payload.
    sha256: String,
    /// Whether it is in its validity window, and the boot activated where that is asked for.
    active: bool,
}

/// The policy that is in the enclave, as operators signed it.
#[derive(Serialize, ToSchema)]
pub(super) struct PolicyShown {
    /// The envelope.
    envelope: Envelope,
    #[serde(flatten)]
    policy: PolicyTaken,
    /// Whether deposits on each chain are to be credited now.
    crediting: BTreeMap<String, bool>,
}

/// What an activation changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Activated {
    /// Whether the boot now signs.
    active: bool,
}

/// Puts a policy into effect. No request signature: the operators' threshold signs the policy.
#[utoipa::path(
    put, path = "/v1/policy", operation_id = "putPolicy", tag = "policy",
    request_body(content = Envelope, content_type = "application/json"),
    responses(
        (status = 200, description = "The policy is in the enclave and stored.", body = PolicyTaken),
        BodyProblems, UnsignedProblems, PolicyProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn put(State(app): State<Arc<App>>, request: Request) -> Result<Json<PolicyTaken>, Problem> {
    let turn = Turn::from_request(&request);
    let envelope = envelope(request).await?;
    app.clients.admit_policy(&envelope).map_err(Problem::too_many_failures)?;
    carried_out(async move {
        let _turn = turn;
        let reference = app.enclave.put_policy(&envelope).await?;
        app.policies.store(&reference, &envelope).await?;
        app.clients.learn_signed(&envelope);
        tracing::warn!(version = reference.version, "a policy is in the enclave");
        let active = app.enclave.refresh_restricting().await?.active;
        Ok(Json(PolicyTaken::new(&reference, active)))
    })
    .await
}

/// Lets the boot sign that the operators verified, where the measured configuration asks for it.
#[utoipa::path(
    put, path = "/v1/activation", operation_id = "putActivation", tag = "policy",
    request_body(content = Envelope, content_type = "application/json"),
    responses(
        (status = 200, description = "The boot is activated.", body = Activated),
        BodyProblems, UnsignedProblems, PolicyProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn activate(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<Activated>, Problem> {
    let envelope = envelope(request).await?;
    let state = app.enclave.state();
    let waits = state.document.filter(|_| !state.active);
    app.clients.admit_activation(&envelope, waits).map_err(Problem::too_many_failures)?;
    app.enclave.activate(&envelope).await?;
    tracing::warn!("the boot is activated");
    Ok(Json(Activated { active: app.enclave.refresh_restricting().await?.active }))
}

/// The policy that is in the enclave. Role `audit.read`.
#[utoipa::path(
    get, path = "/v1/policy", operation_id = "readPolicy", tag = "policy",
    security(("messageSignature" = [])),
    responses(
        (status = 200, description = "The policy, and what follows from it and the orders.", body = PolicyShown),
        InputProblems, AuthProblems, StoredPolicyProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn read(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<PolicyShown>, Problem> {
    let request = signed::read(request, Content::Any).await?;
    signed::authorize(&app, request).await?;
    let standing = app.enclave.standing().await?;
    let reference = standing.policy.ok_or_else(Problem::no_policy)?;
    let envelope = app.policies.read(&reference).await?.ok_or_else(Problem::no_policy)?;
    let envelope = Envelope::parse(&envelope, POLICY_TYPE).map_err(|_| Problem::no_policy())?;
    let crediting = standing.crediting.into_iter().map(|(chain, on)| (chain.to_string(), on)).collect();
    Ok(Json(PolicyShown { envelope, policy: PolicyTaken::new(&reference, standing.active), crediting }))
}

/// A body that is an envelope, whose signers only the enclave knows.
async fn envelope(request: Request) -> Result<Vec<u8>, Problem> {
    let (head, body) = request.into_parts();
    input::is_json(&head.headers)?;
    let body = input::whole(body).await?;
    Ok(body.into())
}

impl PolicyTaken {
    pub(super) fn new(reference: &PolicyRef, active: bool) -> Self {
        Self { version: reference.version, sha256: HEXLOWER.encode(reference.sha256.as_slice()), active }
    }
}
