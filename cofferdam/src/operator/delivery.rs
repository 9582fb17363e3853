//! Where a signed envelope goes: into a file, for others to sign or to be carried, or to a parent.

use std::path::{Path, PathBuf};

use clap::Args;
use protocol::{Deployment, dsse::Envelope};
use reqwest::Url;

use super::envelope::write_new;
use crate::{
    client::{Client, IdentityArgs, ParentArgs},
    error::Error,
    input::STDIN,
    output::Screen,
};

/// Where to, and which deployment it is for.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeliveryArgs {
    /// Write the envelope here, and send nothing; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Send it to the parent at this address, such as https://parent.internal:8080
    #[arg(long, visible_alias = "parent", value_name = "URL", env = "COFFERDAM_URL")]
    url: Option<Url>,
    /// The authority of the parent's TLS certificate in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
}

/// Where to.
pub(crate) enum Delivery {
    /// A new file, or standard output.
    File(PathBuf),
    /// A parent.
    Parent(Box<Client>),
}

impl DeliveryArgs {
    /// Which deployment the envelope is for.
    pub(crate) fn deployment(&self) -> Result<&Deployment, Error> {
        self.identity.deployment()
    }

    /// Found before anything is signed.
    pub(crate) fn load(&self) -> Result<Delivery, Error> {
        match (&self.out, &self.url) {
            (Some(file), _) => Ok(Delivery::File(file.clone())),
            (None, Some(url)) => {
                let parent = ParentArgs::new(url.clone(), self.ca.clone(), self.identity.clone());
                Ok(Delivery::Parent(Box::new(Client::new(&parent)?)))
            }
            (None, None) => {
                Err(Error::input("--out", "a file for the envelope was expected, or --url to send it"))
            }
        }
    }
}

/// Writes an envelope to a new file. Answers whether standard output is still free for an answer.
pub(crate) fn deliver(file: &Path, envelope: &Envelope, screen: &Screen) -> Result<bool, Error> {
    write_new(file, &envelope.to_json(), None, screen)?;
    Ok(file.as_os_str() != STDIN)
}
