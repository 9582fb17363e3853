//! `cofferdam policy show`: what a policy says, and what it changes against another one. Verifies no
//! signature.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{
    changes::Changes,
    contents::Contents,
    document::{Document, Named},
    table,
};
use crate::{
    clock,
    error::Error,
    output::{Screen, Sheet, Show},
};

/// Arguments of `policy show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A policy in JSON, or its envelope; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The policy that it is to replace: says what is relaxed and what is tightened
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Answer {
    /// Signatures are looked at by `policy verify` alone.
    verified: bool,
    #[serde(flatten)]
    named: Named,
    signers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Changes>,
    policy: Contents,
    #[serde(skip)]
    late: Option<String>,
}

pub(super) fn run(args: &ShowArgs, screen: &Screen) -> Result<(), Error> {
    let document = Document::read(&args.file)?;
    let other = args.against.as_deref().map(Document::read).transpose()?;
    screen.show(&Answer {
        verified: false,
        named: document.named(),
        signers: document.envelope.signers().map(str::to_owned).collect(),
        changes: other.map(|other| Changes::between(&other.contents, &document.contents)),
        late: document.policy.is_valid_at(clock::now()).err().map(|error| error.to_string()),
        policy: document.contents,
    })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        if let Some(late) = &self.late {
            sheet.warn(late);
        }
        self.named.show(sheet);
        match self.signers.as_slice() {
            [] => sheet.row("signatures", "none"),
            signers => {
                sheet.row("signatures", format!("{}, not verified by this command", signers.len()));
                signers.iter().for_each(|signer| sheet.row("", signer));
            }
        }
        table::show(&self.policy, sheet);
        if let Some(changes) = &self.changes {
            changes.show(sheet);
        }
    }
}
