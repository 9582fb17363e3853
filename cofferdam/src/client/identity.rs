//! Who asks: the key that signs requests (RFC 9421, `docs/requests.md`), the client's name in the
//! policy, and the deployment that is asked. What is signed is what goes over the wire, byte for
//! byte; a request that is sent again is signed again, with a nonce of its own.

use std::{fmt, path::PathBuf};

use clap::Args;
use data_encoding::HEXLOWER;
use protocol::{
    Deployment,
    log::ContentHash,
    request::{SignedHeaders, SignedRequest, Signer},
};
use rand::{TryRng, rngs::SysRng};
use reqwest::{Method, Url};

use crate::{
    clock,
    error::Error,
    keys::{self, Role},
};

/// Random bytes of a nonce: 32 hexadecimal digits.
const NONCE: usize = 16;

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
    pub(super) fn load(&self) -> Result<Option<Identity>, Error> {
        match (&self.client_key, &self.client_id, &self.deployment) {
            (None, None, _) => Ok(None),
            (Some(key), Some(id), Some(deployment)) => {
                let key = keys::signing_key(key, Role::Client)?;
                let signer = Signer::new(key, id, format!("cofferdam:{deployment}"));
                let signer = signer.map_err(|error| Error::input("--client-id", error))?;
                Ok(Some(Identity { id: id.clone(), signer }))
            }
            _ => Err(nobody()),
        }
    }
}

/// What a request that takes a role needs.
pub(super) fn nobody() -> Error {
    Error::input(
        "--client-key, --client-id and --deployment",
        "all three were expected: a client's signature is on every request that takes a role",
    )
}

/// Signs requests.
pub(super) struct Identity {
    id: String,
    signer: Signer,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Identity {
    /// The headers of one attempt, and what identifies it.
    pub(super) fn sign(
        &self,
        method: &Method,
        url: &Url,
        body: &[u8],
    ) -> Result<(SignedHeaders, ContentHash), Error> {
        let mut nonce = [0; NONCE];
        SysRng
            .try_fill_bytes(&mut nonce)
            .map_err(|error| Error::Failed(format!("the system's random numbers were expected: {error}")))?;
        let (now, nonce) = (clock::now() / 1000, HEXLOWER.encode(&nonce));
        let unusable = |error| Error::input("the request", error);
        let (method, path, query) = (method.as_str(), url.path(), url.query());
        let headers = self.signer.sign(method, path, query, body, now, &nonce).map_err(unusable)?;
        // As the enclave will read it.
        let request = SignedRequest {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.map(str::to_owned),
            signature_input: headers.signature_input.clone(),
            signature: headers.signature.clone(),
            content_digest: headers.content_digest.clone(),
            body: body.to_vec().into(),
        };
        let hash = request.open().map_err(unusable)?.hash();
        Ok((headers, ContentHash::new(hash)))
    }
}
