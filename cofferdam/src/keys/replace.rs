//! `cofferdam keys replace`: retires a deposit key and has the next one made in its place. The order
//! is built here from what the key's id proves, and signed here by the operators' keys.

use std::path::PathBuf;

use clap::Args;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use protocol::{
    Deployment, Index, KeyId, KeyPath, Label, NewKey, OrderId,
    api::ReplaceRequest,
    dsse::{Envelope, ORDER_TYPE},
    order::{Order, Restriction},
};
use serde::{Deserialize, Serialize};

use super::{Role, signing_key};
use crate::{
    address::checker,
    clock,
    error::Error,
    output::{Screen, Sheet, Show},
    parent::ParentArgs,
    trust::TrustArgs,
};
use client::Address;
use verifier::Refused;

/// Arguments of `keys replace`.
#[derive(Debug, Args)]
pub(crate) struct ReplaceArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// The key to retire
    #[arg(value_name = "KEY_ID")]
    key_id: KeyId,
    /// An operator's private key, which signs the order; as many as the freeze threshold asks for
    #[arg(long = "operator-key", value_name = "FILE", required = true)]
    operator_keys: Vec<PathBuf>,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    reason: Label,
    /// The new key's note, in place of the old one's
    #[arg(long)]
    label: Option<Label>,
    /// Verify the new address's certificate
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

/// What the API answers.
#[derive(Debug, Deserialize)]
struct Replaced {
    order_id: OrderId,
    address: Address,
}

#[derive(Debug, Serialize)]
struct Answer {
    order_id: OrderId,
    retired: KeyId,
    retired_address: String,
    replacement: Address,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
}

pub(super) async fn run(args: &ReplaceArgs, screen: &Screen) -> Result<(), Error> {
    let mut checker = checker(args.verify, &args.trust)?;
    let deployment = args.parent.deployment()?;
    let keys: Vec<SigningKey> =
        args.operator_keys.iter().map(|file| signing_key(file, Role::Operator)).collect::<Result<_, _>>()?;
    let client = args.parent.client()?;
    let id = args.key_id.to_string();
    let old: Address = client.get(&["keys", &id], &[]).await?;
    let next = next(deployment, &args.key_id, &old, args.label.as_ref())?;
    let new_id = KeyId::derive(deployment, &next.path());
    let restriction = Restriction::RetireKey { key_id: args.key_id, replacement: Some(next.clone()) };
    let (order_id, envelope) = signed_order(deployment, &restriction, &args.reason, &keys)?;
    let request = ReplaceRequest { order: BASE64.encode(envelope.as_bytes()) };
    let answer: Replaced = client.post(&["keys", &id, "replace"], &request).await?;
    let new = answer.address;
    // The replacement may have been made before, with another note: then that one stays.
    let asked_for = answer.order_id == order_id && new.key_id == new_id && path_of(&new) == next.path();
    if !asked_for {
        return Err(Refused::new("answer", "the key that the order names was expected").into());
    }
    if let Some(checker) = &mut checker {
        checker.fetch_for(&client, std::slice::from_ref(&new)).await?;
        checker.address(&new)?;
    }
    screen.show(&Answer {
        order_id,
        retired: args.key_id,
        retired_address: old.address,
        replacement: new,
        verified: checker.is_some().then_some(true),
    })
}

/// What replaces a key. The parent says whose it is; the id proves it.
fn next(
    deployment: &Deployment,
    key_id: &KeyId,
    old: &Address,
    label: Option<&Label>,
) -> Result<NewKey, Error> {
    let path = path_of(old);
    if KeyId::derive(deployment, &path) != *key_id {
        let text = format!("the key {key_id} of the deployment {deployment} was expected");
        return Err(Refused::new("key_id", text).into());
    }
    let index = u64::from(path.index.get()).saturating_add(1);
    let index = Index::try_from(index).map_err(|error| Error::input("KEY_ID", error))?;
    let label = label.or(old.label.as_ref()).cloned();
    Ok(NewKey::new(KeyPath { index, ..path }, label))
}

fn path_of(address: &Address) -> KeyPath {
    let Address { user, chain, purpose, index, .. } = address;
    KeyPath { user: user.clone(), chain: *chain, purpose: *purpose, index: *index }
}

/// An order of this moment in its envelope, signed by each key.
pub(crate) fn signed_order(
    deployment: &Deployment,
    restriction: &Restriction,
    reason: &Label,
    keys: &[SigningKey],
) -> Result<(OrderId, String), Error> {
    let failed = |text: String| Error::Failed(format!("an order was expected: {text}"));
    let payload = Order::payload(deployment, restriction, reason, clock::timestamp()?);
    let order = Order::parse(&payload).map_err(|error| failed(error.to_string()))?;
    let mut envelope = Envelope::new(ORDER_TYPE, &payload);
    keys.iter().try_for_each(|key| envelope.sign(key)).map_err(|error| failed(error.to_string()))?;
    Ok((order.id(), envelope.to_json()))
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("the key is retired, and the next one is there");
        sheet.row("order", self.order_id.to_string());
        sheet.row("retired", format!("{} {}", self.retired, self.retired_address));
        sheet.row("new key", self.replacement.key_id.to_string());
        sheet.row("new address", &self.replacement.address);
        if let Some(taproot) = &self.replacement.taproot_address {
            sheet.row("", taproot);
        }
        match self.verified {
            Some(_) => sheet.good("its certificate verifies"),
            None => sheet.warn("NOT VERIFIED: give --verify and --pcr 0=HEX of your own build"),
        }
    }
}
