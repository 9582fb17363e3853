//! Who may have signed: from the root, over a boot's attestation document, to the key of its
//! checkpoints.

use attestation::{DocumentHash, verify::Freshness};
use clap::Args;
use protocol::{Deployment, log::Checkpoint};
use verifier::log::BootIdentity;

use crate::{error::Error, trust::TrustArgs};
use verifier::{Bindings, Refused, Trust};

/// What every command on the log is told.
#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    #[command(flatten)]
    trust: TrustArgs,
}

/// A root, the accepted images and the deployment.
#[derive(Debug)]
pub(crate) struct Judge {
    trust: Trust,
    deployment: Deployment,
}

impl JudgeArgs {
    /// Reads the files. Checkpoints are signed for the deployment.
    pub(super) fn load(&self, deployment: &Deployment) -> Result<Judge, Error> {
        Ok(Judge::new(self.trust.load()?, deployment.clone()))
    }
}

impl Judge {
    /// Of this root, these images and this deployment.
    pub(crate) const fn new(trust: Trust, deployment: Deployment) -> Self {
        Self { trust, deployment }
    }

    /// Verifies a boot's attestation document as of its own time.
    pub(super) fn identity(&self, boot: DocumentHash, document: &[u8]) -> Result<BootIdentity, Refused> {
        let (doc, _) = self.trust.verify(document, Freshness::Archived, Bindings::ANYTHING)?;
        if doc.hash() != boot {
            return Err(Refused::new("document", format!("the attestation document {boot} was expected")));
        }
        BootIdentity::of(&doc).map_err(|error| Refused::new("document", error.to_string()))
    }

    /// Verifies a checkpoint of this boot.
    pub(super) fn checkpoint(&self, checkpoint: &Checkpoint, identity: &BootIdentity) -> Result<(), Refused> {
        if checkpoint.head.boot != identity.boot {
            return Err(Refused::new(
                "signer",
                format!("a checkpoint of the boot {} was expected", identity.boot),
            ));
        }
        checkpoint
            .verify(&identity.session, &self.deployment)
            .map_err(|error| Refused::new("signer", error.to_string()))
    }

    /// The deployment.
    pub(super) const fn deployment(&self) -> &Deployment {
        &self.deployment
    }
}
