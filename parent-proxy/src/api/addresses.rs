//! `POST /v1/addresses` and `POST /v1/addresses/batch`: deposit addresses, made or found.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use protocol::{
    Label, NameError, NewKey, Purpose, UserRef,
    api::{self, MAX_ADDRESSES, Route},
    request::SignedRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    App, Problem,
    fields::Fields,
    input,
    openapi::{AuthProblems, BodyProblems, EnclaveProblems, ServiceProblems},
    problem::PartBody,
    signed::{self, Content},
};
use crate::{address::Address, creation::Made};

/// What to make an address for. The same user, chain, purpose and index have the same address for ever.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: `wanted` reads it, field by field")]
pub(super) struct AddressRequest {
    /// The exchange's reference of the user: at most 128 bytes of UTF-8 without control or
    /// invisible formatting characters. Opaque, compared byte by byte.
    #[schema(min_length = 1, max_length = 128)]
    user: String,
    /// The family of chains.
    chain: ChainName,
    /// What the key may be used for.
    #[serde(default)]
    #[schema(default = "sweep")]
    purpose: PurposeName,
    /// Which of the user's keys on the chain.
    #[serde(default)]
    #[schema(default = 0, minimum = 0, maximum = 2147483647)]
    index: u32,
    /// A note of at most 128 bytes, as the user; an existing address keeps the one it was made with.
    /// An `api` wallet must have one. Null is as absent.
    #[schema(min_length = 1, max_length = 128)]
    label: Option<String>,
}

/// A family of chains of one key and address form.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Chain)]
pub(super) enum ChainName {
    Evm,
    Bitcoin,
    Solana,
    Tron,
}

/// What a key may be used for: `sweep` for deposits, `api` for a secondary wallet with
/// destinations and limits of its own.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Purpose)]
pub(super) enum PurposeName {
    #[default]
    Sweep,
    Api,
}

/// Many at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub(super) struct BatchRequest {
    /// What to make addresses for. Repetitions answer the same address.
    #[schema(min_items = 1, max_items = 1000)]
    addresses: Vec<AddressRequest>,
}

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
pub(super) struct BatchAnswer {
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
    let wanted = wanted(Fields::new(input::json(&request.body)?, "")?)?;
    let mut made = ensure(&app, Route::CreateAddress, request, vec![wanted]).await?;
    let Made { created, key } = made.pop().ok_or_else(Problem::internal)??;
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(key.to_address())))
}

/// Makes up to 1,000 addresses, or finds them. Role `address.create`.
#[utoipa::path(
    post, path = "/v1/addresses/batch", operation_id = "createAddresses", tag = "addresses",
    security(("messageSignature" = [])),
    request_body(content = BatchRequest, content_type = "application/json"),
    responses(
        (status = 200, description = "Every item has its address, or a problem of its own; in order.", body = BatchAnswer),
        BodyProblems, AuthProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn create_batch(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Json<BatchAnswer>, Problem> {
    let request = signed::read(request, Content::Json).await?;
    let mut fields = Fields::new(input::json(&request.body)?, "")?;
    let items = fields.array("addresses")?;
    fields.finish()?;
    if !(1..=MAX_ADDRESSES).contains(&items.len()) {
        let found = format!("an array of {} items", items.len());
        return Err(Problem::field("addresses", format!("1 to {MAX_ADDRESSES} items"), found));
    }
    let all = items.into_iter().enumerate();
    let all = all.map(|(at, item)| {
        let read = Fields::new(item, &format!("addresses[{at}]")).and_then(wanted);
        read.map_err(|problem| problem.of_item(at))
    });
    let wanted = all.collect::<Result<_, _>>()?;
    let made = ensure(&app, Route::CreateAddresses, request, wanted).await?;
    let addresses = made.into_iter().enumerate().map(|(item, made)| match made {
        Ok(Made { created, key }) => BatchAddress::Made(MadeAddress { created, address: key.to_address() }),
        Err(problem) => {
            let problem = problem.of_field(format!("addresses[{item}]")).of_item(item);
            BatchAddress::Failed(NoAddress { problem: problem.part() })
        }
    });
    Ok(Json(BatchAnswer { addresses: addresses.collect() }))
}

/// Has the enclave authorise the request, and makes what it names. What is wrong with one item is its own.
async fn ensure(
    app: &App,
    route: Route,
    request: SignedRequest,
    wanted: Vec<NewKey>,
) -> Result<Vec<Result<Made, Problem>>, Problem> {
    // The enclave reads the body by this; what it would read otherwise is not asked of it.
    let read = api::new_keys(route, &request.body).map_err(|error| Problem::malformed(error.to_string()))?;
    if read != wanted {
        return Err(Problem::internal());
    }
    let ticket = signed::authorize(app, request).await?.ticket;
    let made: Vec<Result<Made, Problem>> = app.creation.ensure(ticket, wanted).await?;
    let (created, found): (Vec<&Made>, Vec<&Made>) = made.iter().flatten().partition(|made| made.created);
    app.metrics.addresses(created.len() as u64, found.len() as u64);
    Ok(made)
}

fn wanted(mut fields: Fields) -> Result<NewKey, Problem> {
    let user = fields.text("user", UserRef::try_from)?;
    let chain = fields.text("chain", |text| text.parse().map_err(NameError::Chain))?;
    let purpose = fields.text("purpose", |text| text.parse::<Purpose>())?.unwrap_or_default();
    let index = fields.number("index", TryFrom::try_from)?;
    let label = fields.optional_text("label", Label::try_from)?;
    if purpose == Purpose::Api && label.is_none() {
        return Err(fields.missing("label"));
    }
    let key = NewKey {
        user: user.ok_or_else(|| fields.missing("user"))?,
        chain: chain.ok_or_else(|| fields.missing("chain"))?,
        purpose,
        index: index.unwrap_or_default(),
        label,
    };
    fields.finish()?;
    Ok(key)
}
