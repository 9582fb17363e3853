//! `POST /v1/orders`, `POST /v1/keys/{key_id}/replace` and `GET /v1/orders`: what operators restrict.
//! An order is in effect before it is answered, and stored before it is answered; whoever goes away
//! meanwhile does not change that.

use std::{collections::BTreeSet, sync::Arc};

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{
    OrderId,
    api::{ReplaceRequest, replacement_order},
    dsse::{Envelope, ORDER_TYPE},
    order::Order,
    request::SignedRequest,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wire::{LogLine, OrderAccepted};

use super::{
    App, Problem,
    gate::Turn,
    openapi::{
        AuthProblems, BodyProblems, EnclaveProblems, InputProblems, OrderProblems, RecordProblems,
        ServiceProblems,
    },
    shapes,
    signed::{self, Content},
};
use crate::{address::Address, creation::Made};

/// Envelopes that are read at once.
const READ_AT_ONCE: usize = 16;
/// The longest envelope of an order: its payload and as many signatures as there may be operators are
/// less than half of it.
pub(super) const MAX_ORDER_ENVELOPE: usize = 64 << 10;
/// The longest request for a replacement: an envelope in base64.
pub(super) const MAX_REPLACEMENT: usize = 96 << 10;
/// The most bytes of envelopes in one answer: the orders of an enclave have far less.
const MOST_BYTES: usize = 64 << 20;

/// An order that is in effect.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderTaken {
    /// SHA-256 of its payload.
    order_id: String,
    /// The order's entry of the enclave's log, as it stands there: which boot's, under which number.
    entry: String,
}

/// A key that is retired, and the one in its place.
#[derive(Serialize, ToSchema)]
pub(super) struct Replaced {
    /// The order that retires the key.
    order_id: String,
    /// The key that is retired.
    retired: String,
    /// The order's entry of the enclave's log, as it stands there.
    entry: String,
    /// The new key's address.
    address: Address,
}

/// All orders.
#[derive(Serialize, ToSchema)]
pub(super) struct OrderList {
    /// In the order of their ids.
    orders: Vec<ListedOrder>,
}

/// An order, as it is stored.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedOrder {
    /// SHA-256 of its payload.
    order_id: String,
    /// Whether the enclave has it, and the policy does not lift it.
    in_force: bool,
    /// The payload; null when it is in force but not stored.
    #[schema(value_type = Option<Object>)]
    order: Option<Value>,
    /// The envelope; null when it is not stored.
    envelope: Option<Envelope>,
}

/// Puts an order into effect. Role `order.submit`; the operators' signatures decide.
#[utoipa::path(
    post, path = "/v1/orders", operation_id = "submitOrder", tag = "orders",
    security(("messageSignature" = [])),
    request_body(content = Envelope, content_type = "application/json"),
    responses(
        (status = 201, description = "The order is in effect and stored.", body = OrderTaken),
        (status = 200, description = "It was in effect before.", body = OrderTaken),
        BodyProblems, AuthProblems, OrderProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<(StatusCode, Json<OrderTaken>), Problem> {
    let turn = Turn::from_request(&request);
    let request = signed::read(request, Content::Json).await?;
    signed::admit(&app, &request)?;
    let taken = carried_out(async move {
        let _turn = turn;
        let envelope = request.body.to_vec();
        take(&app, request, &envelope).await
    });
    let (taken, entry) = taken.await?;
    let status = if taken.new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(OrderTaken { order_id: taken.order.to_string(), entry: entry.line })))
}

