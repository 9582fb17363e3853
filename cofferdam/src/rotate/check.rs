//! `cofferdam rotate check`: whether a phase of a rotation holds, and what may be done next.

use std::path::PathBuf;

use clap::Args;
use client::Url;
use kms_policies::Arn;

use super::{
    ImageArgs, Images,
    judgement::{Enclave, Judgement},
    key_arn,
    old::{self, probe},
    policy::{self, Phase, Subject},
    role_arn, shown,
};
use crate::{
    attest, clock,
    error::Error,
    output::Screen,
    parent::{IdentityArgs, ParentArgs},
    pins::PinArgs,
    records::{CoverageArgs, Expected, InventoryArgs, Runner, Survey},
    trust::TrustArgs,
};
use client::Client;

/// Arguments of `rotate check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Which phase should hold
    #[arg(long)]
    phase: Phase,
    #[command(flatten)]
    images: ImageArgs,
    /// The root certificate in PEM, in place of AWS Nitro Enclaves root G1
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The key policy in force, as `aws kms get-key-policy` gives it
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The KMS key
    #[arg(long, value_name = "ARN", value_parser = key_arn)]
    key: Arn,
    /// The role of the parents, with which enclaves ask KMS
    #[arg(long, value_name = "ARN", value_parser = role_arn)]
    role: Arn,
    #[command(flatten)]
    pins: PinArgs,
    /// A parent whose enclave must run the new image. May be given several times: all of them open
    /// records, in turn
    #[arg(
        long = "url",
        visible_alias = "parent",
        value_name = "URL",
        required = true,
        env = "COFFERDAM_URL"
    )]
    urls: Vec<Url>,
    /// In phase new: a parent whose enclave still runs the old image, and must be refused by KMS
    #[arg(long, value_name = "URL")]
    old_url: Option<Url>,
    /// The authority of the parents' TLS certificates in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
    #[command(flatten)]
    keys: InventoryArgs,
    #[command(flatten)]
    coverage: CoverageArgs,
}

pub(super) async fn run(args: &CheckArgs, screen: &Screen) -> Result<(), Error> {
    if args.old_url.is_some() && args.phase == Phase::Both {
        return Err(Error::input(
            "--old-url",
            "--phase new was expected: before it the old image is allowed",
        ));
    }
    let images = args.images.load()?;
    let deployment = args.identity.deployment()?;
    let subject = Subject { key: &args.key, role: &args.role, deployment, places: args.pins.places() };
    let decided = policy::decide(&policy::read(&args.policy)?, &subject, &images, args.phase)?;
    let new = TrustArgs::of_images(vec![args.images.to.clone()], args.root.clone());
    let clients = args.urls.iter().map(|url| args.client(url)).collect::<Result<Vec<_>, Error>>()?;
    let enclaves = attested(args, &clients, &new, &images).await?;
    let both = new.and(std::slice::from_ref(&args.images.from));
    let known = args.keys.read(&both, deployment, args.coverage.sample(), 0)?;
    let mut runner = Runner::new(&clients, deployment, new.load()?, args.coverage.in_flight());
    let tally = runner.run(&known.survey, known.tells_unlisted()).await?;
    let old = match &args.old_url {
        None => None,
        Some(url) => {
            let trust = TrustArgs::of_images(vec![args.images.from.clone()], args.root.clone());
            let keys = some(&known.survey)?;
            Some(probe(&args.client(url)?, url, &trust, deployment, &keys).await?)
        }
    };
    let judgement = Judgement {
        phase: args.phase,
        at: clock::now(),
        decided,
        enclaves,
        keys: known.survey.total,
        asked: known.survey.count(),
        all: known.survey.is_all(),
        log: known.log,
        tally,
        old,
    };
    screen.show(&judgement)?;
    if judgement.holds() { Ok(()) } else { Err(Error::Told) }
}

impl CheckArgs {
    fn client(&self, url: &Url) -> Result<Client, Error> {
        ParentArgs::new(url.clone(), self.ca.clone(), self.identity.clone()).client()
    }
}

/// Asks every parent's enclave for a fresh document.
async fn attested(
    args: &CheckArgs,
    clients: &[Client],
    new: &TrustArgs,
    images: &Images,
) -> Result<Vec<Enclave>, Error> {
    let (trust, old) = (new.load()?, TrustArgs::of_images(vec![args.images.from.clone()], args.root.clone()));
    let old = old.load()?;
    let mut enclaves = Vec::new();
    for (client, url) in clients.iter().zip(&args.urls) {
        let error = match attest::fresh(&trust, client, None).await {
            Ok(()) => None,
            Err(error) => match attest::fresh(&old, client, None).await {
                Ok(()) => Some(format!("it runs the old image: {}", pcr0(images))),
                Err(_) => Some(error.to_string()),
            },
        };
        enclaves.push(Enclave { url: shown(url).to_owned(), new: error.is_none(), error });
    }
    Ok(enclaves)
}

fn pcr0(images: &Images) -> String {
    let pcr0 = images.from.registers.get(&attestation::PcrIndex::IMAGE);
    pcr0.map_or_else(|| "PCR0 is not named".to_owned(), |pcr0| format!("PCR0 {pcr0}"))
}

/// Some of the keys that were looked at.
fn some(survey: &Survey) -> Result<Vec<Expected>, Error> {
    survey.keys().take(old::RECORDS).collect()
}
