//! `cofferdam address create`: one address or many, in batches, a few batches at a time.

use std::{path::PathBuf, time::Duration};

use chains::Chain;
use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use protocol::{Index, Label, Purpose, UserRef};
use serde::Deserialize;
use serde_json::json;

use super::{
    Checker,
    orders::{self, Order},
    rows::Rows,
};
use crate::{error::Error, output::Screen, parent::ParentArgs, trust::TrustArgs};
use client::{Address, Client};
use verifier::Refused;

/// The most addresses of one request: the API's limit.
const BATCH: usize = 1000;
/// Requests under way at once.
const IN_FLIGHT: usize = 4;

/// Arguments of `address create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// Whose address
    #[arg(long, required_unless_present = "file")]
    user: Option<UserRef>,
    /// evm, bitcoin, solana or tron
    #[arg(long, required_unless_present = "file")]
    chain: Option<Chain>,
    /// sweep, or secondary for a wallet with rules of its own, whose owner is the user; it takes a label
    #[arg(long, default_value = "sweep")]
    purpose: Purpose,
    /// Which of the user's addresses on the chain; the first of several
    #[arg(long, default_value = "0", value_parser = index)]
    index: Index,
    /// How many, counting up from the index
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// A note that is kept with the address
    #[arg(long)]
    label: Option<Label>,
    /// A JSON Lines file of {"user", "chain", "purpose"?, "index"?, "label"?}; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["user", "chain", "purpose", "index", "count", "label"]
    )]
    file: Option<PathBuf>,
    /// Verify every certificate as it comes
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Debug, Deserialize)]
struct Batch {
    addresses: Vec<Address>,
}

pub(super) async fn run(args: &CreateArgs, screen: &Screen) -> Result<(), Error> {
    let mut checker = checker(args.verify, &args.trust)?;
    let client = args.parent.client()?;
    let orders = orders(args)?;
    let bar = progress(orders.len());
    let mut rows = Rows::new(screen, checker.is_some());
    let mut batches =
        stream::iter(orders.chunks(BATCH)).map(|orders| ask(&client, orders)).buffered(IN_FLIGHT);
    while let Some((orders, addresses)) = batches.try_next().await? {
        if let Some(checker) = &mut checker {
            checker.fetch_for(&client, &addresses).await?;
        }
        bar.suspend(|| {
            orders.iter().zip(&addresses).try_for_each(|(order, address)| {
                let verdict = verdict(checker.as_ref(), order, address)?;
                rows.row(address, verdict.as_ref())
            })
        })?;
        bar.inc(u64::try_from(addresses.len()).unwrap_or_default());
    }
    bar.finish_and_clear();
    rows.finish()
}

/// A verifier when one is asked for.
pub(crate) fn checker(verify: bool, trust: &TrustArgs) -> Result<Option<Checker>, Error> {
    match (verify, trust.is_given()) {
        (true, _) => Ok(Some(Checker::new(trust.load()?))),
        (false, true) => Err(Error::input("--pcr and --image", "--verify was expected beside them")),
        (false, false) => Ok(None),
    }
}

/// An answer to another question ends the command; a certificate that does not verify is counted.
fn verdict(
    checker: Option<&Checker>,
    order: &Order,
    address: &Address,
) -> Result<Option<Result<(), Refused>>, Error> {
    let answered = order.is_answered_by(address);
    match checker {
        None => Ok(answered.map(|()| None)?),
        Some(checker) => Ok(Some(answered.and_then(|()| checker.address(address).map(|_| ())))),
    }
}

fn orders(args: &CreateArgs) -> Result<Vec<Order>, Error> {
    if let Some(file) = &args.file {
        let orders = orders::from_file(file)?;
        return match orders.is_empty() {
            true => Err(Error::input(file.display(), "at least one line was expected")),
            false => Ok(orders),
        };
    }
    match (&args.user, args.chain) {
        (Some(user), Some(chain)) => {
            let (user, label) = (user.clone(), args.label.clone());
            let first = Order { user, chain, purpose: args.purpose, index: args.index, label };
            orders::check(&first).map_err(|expected| Error::input("--label", expected))?;
            orders::series(&first, args.count)
        }
        _ => Err(Error::input("--user and --chain", "both were expected, or --file")),
    }
}

/// Asks for up to [`BATCH`] addresses. The answers are in the order of the orders.
async fn ask<'o>(client: &Client, orders: &'o [Order]) -> Result<(&'o [Order], Vec<Address>), Error> {
    let addresses = match orders {
        [order] => vec![client.post(&["addresses"], order).await?],
        orders => {
            let batch: Batch = client.post(&["addresses", "batch"], &json!({"addresses": orders})).await?;
            batch.addresses
        }
    };
    if addresses.len() == orders.len() {
        Ok((orders, addresses))
    } else {
        let (asked, found) = (orders.len(), addresses.len());
        Err(Error::Parent(format!("the parent: {asked} addresses were expected, found {found}")))
    }
}

/// A bar on a terminal, for more than one batch; else nothing.
fn progress(total: usize) -> ProgressBar {
    // What is not a terminal shows nothing of it anyway.
    let target = if total <= BATCH { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(u64::try_from(total).ok(), target);
    let style = ProgressStyle::with_template("  {bar:32} {human_pos} of {human_len}, {eta} to go");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

fn index(text: &str) -> Result<Index, String> {
    let number: u64 = text.parse().map_err(|_| protocol::NameError::Index.to_string())?;
    Index::try_from(number).map_err(|error| error.to_string())
}
