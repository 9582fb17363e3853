//! `cofferdam address list`: a user's addresses, page by page.

use clap::Args;
use protocol::UserRef;

use super::{create::checker, rows::Rows};
use crate::{error::Error, output::Screen, parent::ParentArgs, trust::TrustArgs};
use verifier::Refused;

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

pub(super) async fn run(args: &ListArgs, screen: &Screen) -> Result<(), Error> {
    let mut checker = checker(args.verify, &args.trust)?;
    let client = args.parent.client()?;
    let mut rows = Rows::new(screen, checker.is_some());
    let mut pages = client.addresses_of(&args.user);
    while let Some(page) = pages.next().await? {
        if let Some(checker) = &mut checker {
            checker.fetch_for(&client, &page).await?;
        }
        for address in &page {
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
    }
    rows.finish()
}
