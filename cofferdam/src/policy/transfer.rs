//! `cofferdam policy put` and `policy get`: to and from a parent. The parent believes nobody and is
//! believed by nobody: what counts are the operators' signatures.

use std::{collections::BTreeMap, path::PathBuf};

use chains::Chain;
use clap::Args;
use protocol::dsse::{Envelope, POLICY_TYPE};
use serde::{Deserialize, Serialize};

use super::{
    document::{Document, Named},
    verify,
};
use crate::{
    clock,
    error::Error,
    input::STDIN,
    operator::{self, Given, QuorumArgs},
    output::{Screen, Sheet, Show},
    parent::ParentArgs,
};
use verifier::Refused;

/// Arguments of `policy put`.
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// The policy's envelope; - is standard input
    #[arg(value_name = "ENVELOPE")]
    file: PathBuf,
    #[command(flatten)]
    parent: ParentArgs,
}

/// Arguments of `policy get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    parent: ParentArgs,
    /// Where to write the envelope; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    quorum: QuorumArgs,
}

/// What the API answers to a policy.
#[derive(Debug, Deserialize)]
struct Taken {
    sha256: String,
    active: bool,
}

/// What the API answers of the policy that is in the enclave.
#[derive(Debug, Deserialize)]
struct Held {
    envelope: Envelope,
    active: bool,
    crediting: BTreeMap<Chain, bool>,
}

#[derive(Debug, Serialize)]
struct Sent {
    #[serde(flatten)]
    named: Named,
    /// Whether it is in force, by the parent's word.
    active: bool,
}

#[derive(Debug, Serialize)]
struct Fetched {
    #[serde(flatten)]
    policy: Outcome,
    /// By the parent's word.
    active: bool,
    /// By the parent's word.
    crediting: BTreeMap<Chain, bool>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Outcome {
    Verified(Box<verify::Answer>),
    Unverified {
        verified: bool,
        #[serde(flatten)]
        named: Named,
    },
}

pub(super) async fn put(args: &PutArgs, screen: &Screen) -> Result<(), Error> {
    let document = Document::read(&args.file)?;
    if document.bare {
        return Err(Error::input(args.file.display(), "an envelope was expected: `policy sign` makes one"));
    }
    let client = args.parent.client()?;
    let body = document.envelope.to_json().into_bytes();
    let taken: Taken = client.put_bytes(&["policy"], body).await?;
    let named = document.named();
    if taken.sha256 != named.sha256 {
        return Err(Refused::new("answer", format!("the policy {} was expected", named.sha256)).into());
    }
    screen.show(&Sent { named, active: taken.active })
}

pub(super) async fn get(args: &GetArgs, screen: &Screen) -> Result<(), Error> {
    let measured = args.quorum.is_given().then(|| args.quorum.load()).transpose()?;
    let client = args.parent.client()?;
    let Held { envelope, active, crediting } = client.get(&["policy"], &[]).await?;
    let envelope = Envelope::parse(envelope.to_json().as_bytes(), POLICY_TYPE)
        .map_err(|error| Error::Parent(format!("the parent: a policy's envelope was expected: {error}")))?;
    let written = envelope.to_json();
    operator::write_new(&args.out, &written, None, screen)?;
    let payload = envelope.payload().map_err(|error| Refused::new(error.tag(), error.to_string()))?;
    let verified = measured.map(|measured| {
        let signed = envelope.verify(&measured.policy);
        signed.map(|_| measured).map_err(|error| Refused::new(error.tag(), error.to_string()))
    });
    let verified = verified.transpose()?;
    let document = Document::of(Given { envelope, payload, bare: false })?;
    let policy = match verified {
        Some(measured) => Outcome::Verified(Box::new(verify::verify(&document, &measured, clock::now())?)),
        None => Outcome::Unverified { verified: false, named: document.named() },
    };
    if args.out.as_os_str() == STDIN {
        return Ok(());
    }
    screen.show(&Fetched { policy, active, crediting })
}

impl Show for Sent {
    fn show(&self, sheet: &mut Sheet) {
        sheet.good("the parent took the policy");
        self.named.show(sheet);
        if !self.active {
            sheet.warn("the parent says that it is not in force yet: the boot waits for its activation");
        }
        sheet.note("whether it is in force, an attestation with a fresh nonce says: `attestation fetch`");
    }
}

impl Show for Fetched {
    fn show(&self, sheet: &mut Sheet) {
        match &self.policy {
            Outcome::Verified(answer) => answer.show(sheet),
            Outcome::Unverified { named, .. } => {
                sheet.warn("NOT VERIFIED: no operators were named; give --config enclave.toml");
                named.show(sheet);
            }
        }
        let credited: Vec<&str> =
            self.crediting.iter().filter(|(_, on)| **on).map(|(chain, _)| chain.as_str()).collect();
        sheet.plain("by the parent's word alone");
        sheet.row("in force", if self.active { "yes" } else { "no" });
        sheet.row(
            "credited on",
            if credited.is_empty() { "no chain".to_owned() } else { credited.join(", ") },
        );
    }
}
