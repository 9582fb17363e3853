//! Where a signed envelope goes: into a file, for others to sign or to be carried, or to a parent.

use std::path::{Path, PathBuf};

use clap::Args;
use client::Url;
use protocol::{Deployment, dsse::Envelope};

use super::envelope::write_new;
use crate::{
    error::Error,
    input::STDIN,
    output::Screen,
    parent::{IdentityArgs, ParentArgs},
};
use client::Client;

/// Where to, and which deployment it is for.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeliveryArgs {
    /// Write the envelope here, and send nothing; - is standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Send it to the parent at this address, such as https://parent.internal:8080. An order may be sent
    /// to several: give each, here or with commas in the environment
    #[arg(long, visible_alias = "parent", value_name = "URL", env = "COFFERDAM_URL", value_delimiter = ',')]
    url: Vec<Url>,
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
    /// Parents: at least one.
    Parents(Vec<To>),
}

/// A parent that an envelope is sent to.
pub(crate) struct To {
    /// Its address, for people.
    pub(crate) url: String,
    /// How it is asked.
    pub(crate) client: Client,
}

impl DeliveryArgs {
    /// Which deployment the envelope is for.
    pub(crate) fn deployment(&self) -> Result<&Deployment, Error> {
        self.identity.deployment()
    }

    /// Found before anything is signed.
    pub(crate) fn load(&self) -> Result<Delivery, Error> {
        if let Some(file) = &self.out {
            return Ok(Delivery::File(file.clone()));
        }
        if self.url.is_empty() {
            return Err(Error::input("--out", "a file for the envelope was expected, or --url to send it"));
        }
        if let Some(twice) =
            self.url.iter().enumerate().find(|(at, url)| self.url.iter().take(*at).any(|one| one == *url))
        {
            return Err(Error::input(
                "--url",
                format_args!("each parent once was expected, found {} twice", twice.1),
            ));
        }
        let to = |url: &Url| {
            let parent = ParentArgs::new(url.clone(), self.ca.clone(), self.identity.clone());
            Ok(To { url: parent.shown_url(), client: parent.client()? })
        };
        self.url.iter().map(to).collect::<Result<_, Error>>().map(Delivery::Parents)
    }
}

/// Writes an envelope to a new file. Answers whether standard output is still free for an answer.
pub(crate) fn deliver(file: &Path, envelope: &Envelope, screen: &Screen) -> Result<bool, Error> {
    write_new(file, &envelope.to_json(), None, screen)?;
    Ok(file.as_os_str() != STDIN)
}
