//! A new order: built from arguments, signed, and written or submitted.

use std::path::PathBuf;

use clap::Args;
use protocol::{
    Label,
    dsse::{Envelope, ORDER_TYPE},
    order::Order,
};
use serde::Serialize;

use super::{
    restriction::Restricts,
    show::Shown,
    submit::{Submitted, submit},
};
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
    /// What became of it at each parent that it was sent to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) parents: Vec<Submitted>,
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
    let mut answer = Answer { order: Shown::of(&order), signed, out: None, parents: Vec::new() };
    match delivery {
        Delivery::File(file) => {
            if !operator::deliver(&file, &envelope, screen)? {
                return Ok(());
            }
            answer.out = Some(file);
        }
        Delivery::Parents(parents) => {
            answer.parents = submit(&parents, &order, &envelope).await?;
        }
    }
    screen.show(&answer)?;
    let missing = answer.parents.iter().filter(|parent| !parent.is_on_log()).count();
    if missing == 0 { Ok(()) } else { Err(Error::SomeNotOnLog { missing, of: answer.parents.len() }) }
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        self.signed.show(&self.order.summary(), sheet);
        self.order.rows(sheet);
        if let Some(out) = &self.out {
            sheet.row("written to", out.display().to_string());
        }
        if !self.parents.is_empty() {
            self.parents.iter().for_each(|parent| parent.row(sheet));
            sheet.note("by the parents' word; what proves it is the entry under a checkpoint: `log verify`");
        }
    }
}
