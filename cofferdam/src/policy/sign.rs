//! `cofferdam policy sign`: an operator's signature over a policy that the enclave would take.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::operators::Ed25519Key;
use serde::Serialize;

use super::{
    contents::Contents,
    document::{Document, Named},
    table,
};
use crate::{
    clock,
    error::Error,
    input::STDIN,
    operator::{self, Signed, SignerArgs},
    output::{Screen, Sheet, Show},
};

/// Arguments of `policy sign`.
#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// A policy in JSON, or the envelope that others have signed
    #[arg(value_name = "POLICY")]
    file: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// Where to write the envelope, in place of NAME.dsse.json; an envelope is signed in place. - is
    /// standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Answer {
    out: PathBuf,
    #[serde(flatten)]
    named: Named,
    #[serde(flatten)]
    signed: Signed,
    policy: Contents,
    #[serde(skip)]
    late: Option<String>,
}

pub(super) fn run(args: &SignArgs, screen: &Screen) -> Result<(), Error> {
    let mut document = Document::read(&args.file)?;
    let keys = args.signer.load(screen)?;
    let operators: Vec<Ed25519Key> = keys.iter().map(|key| key.verifying_key().into()).collect();
    if document.policy.names_operator(&operators) {
        return Err(Error::input(
            args.file.display(),
            "policy.client_key: an operator's key must not be a client's key",
        ));
    }
    let out = args.out.clone().unwrap_or_else(|| beside(&args.file, document.bare));
    let signed = Signed::with(&mut document.envelope, &keys)?;
    let replaced = (!document.bare).then_some(args.file.as_path());
    operator::write_new(&out, &document.envelope.to_json(), replaced, screen)?;
    if out.as_os_str() == STDIN {
        return Ok(());
    }
    let late = document.policy.is_valid_at(clock::now()).err().map(|error| error.to_string());
    screen.show(&Answer { out, named: document.named(), signed, policy: document.contents, late })
}

/// `policy.json` → `policy.dsse.json`; an envelope stays where it is.
fn beside(file: &Path, bare: bool) -> PathBuf {
    if bare && file.as_os_str() != STDIN { file.with_extension("dsse.json") } else { file.to_owned() }
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        self.signed.show(&format!("version {} for {}", self.named.version, self.named.deployment), sheet);
        if let Some(late) = &self.late {
            sheet.warn(late);
        }
        self.named.show(sheet);
        sheet.row("written to", self.out.display().to_string());
        table::show(&self.policy, sheet);
    }
}