/// Retires a key and makes the next one in its place. Role `order.submit`; the operators' signatures
/// decide.
#[utoipa::path(
    post, path = "/v1/keys/{key_id}/replace", operation_id = "replaceKey", tag = "orders",
    security(("messageSignature" = [])),
    params(("key_id" = String, Path, description = "`key_` and 52 characters.", min_length = 56, max_length = 56, pattern = "^key_[a-z2-7]{51}[aq]$", example = "key_a2jwgq2suvkdt5j6vmrbuicdgt4bnvnuvaktfajzzfzk5kdxlipq")),
    request_body(content = ReplaceRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "The key is retired, and the new one was made.", body = Replaced),
        (status = 200, description = "Both were so before.", body = Replaced),
        BodyProblems, AuthProblems, OrderProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn replace(
    State(app): State<Arc<App>>,
    key_id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<(StatusCode, Json<Replaced>), Problem> {
    let key_id = super::keys::parse(key_id)?;
    let turn = Turn::from_request(&request);
    let request = signed::read(request, Content::Json).await?;
    let envelope =
        replacement_order(&request.body).map_err(|error| shapes::replacement(&request.body, &error))?;
    signed::admit(&app, &request)?;
    let replaced = carried_out(async move {
        let (taken, entry) = take(&app, request.clone(), &envelope).await?;
        // The enclave took it, so it has this form.
        let payload = Envelope::parse(&envelope, ORDER_TYPE).and_then(|envelope| envelope.payload());
        let order = payload.ok().and_then(|payload| Order::parse(&payload).ok());
        let next = order.and_then(|order| order.replacement().cloned()).ok_or_else(Problem::internal)?;
        let _place = turn.done(&app.gates)?;
        let mut made: Vec<Result<Made, Problem>> = app.creation.ensure(&request, vec![next]).await?;
        let Made { created, key } = made.pop().ok_or_else(Problem::internal)??;
        app.metrics.addresses(created.into(), (!created).into());
        let status = if taken.new || created { StatusCode::CREATED } else { StatusCode::OK };
        let (order_id, retired) = (taken.order.to_string(), key_id.to_string());
        Ok((status, Replaced { order_id, retired, entry: entry.line, address: key.to_address() }))
    });
    let (status, replaced) = replaced.await?;
    Ok((status, Json(replaced)))
}

/// Lists all orders, and which are in force. Role `audit.read`.
#[utoipa::path(
    get, path = "/v1/orders", operation_id = "readOrders", tag = "orders",
    security(("messageSignature" = [])),
    responses(
        (status = 200, description = "Those that are stored, and those that are in force.", body = OrderList),
        InputProblems, AuthProblems, RecordProblems, EnclaveProblems, ServiceProblems,
    ),
)]
pub(super) async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Json<OrderList>, Problem> {
    let request = signed::read(request, Content::Any).await?;
    signed::authorize(&app, request).await?;
    let in_force: BTreeSet<OrderId> = app.enclave.standing().await?.orders.into_iter().collect();
    let mut names: BTreeSet<OrderId> = app.orders.names().await?.into_iter().collect();
    names.extend(&in_force);
    let app = &app;
    let mut found = stream::iter(names)
        .map(|order| async move { Ok::<_, Problem>((order, app.orders.read(&order).await?)) })
        .buffered(READ_AT_ONCE);
    let (mut orders, mut length) = (Vec::new(), 0usize);
    while let Some((order, envelope)) = found.try_next().await? {
        length = length.saturating_add(envelope.as_ref().map_or(0, |envelope| envelope.len()));
        if length > MOST_BYTES {
            return Err(Problem::internal());
        }
        let envelope = envelope.and_then(|envelope| Envelope::parse(&envelope, ORDER_TYPE).ok());
        let payload = envelope.as_ref().and_then(|envelope| envelope.payload().ok());
        orders.push(ListedOrder {
            order_id: order.to_string(),
            in_force: in_force.contains(&order),
            order: payload.and_then(|payload| serde_json::from_slice(&payload).ok()),
            envelope,
        });
    }
    Ok(Json(OrderList { orders }))
}

/// Has the enclave take the order of a request, and stores it in its envelope.
async fn take(
    app: &App,
    request: SignedRequest,
    envelope: &[u8],
) -> Result<(OrderAccepted, LogLine), Problem> {
    let (accepted, entry) = app.enclave.submit_order(request).await?;
    app.orders.store(&accepted.order, envelope).await?;
    tracing::warn!(order = %accepted.order, new = accepted.new, "an order is in effect");
    Ok((accepted, entry))
}

/// Goes on to its end, also when nobody waits for it any more.
pub(super) async fn carried_out<T: Send + 'static>(
    work: impl Future<Output = Result<T, Problem>> + Send + 'static,
) -> Result<T, Problem> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(Problem::internal()))
}
