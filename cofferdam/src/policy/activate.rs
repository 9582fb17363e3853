//! `cofferdam policy activate`: operators' word that one boot may sign (`activation = "quorum"`).
//! Whoever signs names the boot himself, also on an envelope that others have signed.

use std::path::PathBuf;

use attestation::DocumentHash;
use clap::Args;
use protocol::{
    dsse::{ACTIVATION_TYPE, Envelope},
    policy::ActivationStatement,
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    clock,
    error::Error,
    operator::{self, Delivery, DeliveryArgs, Signed, SignerArgs},
    output::{Screen, Sheet, Show},
};

/// Arguments of `policy activate`.
#[derive(Debug, Args)]
pub(crate) struct ActivateArgs {
    /// SHA-256 of the boot's attestation document, which you verified
    #[arg(long, value_name = "HASH")]
    boot: DocumentHash,
    /// The lowest version of a policy that the boot may sign under: the one that its attestation
    /// names. An older one that a host shows later does not count
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u64).range(1..))]
    policy_version: u64,
    /// The envelope that others have signed; it must be for the same boot
    #[arg(long, value_name = "FILE")]
    cosign: Option<PathBuf>,
    #[command(flatten)]
    signer: SignerArgs,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

#[derive(Debug, Serialize)]
struct Answer {
    deployment: String,
    boot: String,
    policy_version: u64,
    issued_at: String,
    #[serde(flatten)]
    signed: Signed,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<PathBuf>,
    /// As the parent answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<Value>,
}

pub(super) async fn run(args: &ActivateArgs, screen: &Screen) -> Result<(), Error> {
    let deployment = args.delivery.deployment()?;
    let delivery = args.delivery.load()?;
    let keys = args.signer.load(screen)?;
    let (statement, mut envelope) = match &args.cosign {
        Some(file) => {
            let given = operator::read(file, ACTIVATION_TYPE)?;
            let statement = ActivationStatement::parse(&given.payload)
                .map_err(|error| Error::input(file.display(), error))?;
            if given.bare
                || statement.boot != args.boot
                || statement.deployment != *deployment
                || statement.policy_version != Some(args.policy_version)
            {
                let expected = "the envelope of an activation of this boot of this deployment, for this version of a policy, was expected";
                return Err(Error::input(file.display(), expected));
            }
            (statement, given.envelope)
        }
        None => {
            let issued_at = clock::timestamp()?;
            let statement = ActivationStatement {
                v: 1,
                deployment: deployment.clone(),
                boot: args.boot,
                policy_version: Some(args.policy_version),
                issued_at,
            };
            let envelope = Envelope::new(ACTIVATION_TYPE, &statement.payload());
            (statement, envelope)
        }
    };
    let signed = Signed::with(&mut envelope, &keys)?;
    let mut answer = Answer {
        deployment: statement.deployment.to_string(),
        boot: statement.boot.to_string(),
        policy_version: args.policy_version,
        issued_at: statement.issued_at.to_string(),
        signed,
        out: None,
        answer: None,
    };
    match delivery {
        Delivery::File(file) => {
            if !operator::deliver(&file, &envelope, screen)? {
                return Ok(());
            }
            answer.out = Some(file);
        }
        Delivery::Parents(parents) => {
            // A boot has one enclave.
            let [to] = &parents[..] else {
                let found = parents.len();
                return Err(Error::input(
                    "--url",
                    format_args!("the boot's one parent was expected, found {found}"),
                ));
            };
            let body = envelope.to_json().into_bytes();
            answer.answer = Some(to.client.put_bytes(&["activation"], body).await?);
        }
    }
    screen.show(&answer)
}

impl Show for Answer {
    fn show(&self, sheet: &mut Sheet) {
        self.signed.show(&format!("this boot of {} may sign", self.deployment), sheet);
        sheet.row("boot", &self.boot);
        sheet.row("policy from version", self.policy_version.to_string());
        sheet.row("issued at", &self.issued_at);
        match &self.out {
            Some(out) => sheet.row("written to", out.display().to_string()),
            None => sheet.good("the parent took it"),
        }
    }
}
