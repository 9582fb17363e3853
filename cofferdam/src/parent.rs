//! Which parent is asked, and by whom, as arguments.

use std::path::PathBuf;

use clap::Args;
use client::{Client, ClientError, Identity, Url};
use protocol::Deployment;

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
    keys::{self, Role},
};

/// Where the parent is, and who asks it.
#[derive(Debug, Args)]
pub(crate) struct ParentArgs {
    /// The parent's address, such as https://parent.internal:8080
    #[arg(long, visible_alias = "parent", value_name = "URL", env = "COFFERDAM_URL")]
    url: Url,
    /// The authority of the parent's TLS certificate in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    identity: IdentityArgs,
}

impl ParentArgs {
    /// From options of a command's own.
    pub(crate) const fn new(url: Url, ca: Option<PathBuf>, identity: IdentityArgs) -> Self {
        Self { url, ca, identity }
    }

    /// A parent on this machine, without TLS.
    pub(crate) const fn local(url: Url, identity: IdentityArgs) -> Self {
        Self { url, ca: None, identity }
    }

    /// The parent's address, for people.
    pub(crate) fn shown_url(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// Reads the files, and asks the parent.
    pub(crate) fn client(&self) -> Result<Client, Error> {
        let authorities = self.ca.as_deref().map(|file| input::read(file, MAX_TEXT)).transpose()?;
        let identity = self.identity.load()?;
        Client::new(self.url.clone(), authorities.as_deref(), identity).map_err(|error| {
            match (error, &self.ca) {
                (ClientError::Authorities, Some(file)) => {
                    Error::input(file.display(), "certificates in PEM were expected")
                }
                (error, _) => error.into(),
            }
        })
    }

    /// The deployment that is asked.
    pub(crate) fn deployment(&self) -> Result<&Deployment, Error> {
        self.identity.deployment()
    }
}

/// Who asks.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct IdentityArgs {
    /// The client's private key, which signs every request that takes a role (Ed25519, PKCS#8 PEM)
    #[arg(long, value_name = "FILE", env = "COFFERDAM_CLIENT_KEY", help_heading = "Who asks")]
    client_key: Option<PathBuf>,
    /// The client's name in the policy
    #[arg(long, value_name = "ID", env = "COFFERDAM_CLIENT_ID", help_heading = "Who asks")]
    client_id: Option<String>,
    /// The deployment that is asked
    #[arg(long, value_name = "NAME", env = "COFFERDAM_DEPLOYMENT", help_heading = "Who asks")]
    deployment: Option<Deployment>,
}

impl IdentityArgs {
    /// A client of a deployment.
    pub(crate) fn of(client_key: PathBuf, client_id: &str, deployment: Deployment) -> Self {
        let (client_key, client_id) = (Some(client_key), Some(client_id.to_owned()));
        Self { client_key, client_id, deployment: Some(deployment) }
    }

    /// Whether a client is named.
    pub(crate) const fn is_given(&self) -> bool {
        self.client_key.is_some() || self.client_id.is_some()
    }

    /// The deployment, for what is bound to it.
    pub(crate) fn deployment(&self) -> Result<&Deployment, Error> {
        self.deployment
            .as_ref()
            .ok_or_else(|| Error::input("--deployment", "the deployment's name was expected"))
    }

    /// Reads the key. Nobody, when no client is named.
    fn load(&self) -> Result<Option<Identity>, Error> {
        match (&self.client_key, &self.client_id, &self.deployment) {
            (None, None, _) => Ok(None),
            (Some(key), Some(id), Some(deployment)) => {
                let key = keys::signing_key(key, Role::Client)?;
                let identity = Identity::new(key, id, deployment);
                identity.map(Some).map_err(|error| Error::input("--client-id", error))
            }
            _ => Err(nobody()),
        }
    }
}

/// What a request that takes a role needs.
fn nobody() -> Error {
    Error::input(
        "--client-key, --client-id and --deployment",
        "all three were expected: a client's signature is on every request that takes a role",
    )
}

impl From<ClientError> for Error {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Url { expected, found } => {
                Self::input("--url", format_args!("{expected} was expected, found {found}"))
            }
            ClientError::Nobody => nobody(),
            ClientError::Problem(problem) => Self::Problem(problem),
            ClientError::Parent(text) => Self::Parent(text),
            ClientError::Request(error) => Self::input("the request", error),
            error @ (ClientError::Authorities | ClientError::Random(_) | ClientError::Json(_)) => {
                Self::Failed(error.to_string())
            }
        }
    }
}
