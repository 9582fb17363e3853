//! `cofferdam address list`: a user's addresses, page by page.

use clap::Args;
use protocol::UserRef;
use serde::Deserialize;

use super::{Address, create::checker, rows::Rows};
use crate::{
    client::{Client, ParentArgs},
    error::Error,
    output::Screen,
    trust::TrustArgs,
};
use verifier::Refused;

/// Addresses of one page.
const PAGE: &str = "500";

/// Arguments of `address list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// Whose addresses
    #[arg(long)]
    user: UserRef,
    /// Verify every certificate as it comes
    #[arg(long)]
    verify: bool,
    #[command(flatten)]
    trust: TrustArgs,
}

#[derive(Debug, Deserialize)]
struct Page {
    keys: Vec<Address>,
    #[serde(default)]
    next_cursor: Option<String>,
}

pub(super) async fn run(args: &ListArgs, screen: &Screen) -> Result<(), Error> {
    let mut checker = checker(args.verify, &args.trust)?;
    let client = Client::new(&args.parent)?;
    let mut rows = Rows::new(screen, checker.is_some());
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("user", args.user.as_str()), ("limit", PAGE)];
        query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page: Page = client.get(&["keys"], &query).await?;
        if let Some(checker) = &mut checker {
            checker.fetch_for(&client, &page.keys).await?;
        }
        for address in &page.keys {
            let asked_for = if address.user == args.user {
                Ok(())
            } else {
                Err(Refused::new("answer", "an address of the user that was asked for was expected"))
            };
            match &checker {
                None => {
                    asked_for?;
                    rows.row(address, None)?;
                }
                Some(checker) => {
                    let verdict = asked_for.and_then(|()| checker.address(address).map(|_| ()));
                    rows.row(address, Some(&verdict))?;
                }
            }
        }
        match page.next_cursor {
            None => return rows.finish(),
            // A parent could send us round in circles.
            next if next == cursor => {
                return Err(Error::Parent("the parent: a cursor that moves on was expected".to_owned()));
            }
            next => cursor = next,
        }
    }
}
