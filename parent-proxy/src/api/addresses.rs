//! `POST /v1/addresses` and `POST /v1/addresses/batch`: deposit addresses, made or found.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use protocol::{
    api::{self, AddressRequest, AddressesRequest, Route},
    request::SignedRequest,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    App, Problem,
    openapi::{AuthProblems, BodyProblems, EnclaveProblems, ServiceProblems},
    problem::PartBody,
    shapes,
    signed::{self, Content},
};
use crate::{address::Address, creation::Made};

/// What became of an item of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum BatchAddress {
    Made(MadeAddress),
    Failed(NoAddress),
}

/// An address of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct MadeAddress {
    /// Whether this request made it.
    created: bool,
    #[serde(flatten)]
    address: Address,
}

/// Why an item of a batch has no address.
#[derive(Serialize, ToSchema)]
pub(super) struct NoAddress {
    problem: PartBody,
}

/// The addresses of a batch.
#[derive(Serialize, ToSchema)]
pub(super) struct AddressesAnswer {
    /// In the order of the request.
    addresses: Vec<BatchAddress>,
}

/// Makes an address, or finds it. Role `address.create`.
#[utoipa::path(
    post, path = "/v1/addresses", operation_id = "createAddress", tag = "addresses",
    security(("messageSignature" = [])),
    request_body(content = AddressRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "The address was made.", body = Address),
        (status = 200, description = "The address was there.", body = Address),
        BodyProblems, AuthProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<Address>), Problem> {
    let request = signed::read(request, Content::Json).await?;
    let mut made = ensure(&app, Route::CreateAddress, request).await?;
    let Made { created, key } = made.pop().ok_or_else(Problem::internal)??;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(key.to_address())))
}

/// Makes up to 1,000 addresses, or finds them. Role `address.create`.
#[utoipa::path(
    post, path = "/v1/addresses/batch", operation_id = "createAddresses", tag = "addresses",
    security(("messageSignature" = [])),
    request_body(content = AddressesRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Every item has its address, or a problem of its own; in order.", body = AddressesAnswer),
        BodyProblems, AuthProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn create_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<AddressesAnswer>, Problem> {
    let request = signed::read(request, Content::Json).await?;
    let made = ensure(&app, Route::CreateAddresses, request).await?;
    let addresses = made.into_iter().enumerate().map(|(item, made)| match made {
        Ok(Made { created, key }) => BatchAddress::Made(MadeAddress { created, address: key.to_address() }),
        Err(problem) => {
            let problem = problem.of_field(format!("addresses[{item}]")).of_item(item);
            BatchAddress::Failed(NoAddress { problem: problem.part() })
        }
    });
    Ok(Json(AddressesAnswer { addresses: addresses.collect() }))
}

/// Makes what a request names, as far as the enclave says that it may. What is wrong with one item is its own.
async fn ensure(
    app: &App,
    route: Route,
    request: SignedRequest,
) -> Result<Vec<Result<Made, Problem>>, Problem> {
    let wanted = api::new_keys(route, &request.body)
        .map_err(|error| shapes::addresses(route, &request.body, &error))?;
    signed::admit(app, &request)?;
    let made: Vec<Result<Made, Problem>> = app.creation.ensure(&request, wanted).await?;
    let (created, found): (Vec<&Made>, Vec<&Made>) = made.iter().flatten().partition(|made| made.created);
    app.metrics.addresses(created.len() as u64, found.len() as u64);
    Ok(made)
}
