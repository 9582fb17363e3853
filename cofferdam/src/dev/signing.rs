//! The demo's sweeps: what is signed, what is not, and how one order ends it.

use chains::Chain;
use protocol::{
    OrderId,
    api::{Expected, ExpectedKey, TransactionToSign},
    order::Restriction,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    authority::{AUDITOR, BACKEND, DESK},
    demo::expect,
    evm::{Payment, is_signed_by},
    stack::Stack,
    story::Story,
};
use crate::{error::Error, transaction};
use client::{Address, Client, Signed};

/// Somebody whom the policy does not name.
const STRANGER: &str = "0x000000000000000000000000000000000000dEaD";
/// So much of the coin is swept, in wei: more than twice what it costs.
const COINS: u64 = 1_000_000_000_000_000;
/// So much of a token, in its base unit.
const TOKENS: u64 = 1_000_000_000;

#[derive(Debug, Deserialize)]
struct Taken {
    order_id: OrderId,
}

/// What the policy allows is signed; what it does not is denied by name.
pub(super) async fn sweeps(stack: &Stack, story: &mut Story<'_>, deposit: &Address) -> Result<(), Error> {
    let (backend, auditor) = (stack.client(BACKEND)?, stack.client(AUDITOR)?);
    let collection = stack.folder().collection(Chain::Evm)?;
    let to_collection = |nonce, amount| Payment { nonce, to: &collection, amount };
    let coins = to_collection(0, COINS).coins()?;
    let signed = sign(&backend, deposit, &coins).await?;
    is_signed_by(deposit, &coins, &signed)?;
    story.holds(
        "a sweep of coins to the pinned wallet is signed; the signature leads to the deposit address",
    )?;
    story.note(&format!("{} on {}: {}", signed.kind, signed.network, signed.id))?;
    let tokens = to_collection(1, TOKENS).tokens()?;
    let swept = sign(&backend, deposit, &tokens).await?;
    is_signed_by(deposit, &tokens, &swept)?;
    story.holds("so is a sweep of an ERC-20 token")?;
    story.note(&format!("{} on {}: {}", swept.kind, swept.network, swept.id))?;
    expect(sign(&backend, deposit, &coins).await? == signed, "the same signature")?;
    story.holds("asked again, the same transaction gets the same signature")?;

    let stolen = Payment { nonce: 2, to: STRANGER, amount: COINS };
    for theft in [stolen.coins()?, stolen.tokens()?] {
        refused(sign(&backend, deposit, &theft).await, "policy.evm.destination")?;
    }
    story.holds("a transfer to a stranger is denied: policy.evm.destination")?;
    let explained = explain(&backend, deposit, &stolen.coins()?).await?;
    let tag = explained.pointer("/denial/tag").and_then(Value::as_str);
    expect(explained.get("allowed") == Some(&false.into()), "an explanation that denies")?;
    expect(tag == Some("policy.evm.destination"), "an explanation with the same tag")?;
    story.holds("explain says the same, check by check, and signs nothing")?;
    refused(sign(&backend, deposit, &stolen.approval()?).await, "transaction.evm.call")?;
    story.holds("leave to spend tokens is no template, whatever the policy says: transaction.evm.call")?;
    refused(sign(&auditor, deposit, &coins).await, "auth.role")?;
    story.holds("a client without the role is refused, whatever it asks: auth.role")
}

/// One order of one operator, and nothing of a user is signed any more.
pub(super) async fn freeze(
    stack: &Stack,
    story: &mut Story<'_>,
    frozen: &Address,
    other: &Address,
) -> Result<OrderId, Error> {
    let restriction = Restriction::FreezeUser { user: frozen.user.clone() };
    let (order, envelope) = stack.folder().order(&restriction, "demo: suspicious withdrawals")?;
    let taken: Taken = stack.client(DESK)?.post_bytes(&["orders"], envelope.into_bytes()).await?;
    expect(taken.order_id == order, "the order's own id")?;
    story.holds(&format!("an operator's order freezes {}", frozen.user))?;
    story.note(&order.to_string())?;
    is_frozen(stack, frozen, &order).await?;
    story.holds("from the answer on nothing of theirs is signed: HTTP 423, with the order's id")?;
    may_sweep(stack, other).await?;
    story.holds(&format!("{} is swept as before", other.user))?;
    Ok(order)
}

/// That an order forbids to sign, and says which it is.
pub(super) async fn is_frozen(stack: &Stack, address: &Address, order: &OrderId) -> Result<(), Error> {
    match sweep(stack, address).await {
        Err(Error::Problem(problem)) if problem.is("order.frozen") => {
            expect(problem.status == 423, "HTTP 423")?;
            expect(problem.order_id == Some(order.to_string()), "the id of the order")
        }
        Err(error) => Err(error),
        Ok(_) => expect(false, "a refusal (order.frozen)"),
    }
}

/// That an address is swept.
pub(super) async fn may_sweep(stack: &Stack, address: &Address) -> Result<(), Error> {
    let (unsigned, signed) = sweep(stack, address).await?;
    is_signed_by(address, &unsigned, &signed)
}

/// A sweep that the policy allows: coins to the pinned wallet.
async fn sweep(stack: &Stack, address: &Address) -> Result<(Vec<u8>, Signed), Error> {
    let collection = stack.folder().collection(Chain::Evm)?;
    let unsigned = Payment { nonce: 3, to: &collection, amount: COINS }.coins()?;
    let signed = sign(&stack.client(BACKEND)?, address, &unsigned).await?;
    Ok((unsigned, signed))
}

async fn sign(client: &Client, address: &Address, unsigned: &[u8]) -> Result<Signed, Error> {
    client.post(&["signatures"], &request(address, unsigned)).await.map_err(Error::from)
}

async fn explain(client: &Client, address: &Address, unsigned: &[u8]) -> Result<Value, Error> {
    client.post(&["signatures", "explain"], &request(address, unsigned)).await.map_err(Error::from)
}

fn request(address: &Address, unsigned: &[u8]) -> TransactionToSign {
    let transaction = transaction::text(Chain::Evm, unsigned);
    TransactionToSign {
        chain: Chain::Evm,
        keys: vec![address.key_id],
        transaction,
        previous_transactions: Vec::new(),
        expected: vec![ExpectedKey {
            key_id: address.key_id,
            expected: Expected::Address(address.address.clone()),
        }],
    }
}

/// That the enclave refused for this reason.
fn refused<T>(result: Result<T, Error>, tag: &str) -> Result<(), Error> {
    match result {
        Err(Error::Problem(problem)) if problem.is(tag) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => expect(false, &format!("a refusal ({tag})")),
    }
}
