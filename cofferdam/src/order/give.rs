//! A new order: built from arguments, signed, and written or submitted.

use std::path::PathBuf;

use clap::Args;
use protocol::{
    Label,
    dsse::{Envelope, ORDER_TYPE},
    order::Order,
};
use serde::Serialize;
use serde_json::Value;

use super::{restriction::Restricts, show::Shown, submit::submit};
use crate::{
    clock,
    error::Error,
    operator::{self, Delivery, DeliveryArgs, Signed, SignerArgs},
    output::{Screen, Sheet, Show},
};

/// Arguments of every command that makes an order.
#[derive(Debug, Args)]
pub(crate) struct GiveArgs<R: Args> {
    #[command(flatten)]
    restricts: R,
    /// Why, for people: 1 to 128 bytes. It is in the order and on the log
    #[arg(long, value_name = "TEXT")]
    reason: Label,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

#[derive(Debug, Serialize)]
pub(super) struct Answer {
    #[serde(flatten)]
    pub(super) order: Shown,
    #[serde(flatten)]
    pub(super) signed: Signed,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) out: Option<PathBuf>,
    /// As the parent answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) answer: Option<Value>,
}

pub(super) async fn run<R: Args + Restricts>(args: &GiveArgs<R>, screen: &Screen) -> Result<(), Error> {
    let deployment = args.delivery.deployment()?;
    let restriction = args.restricts.restriction()?;
    let delivery = args.delivery.load()?;
    let keys = args.signer.load(screen)?;
    let payload = Order::payload(deployment, &restriction, &args.reason, clock::timestamp()?);
    // As the enclave will read it: a replacement that is not the key's next is found here.
    let order = Order::parse(&payload).map_err(|error| Error::input("the order", error))?;
    let mut envelope = Envelope::new(ORDER_TYPE, &payload);
    let signed = Signed::with(&mut envelope, &keys)?;
    let mut answer = Answer { order: Shown::of(&order), signed, out: None, answer: None };
    match delivery {
        Delivery::File(file) => {
            if !operator::deliver(&file, &envelope, screen)? {
                return Ok(());
            }
            answer.out = Some(file);
        }
        Delivery::Parent(client) => answer.answer = Some(submit(&client, &order, &envelope).await?),
    }
    screen.show(&answer)
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        self.signed.show(&self.order.summary(), sheet);
        self.order.rows(sheet);
        if let Some(out) = &self.out {
            sheet.row("written to", out.display().to_string());
        }
        if self.answer.is_some() {
            sheet.good("the parent answered that it is in effect");
            sheet.note("what proves it is its entry on the log, under a checkpoint: `log verify`");
        }
    }
}
