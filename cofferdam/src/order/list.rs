//! `cofferdam order list`: the orders that a parent has. It can leave some out, and call others
//! lifted; what an envelope says is its own.

use clap::Args;
use protocol::{
    OrderId,
    dsse::{Envelope, ORDER_TYPE},
    order::Order,
};
use serde::{Deserialize, Serialize};

use super::show::Shown;
use crate::{
    error::Error,
    output::{Screen, Sheet, Show},
    parent::ParentArgs,
};
use verifier::Refused;

/// Arguments of `order list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    parent: ParentArgs,
}

/// What the API answers.
#[derive(Debug, Deserialize)]
struct Answer {
    orders: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    order_id: OrderId,
    in_force: bool,
    /// Null when the order is in force but not stored.
    envelope: Option<Envelope>,
}

/// One order of the list.
#[derive(Debug, Serialize)]
struct Row {
    order_id: OrderId,
    /// By the parent's word.
    in_force: bool,
    /// From the envelope, whose signatures are not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<Shown>,
}

pub(super) async fn run(args: &ListArgs, screen: &Screen) -> Result<(), Error> {
    let answer: Answer = args.parent.client()?.get(&["orders"], &[]).await?;
    let rows: Vec<Row> = answer.orders.into_iter().map(row).collect::<Result<_, _>>()?;
    if screen.json() {
        return rows.iter().try_for_each(|row| screen.json_line(row));
    }
    let mut sheet = Sheet::default();
    if rows.is_empty() {
        sheet.plain("no orders");
    }
    rows.iter().for_each(|row| row.show(&mut sheet));
    screen.sheet(&sheet)
}

fn row(listed: Listed) -> Result<Row, Refused> {
    let Listed { order_id, in_force, envelope } = listed;
    let read = |envelope: &Envelope| {
        let envelope = Envelope::parse(envelope.to_json().as_bytes(), ORDER_TYPE).ok()?;
        Order::parse(&envelope.payload().ok()?).ok().filter(|order| order.id() == order_id)
    };
    let order = envelope.map(|envelope| {
        let wrong = || Refused::new("answer", format!("the envelope of {order_id} was expected"));
        read(&envelope).map(|order| Shown::of(&order)).ok_or_else(wrong)
    });
    Ok(Row { order_id, in_force, order: order.transpose()? })
}

impl Show for Row {
    fn show(&self, sheet: &mut Sheet) {
        let state = if self.in_force { "in force" } else { "not in force" };
        sheet.plain(format!("{}, {state}", self.order_id));
        if let Some(order) = &self.order {
            sheet.plain(format!("  {}", order.summary()));
            order.reasons(sheet);
        }
    }
}
