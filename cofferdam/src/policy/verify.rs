//! `cofferdam policy verify`: every check that an enclave makes of a policy, as far as it can be made
//! outside.

use std::path::{Path, PathBuf};

use chains::{Chain, Rules};
use clap::Args;
use protocol::dsse::POLICY_TYPE;
use serde::Serialize;

use super::document::{Document, Named};
use crate::{
    clock,
    error::Error,
    operator::{self, Measured, QuorumArgs},
    output::{Screen, Sheet, Show},
};
use verifier::Refused;

/// Arguments of `policy verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The policy's envelope; - is standard input
    #[arg(value_name = "ENVELOPE")]
    file: PathBuf,
    #[command(flatten)]
    quorum: QuorumArgs,
    /// The moment at which it must be in force, in place of now
    #[arg(long, value_name = "TIME", value_parser = clock::parse)]
    at: Option<u64>,
}

/// A policy that verified.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    verified: bool,
    #[serde(flatten)]
    pub(crate) named: Named,
    pub(crate) threshold: usize,
    pub(crate) signers: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let measured = args.quorum.load()?;
    screen.show(&signed(&args.file, &measured, args.at.unwrap_or_else(clock::now))?)
}

/// Reads an envelope and makes every check, its signatures first.
pub(crate) fn signed(file: &Path, measured: &Measured, at: u64) -> Result<Answer, Error> {
    let given = operator::read(file, POLICY_TYPE)?;
    if given.bare {
        return Err(Error::input(file.display(), "an envelope was expected: `policy sign` makes one"));
    }
    given.envelope.verify(&measured.policy).map_err(|error| Refused::new(error.tag(), error.to_string()))?;
    Ok(verify(&Document::of(given)?, measured, at)?)
}

/// The checks beside the signatures.
pub(super) fn verify(document: &Document, measured: &Measured, at: u64) -> Result<Answer, Refused> {
    let policy = &document.policy;
    if let Some(expected) = &measured.deployment
        && expected != policy.deployment()
    {
        let text = format!("deployment: {expected} was expected, found {}", policy.deployment());
        return Err(Refused::new("policy.deployment", text));
    }
    if policy.names_operator(measured.policy.keys.iter().chain(&measured.freeze.keys)) {
        let text = "an operator's key must not be a client's key";
        return Err(Refused::new("policy.client_key", text));
    }
    policy.is_valid_at(at).map_err(|error| Refused::new(error.tag(), error.to_string()))?;
    let mut warnings = Vec::new();
    for set in policy.rules() {
        if let (Some(Rules::Bitcoin(rules)), Some(network)) = (set.of(Chain::Bitcoin), measured.bitcoin)
            && !rules.are_for(network)
        {
            warnings.push(format!(
                "rules \"{}\": a Bitcoin destination is not of the configured network and is never paid",
                set.name()
            ));
        }
    }
    Ok(Answer {
        verified: true,
        named: document.named(),
        threshold: measured.policy.threshold,
        signers: document.envelope.signers().map(str::to_owned).collect(),
        warnings,
    })
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("verified: the operators signed this policy, and an enclave takes it");
        self.warnings.iter().for_each(|warning| sheet.warn(warning));
        self.named.show(sheet);
        sheet.row("signatures", format!("{} of at least {}", self.signers.len(), self.threshold));
        self.signers.iter().for_each(|signer| sheet.row("", signer));
    }
}
