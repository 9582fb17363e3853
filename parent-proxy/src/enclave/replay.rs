//! What earlier boots were told, told again: the stored orders, and the newest stored policy. The
//! enclave verifies each as if it were new; the parent only chooses what to show, and a parent that
//! shows too little is bounded by the policy's validity.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{OrderId, PolicyRef};
use serde_bytes::ByteBuf;
use wire::{Answer, Description, Operation, Refusal, RefusalCode, message::MAX_REPLAYED};

use super::{
    ask::{Unusable, ask, refused},
    connection::Connection,
    pool::Pool,
    told::Told,
};
use crate::store::StoreError;

/// The most bytes of envelopes in one request: with the rest they fit a frame.
const MOST_BYTES: usize = 700 * 1024;
/// Reads from the store at once.
const READ_AT_ONCE: usize = 16;

/// Tells all stored orders that were not told yet.
pub(super) async fn orders(pool: &Pool, connection: &Connection, told: &mut Told) -> Result<(), Unusable> {
    let names = pool.orders.names().await?;
    let untold: Vec<OrderId> = names.into_iter().filter(|order| !told.orders.contains(order)).collect();
    // As they come: only one chunk is ever held.
    let mut found = stream::iter(untold)
        .map(|order| async move { Ok::<_, StoreError>((order, read(pool, &order).await?)) })
        .buffered(READ_AT_ONCE);
    let mut chunk: Vec<(OrderId, Bytes)> = Vec::new();
    while let Some((order, envelope)) = found.try_next().await? {
        let Some(envelope) = envelope else {
            tracing::error!(%order, "a stored order is not usable, and is not replayed");
            told.orders.insert(order);
            continue;
        };
        let bytes: usize = chunk.iter().map(|(_, envelope)| envelope.len()).sum();
        if chunk.len() == MAX_REPLAYED || bytes.saturating_add(envelope.len()) > MOST_BYTES {
            tell(pool, connection, told, std::mem::take(&mut chunk)).await?;
        }
        chunk.push((order, envelope));
    }
    if chunk.is_empty() { Ok(()) } else { tell(pool, connection, told, chunk).await }
}

/// The envelope; none where there is nothing usable under the name.
async fn read(pool: &Pool, order: &OrderId) -> Result<Option<Bytes>, StoreError> {
    match pool.orders.read(order).await {
        Err(StoreError::TooLarge { .. }) => Ok(None),
        found => found,
    }
}

async fn tell(
    pool: &Pool,
    connection: &Connection,
    told: &mut Told,
    chunk: Vec<(OrderId, Bytes)>,
) -> Result<(), Unusable> {
    let envelopes = chunk.iter().map(|(_, envelope)| ByteBuf::from(envelope.to_vec())).collect();
    let operation = Operation::ReplayOrders { envelopes };
    let taken = match ask(pool, connection, operation).await? {
        Ok(Answer::OrdersReplayed(taken)) => taken,
        Ok(_) => return Err(Unusable::Answer("the orders that it has")),
        Err(refusal) => return Err(refused("take stored orders", &refusal)),
    };
    for (order, _) in &chunk {
        if !taken.contains(order) {
            tracing::error!(%order, "the enclave does not take a stored order");
        }
        told.orders.insert(*order);
    }
    tracing::info!(orders = taken.len(), "stored orders are in effect");
    Ok(())
}

/// Tells the newest stored policy, if the enclave has none or an older one. One that was never an
/// operator's is passed over; one that was, and is refused all the same, ends the search: an older
/// one must not come in its place.
pub(super) async fn policy(
    pool: &Pool,
    connection: &Connection,
    told: &mut Told,
    description: &Description,
) -> Result<bool, Unusable> {
    let mut names = pool.policies.names().await?;
    let version = description.policy.as_ref().map(|policy| policy.version);
    names.retain(|name| version.is_none_or(|version| name.version > version));
    names.sort_by_key(|name| std::cmp::Reverse(name.version));
    for name in names {
        if told.has_policy(&name) {
            continue;
        }
        let envelope = match pool.policies.read(&name).await {
            Ok(Some(envelope)) => envelope,
            Ok(None) | Err(StoreError::TooLarge { .. }) => {
                tracing::error!(version = name.version, "a stored policy is not usable");
                told.policies.insert((name.version, *name.sha256));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let operation = Operation::PutPolicy { envelope: ByteBuf::from(envelope.to_vec()) };
        match ask(pool, connection, operation).await? {
            Ok(Answer::PolicyAccepted(PolicyRef { version, .. })) => {
                told.policies.insert((name.version, *name.sha256));
                pool.clients.learn_signed(&envelope);
                tracing::info!(version, "the stored policy is in the enclave");
                return Ok(true);
            }
            Ok(_) => return Err(Unusable::Answer("a policy's version and hash")),
            // Not the policy's fault.
            Err(refusal) if refusal.code != RefusalCode::PolicyRefused => {
                return Err(refused("take the stored policy", &refusal));
            }
            Err(refusal) => {
                told.policies.insert((name.version, *name.sha256));
                let tag = refusal.tag();
                tracing::error!(version = name.version, tag, "the enclave does not take a stored policy");
                if is_an_operators(&refusal) {
                    return Ok(false);
                }
            }
        }
    }
    // Another parent, or this one before it was started anew, may have told the enclave. That takes it
    // a second time without a change, and says so that its signers are operators: whose next policy
    // does not wait behind what strangers send.
    if let Some(reference) = &description.policy
        && pool.clients.policy().as_ref() != Some(reference)
        && let Ok(Some(envelope)) = pool.policies.read(reference).await
    {
        let operation = Operation::PutPolicy { envelope: ByteBuf::from(envelope.to_vec()) };
        match ask(pool, connection, operation).await? {
            Ok(Answer::PolicyAccepted(_)) => pool.clients.learn_signed(&envelope),
            _ => pool.clients.learn(&envelope),
        }
    }
    Ok(false)
}

/// Whether the enclave found the operators' signatures before it found what it refuses.
fn is_an_operators(refusal: &Refusal) -> bool {
    let tag = refusal.tag();
    !tag.starts_with("dsse.") && tag != "policy.deployment"
}
