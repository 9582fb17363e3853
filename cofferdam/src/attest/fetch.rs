//! `cofferdam attestation fetch`: asks a parent for a document with a fresh nonce.

use std::{
    fs,
    path::{Path, PathBuf},
};

use attestation::{AttestationDoc, PcrIndex, Verified, nsm::MAX_REQUEST_FIELD, verify::Match};
use clap::Args;
use data_encoding::HEXLOWER;
use rand::{TryRng, rngs::SysRng};
use serde::Serialize;

use super::verify::{BoundArgs, VerifiedDocument, check_config, live, verify};
use crate::{
    clock,
    error::Error,
    input::{self, Hex, MAX_DOCUMENT, MAX_TEXT, STDIN},
    output::{Screen, Sheet, Show},
    parent::ParentArgs,
    trust::TrustArgs,
};
use client::Client;
use verifier::{Bindings, Refused, Trust};

/// Bytes of a fresh nonce.
const NONCE: usize = 32;
/// The age that a document of a moment ago may have, in seconds: the nonce bounds it already.
const MAX_AGE: u64 = 300;

/// Arguments of `attestation fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// The nonce, 1 to 512 bytes, in place of 32 fresh random ones
    #[arg(long, value_name = "HEX", value_parser = input::hex)]
    nonce: Option<Hex>,
    /// Where to write the document; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    bound: BoundArgs,
}

#[derive(Debug, Serialize)]
struct Answer {
    out: PathBuf,
    nonce: String,
    sha256: String,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Verified(Box<VerifiedDocument>),
    Unverified { verified: bool },
}

pub(super) async fn run(args: &FetchArgs, screen: &Screen) -> Result<(), Error> {
    let trust = args.trust.is_given().then(|| args.trust.load()).transpose()?;
    let client = args.parent.client()?;
    let nonce = match &args.nonce {
        Some(nonce) if !(1..=MAX_REQUEST_FIELD).contains(&nonce.0.len()) => {
            return Err(Error::input(
                "--nonce",
                format_args!("1 to {MAX_REQUEST_FIELD} bytes were expected"),
            ));
        }
        Some(nonce) => nonce.0.clone(),
        None => fresh_nonce()?.to_vec(),
    };
    let nonce_hex = HEXLOWER.encode(&nonce);
    let document = client.bytes(&["attestation"], &[("nonce", &nonce_hex)], MAX_DOCUMENT).await?;
    let parsed = AttestationDoc::parse(&document)
        .map_err(|error| Error::Parent(format!("an attestation document was expected: {error}")))?;
    // Before it is verified: one that does not verify is evidence.
    let to_stdout = args.out.as_os_str() == STDIN;
    if to_stdout {
        screen.bytes(&document)?;
    } else {
        let failed =
            |error| Error::input(args.out.display(), format_args!("a writable file was expected: {error}"));
        fs::write(&args.out, &document).map_err(failed)?;
    }
    let result = match trust {
        Some(trust) => {
            let freshness = live(clock::now(), MAX_AGE);
            Outcome::Verified(Box::new(verify(&trust, &document, freshness, Some(&nonce), &args.bound)?))
        }
        None if parsed.nonce() != Some(&nonce) => {
            return Err(Refused::new("nonce", "nonce: the one that was sent was expected").into());
        }
        None => Outcome::Unverified { verified: false },
    };
    let answer =
        Answer { out: args.out.clone(), nonce: nonce_hex, sha256: parsed.hash().to_string(), result };
    if to_stdout { Ok(()) } else { screen.show(&answer) }
}

/// A document that an enclave signed a moment ago, for a nonce that was never used before.
pub(crate) struct Live {
    /// The document.
    pub(crate) doc: Verified<AttestationDoc>,
    /// What it had to repeat.
    pub(crate) nonce: [u8; NONCE],
    /// Which registers were compared with an accepted image.
    pub(crate) compared: Vec<PcrIndex>,
}

/// Asks an enclave that runs now, with a fresh nonce, and verifies what it answers.
pub(crate) async fn ask(trust: &Trust, client: &Client) -> Result<Live, Error> {
    let nonce = fresh_nonce()?;
    let text = HEXLOWER.encode(&nonce);
    let document = client.bytes(&["attestation"], &[("nonce", &text)], MAX_DOCUMENT).await?;
    let bindings = Bindings { nonce: Match::Exactly(&nonce), ..Bindings::ANYTHING };
    let (doc, image) = trust.verify(&document, live(clock::now(), MAX_AGE), bindings)?;
    Ok(Live { doc, nonce, compared: image.registers.keys().copied().collect() })
}

/// Verifies an enclave that runs now: a fresh nonce and, where it is named, the measured
/// configuration in a file.
pub(crate) async fn fresh(trust: &Trust, client: &Client, config: Option<&Path>) -> Result<(), Error> {
    let live = ask(trust, client).await?;
    match config {
        Some(config) => Ok(check_config(&live.doc, &input::read(config, MAX_TEXT)?)?),
        None => Ok(()),
    }
}

/// Random bytes from the system.
fn fresh_nonce() -> Result<[u8; NONCE], Error> {
    let mut nonce = [0; NONCE];
    SysRng
        .try_fill_bytes(&mut nonce)
        .map_err(|error| Error::Failed(format!("the system's random numbers were expected: {error}")))?;
    Ok(nonce)
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        match &self.result {
            Outcome::Verified(document) => document.show(sheet),
            Outcome::Unverified { .. } => {
                sheet.warn("NOT VERIFIED: no image was named; give --pcr 0=HEX of your own build");
                sheet.row("nonce", &self.nonce);
            }
        }
        sheet.plain("");
        sheet.row("written to", self.out.display().to_string());
    }
}
