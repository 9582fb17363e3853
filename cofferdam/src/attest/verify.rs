//! `cofferdam attestation verify`. What each check proves is told in `docs/attestation.md`.

use std::{path::PathBuf, time::Duration};

use attestation::{
    AttestationDoc, Verified,
    verify::{Freshness, Match},
};
use clap::Args;
use protocol::SessionBinding;
use serde::Serialize;
use sha2::{Digest, Sha384};

use super::describe::Description;
use crate::{
    clock,
    error::Error,
    input::{self, Hex, MAX_TEXT},
    output::{Screen, Sheet, Show},
    trust::TrustArgs,
};
use verifier::{Bindings, Image, Refused, Trust};

/// How far this machine's clock may be behind the NSM's. No more than what the leaf certificate
/// allows, which begins about three seconds before the first document that it signs.
const SKEW: Duration = Duration::from_secs(3);

/// Arguments of `attestation verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The document (COSE_Sign1); - is standard input
    #[arg(long, value_name = "FILE")]
    document: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// The nonce that the document must answer
    #[arg(long, value_name = "HEX", value_parser = input::hex)]
    nonce: Option<Hex>,
    #[command(flatten)]
    bound: BoundArgs,
    /// Verify as of this time in place of now (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = clock::parse, conflicts_with = "archived")]
    at: Option<u64>,
    /// Verify as of the document's own time: that it was genuine then, nothing about today
    #[arg(long, conflicts_with = "max_age")]
    archived: bool,
    /// How old the document may be, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    max_age: u64,
}

/// What the enclave must have bound, beside the nonce.
#[derive(Debug, Default, Args)]
pub(super) struct BoundArgs {
    /// The public key that the document must bind: DER in hexadecimal, or ed25519:HEX
    #[arg(long, value_name = "HEX", value_parser = input::public_key)]
    public_key: Option<Hex>,
    /// The user data that the document must bind
    #[arg(long, value_name = "HEX", value_parser = input::hex)]
    user_data: Option<Hex>,
    /// The measured configuration whose SHA-384 the session binding must name
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(args: &VerifyArgs, screen: &Screen) -> Result<(), Error> {
    let trust = args.trust.load()?;
    let bytes = input::read_document(&args.document)?;
    let freshness = if args.archived {
        Freshness::Archived
    } else {
        live(args.at.unwrap_or_else(clock::now), args.max_age)
    };
    let nonce = args.nonce.as_ref().map(|nonce| nonce.0.as_slice());
    screen.show(&verify(&trust, &bytes, freshness, nonce, &args.bound)?)
}

/// An enclave that runs at `now`.
pub(super) fn live(now: u64, max_age_seconds: u64) -> Freshness {
    Freshness::Live { now, max_age: Duration::from_secs(max_age_seconds), skew: SKEW }
}

/// Verifies everything that is named.
pub(super) fn verify(
    trust: &Trust,
    document: &[u8],
    freshness: Freshness,
    nonce: Option<&[u8]>,
    bound: &BoundArgs,
) -> Result<VerifiedDocument, Error> {
    let config = bound.config.as_deref().map(|file| input::read(file, MAX_TEXT)).transpose()?;
    let exactly = |bytes: Option<&'_ Hex>| bytes.map(|hex| hex.0.clone());
    let (public_key, user_data) = (exactly(bound.public_key.as_ref()), exactly(bound.user_data.as_ref()));
    let bindings = Bindings {
        nonce: matching(nonce),
        public_key: matching(public_key.as_deref()),
        user_data: matching(user_data.as_deref()),
    };
    let (doc, image) = trust.verify(document, freshness, bindings)?;
    if let Some(config) = &config {
        check_config(&doc, config)?;
    }
    let checked = Checked::new(trust, image, freshness, nonce.is_some(), bound);
    Ok(VerifiedDocument { verified: true, checked, document: Description::of(&doc) })
}

fn matching(bytes: Option<&[u8]>) -> Match<'_> {
    bytes.map_or(Match::Anything, Match::Exactly)
}

/// The session binding names the SHA-384 of the configuration file's bytes.
pub(crate) fn check_config(doc: &Verified<AttestationDoc>, config: &[u8]) -> Result<(), Refused> {
    let binding = SessionBinding::decode(doc.user_data().unwrap_or_default())
        .map_err(|_| Refused::new("config", "user_data: a session binding of version 1 was expected"))?;
    let hash: [u8; 48] = Sha384::digest(config).into();
    if binding.config.as_slice() == hash {
        Ok(())
    } else {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let (expected, found) = (hex(&hash), hex(binding.config.as_slice()));
        Err(Refused::new(
            "config",
            format!("a configuration with SHA-384 {expected} was expected, found {found}"),
        ))
    }
}

/// A document that verified, and for what.
#[derive(Debug, Serialize)]
pub(super) struct VerifiedDocument {
    verified: bool,
    checked: Checked,
    document: Description,
}

/// What was compared, so that nobody believes more than that.
#[derive(Debug, Serialize)]
struct Checked {
    root: String,
    #[serde(skip)]
    root_name: &'static str,
    pcrs: Vec<u8>,
    time: Time,
    nonce: bool,
    public_key: bool,
    user_data: bool,
    config: bool,
}

#[derive(Debug, Serialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
enum Time {
    Live { at: String, max_age_seconds: u64, skew_seconds: u64 },
    Archived,
}

impl Checked {
    /// Remembers what was compared.
    fn new(trust: &Trust, image: &Image, freshness: Freshness, nonce: bool, bound: &BoundArgs) -> Self {
        let time = match freshness {
            Freshness::Archived => Time::Archived,
            Freshness::Live { now, max_age, skew } => Time::Live {
                at: clock::format(now),
                max_age_seconds: max_age.as_secs(),
                skew_seconds: skew.as_secs(),
            },
        };
        Self {
            root: trust.fingerprint(),
            root_name: trust.root_name(),
            pcrs: image.registers.keys().map(|index| index.get()).collect(),
            time,
            nonce,
            public_key: bound.public_key.is_some(),
            user_data: bound.user_data.is_some(),
            config: bound.config.is_some(),
        }
    }

    fn show(&self, sheet: &mut Sheet) {
        sheet.row("root", format!("{} ({})", self.root_name, self.root));
        let registers: Vec<String> = self.pcrs.iter().map(|index| format!("PCR{index}")).collect();
        sheet.row("image", format!("{} as expected", registers.join(", ")));
        match &self.time {
            Time::Archived => sheet.row("time", "the document's own: genuine then, nothing about today"),
            Time::Live { at, max_age_seconds, skew_seconds } => sheet
                .row("time", format!("at most {max_age_seconds} s old at {at} (and {skew_seconds} s ahead)")),
        }
        let pairs = [
            ("nonce", self.nonce),
            ("public key", self.public_key),
            ("user data", self.user_data),
            ("configuration", self.config),
        ];
        let list = |wanted| {
            let names: Vec<&str> =
                pairs.iter().filter(|(_, c)| *c == wanted).map(|(name, _)| *name).collect();
            names.join(", ")
        };
        if pairs.iter().any(|(_, compared)| *compared) {
            sheet.row("compared", list(true));
        }
        if pairs.iter().any(|(_, compared)| !compared) {
            sheet.row("not compared", list(false));
        }
    }
}

impl Show for VerifiedDocument {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("verified");
        self.checked.show(sheet);
        sheet.plain("");
        self.document.show(sheet);
    }
}
