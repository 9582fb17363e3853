//! `cofferdam address verify`: from the root, over the attestation document and the session key,
//! to the address. Offline, and at any later time.

use std::path::{Path, PathBuf};

use attestation::DocumentHash;
use chains::Chain;
use clap::Args;
use protocol::{AddressClaims, Deployment, UserRef, certificate::MAX_CERTIFICATE};
use serde::Serialize;

use super::{Checker, bulk};
use crate::{
    clock,
    error::Error,
    input,
    output::{Screen, Sheet, Show},
    trust::TrustArgs,
};
use client::Address;
use verifier::Refused;

/// The longest file with one certificate, or with the API's object around it.
const MAX_FILE: u64 = 4 * MAX_CERTIFICATE as u64;

/// Arguments of `address verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The certificate: a compact JWS, a file with one or with the API's address object, or - for
    /// standard input
    #[arg(long, value_name = "FILE|JWS", required_unless_present = "addresses")]
    certificate: Option<String>,
    /// The attestation document that the certificate names
    #[arg(long, value_name = "FILE", required_unless_present = "attestations")]
    attestation: Option<PathBuf>,
    /// Many: a JSON Lines file of address objects as the API answers them; - is standard input
    #[arg(long, value_name = "FILE", requires = "attestations", conflicts_with_all = ["certificate", "expect_user", "expect_chain", "expect_address"])]
    addresses: Option<PathBuf>,
    /// The folder with their attestation documents, under any names
    #[arg(long, value_name = "FOLDER", conflicts_with = "attestation")]
    attestations: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    expect: Expect,
}

/// What the claims must say.
#[derive(Debug, Args)]
pub(crate) struct Expect {
    /// The deployment that it must be of
    #[arg(long, value_name = "NAME")]
    expect_deployment: Option<Deployment>,
    /// The user that it must be of
    #[arg(long, value_name = "USER")]
    expect_user: Option<UserRef>,
    /// The chain that it must be on
    #[arg(long, value_name = "CHAIN")]
    expect_chain: Option<Chain>,
    /// The address that it must be of; on Bitcoin one of the two
    #[arg(long, value_name = "ADDRESS")]
    expect_address: Option<String>,
}

impl Expect {
    /// Compares the claims with what is expected.
    pub(super) fn check(&self, claims: &AddressClaims) -> Result<(), Refused> {
        let differs =
            |name: &'static str, expected: &dyn std::fmt::Display, found: &dyn std::fmt::Display| {
                Err(Refused::new(name, format!("{name}: {expected} was expected, found {found}")))
            };
        match (&self.expect_deployment, &self.expect_user, &self.expect_chain, &self.expect_address) {
            (Some(expected), ..) if *expected != claims.deployment => {
                differs("deployment", expected, &claims.deployment)
            }
            (_, Some(expected), ..) if *expected != claims.user => differs("user", expected, &claims.user),
            (_, _, Some(expected), _) if *expected != claims.chain => {
                differs("chain", expected, &claims.chain)
            }
            (.., Some(expected))
                if *expected != claims.address && Some(expected) != claims.taproot_address.as_ref() =>
            {
                differs("address", expected, &claims.address)
            }
            _ => Ok(()),
        }
    }
}

/// Claims that verified.
#[derive(Debug, Serialize)]
struct Answer {
    verified: bool,
    claims: AddressClaims,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let mut checker = Checker::new(args.trust.load()?);
    if let Some(folder) = &args.attestations {
        bulk::learn_folder(&mut checker, folder)?;
    }
    if let Some(file) = &args.attestation {
        let document = input::read_document(file)?;
        checker.learn(DocumentHash::of(&document), &document);
    }
    let Some(certificate) = &args.certificate else {
        let file = args.addresses.as_deref().unwrap_or(Path::new(input::STDIN));
        return bulk::run(&checker, file, &args.expect, screen);
    };
    let claims = match read(certificate)? {
        Given::Certificate(jws) => checker.certificate(&jws)?,
        Given::Object(address) => checker.address(&address)?,
    };
    args.expect.check(&claims)?;
    screen.show(&Answer { verified: true, claims })
}

enum Given {
    Certificate(String),
    Object(Box<Address>),
}

/// The argument itself when it is a JWS, else the file that it names.
fn read(argument: &str) -> Result<Given, Error> {
    if is_jws(argument) {
        return Ok(Given::Certificate(argument.to_owned()));
    }
    let text = input::read_text(Path::new(argument), MAX_FILE)?;
    let text = text.trim();
    if !text.starts_with('{') {
        return Ok(Given::Certificate(text.to_owned()));
    }
    serde_json::from_str(text).map(|address| Given::Object(Box::new(address))).map_err(|error| {
        Error::input(argument, format_args!("an address object of the API was expected: {error}"))
    })
}

/// Every JWS begins with the base64url of `{"`.
fn is_jws(text: &str) -> bool {
    text.starts_with("eyJ") && text.split('.').count() == 3
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        let claims = &self.claims;
        sheet.good("verified: made inside the attested enclave");
        sheet.row("address", &claims.address);
        if let Some(taproot) = &claims.taproot_address {
            sheet.row("taproot", taproot);
        }
        sheet.row("chain", claims.chain.as_str());
        sheet.row("user", claims.user.as_str());
        sheet.row("index", claims.index.to_string());
        sheet.row("purpose", claims.purpose.as_str());
        if let Some(label) = &claims.label {
            sheet.row("label", label.as_str());
        }
        sheet.row("deployment", claims.deployment.as_str());
        sheet.row("key id", claims.key_id.to_string());
        sheet.row("public key", &claims.public_key);
        sheet.row("issued at", clock::format(claims.iat.saturating_mul(1000)));
        sheet.row("PCR0", claims.pcr0.to_string());
        sheet.row("attestation", claims.attestation.to_string());
    }
}
