//! The parent's HTTP API, `/v1`. Nothing that it answers is believed: bodies are bounded and
//! parsed strictly, and what has to be proven is verified by whoever asks. What takes a role is
//! signed by the client.

mod identity;
mod problem;
mod retry;

use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use protocol::{Deployment, api::Route, log::ContentHash};
use reqwest::{Method, Response, Url};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    input::{self, MAX_TEXT},
};

pub(crate) use identity::IdentityArgs;
use identity::{Identity, nobody};
pub(crate) use problem::Problem;

/// The most bytes of a JSON answer: a batch of 1,000 addresses is about 1.5 MB.
pub(crate) const MAX_JSON: u64 = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A batch of 1,000 keys takes seconds, not minutes.
const TIMEOUT: Duration = Duration::from_secs(60);

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

    /// The deployment that is asked.
    pub(crate) fn deployment(&self) -> Result<&Deployment, Error> {
        self.identity.deployment()
    }
}

/// Asks one parent.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    identity: Option<Arc<Identity>>,
}

impl Client {
    /// Asks the parent at this address.
    pub(crate) fn new(args: &ParentArgs) -> Result<Self, Error> {
        if !matches!(args.url.scheme(), "http" | "https") || args.url.cannot_be_a_base() {
            return Err(Error::input("--url", "a URL of http or https was expected"));
        }
        // The path is signed, and the enclave reads it: nothing on the way may change it.
        if args.url.path() != "/" || args.url.query().is_some() || args.url.fragment().is_some() {
            return Err(Error::input("--url", "a URL without a path was expected"));
        }
        let identity = args.identity.load()?.map(Arc::new);
        // Fails only where a provider is installed already, which is then this one.
        let _ =
            rustls::crypto::CryptoProvider::install_default(rustls::crypto::aws_lc_rs::default_provider());
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")));
        let builder = match &args.ca {
            Some(file) => {
                let pem = input::read(file, MAX_TEXT)?;
                let authorities = reqwest::Certificate::from_pem_bundle(&pem).unwrap_or_default();
                if authorities.is_empty() {
                    return Err(Error::input(file.display(), "certificates in PEM were expected"));
                }
                builder.tls_certs_only(authorities)
            }
            // Without TLS the system's authorities are not needed, and may be absent.
            None if args.url.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let http = builder.build().map_err(|error| Error::Failed(told(&error)))?;
        Ok(Self { http, base: args.url.clone(), identity })
    }

    /// GET of bytes.
    pub(crate) async fn bytes(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: u64,
    ) -> Result<Vec<u8>, Error> {
        let response = self.send(Method::GET, self.url(path, query)?, None).await?;
        body(response, limit).await
    }

    /// GET of JSON.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, Error> {
        decode(&self.bytes(path, query, MAX_JSON).await?)
    }

    /// POST of JSON. Every operation of the API is harmless when repeated, so this is retried too.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        value: &impl Serialize,
    ) -> Result<T, Error> {
        self.post_bytes(path, encode(value)?).await
    }

    /// POST of JSON that is written already, such as an envelope.
    pub(crate) async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        json: Vec<u8>,
    ) -> Result<T, Error> {
        let response = self.send(Method::POST, self.url(path, &[])?, Some(json.into())).await?;
        decode(&body(response, MAX_JSON).await?)
    }

    /// POST without a body: the answer's bytes, and what identifies the request that was answered. Of
    /// attempts that were repeated, it is the last one's.
    pub(crate) async fn post_signed(
        &self,
        path: &[&str],
        limit: u64,
    ) -> Result<(Vec<u8>, ContentHash), Error> {
        let mut request = None;
        let response = self.send_as(Method::POST, self.url(path, &[])?, None, &mut request).await?;
        let request = request.ok_or_else(nobody)?;
        Ok((body(response, limit).await?, request))
    }

    /// PUT of JSON that is written already.
    pub(crate) async fn put_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        json: Vec<u8>,
    ) -> Result<T, Error> {
        let response = self.send(Method::PUT, self.url(path, &[])?, Some(json.into())).await?;
        decode(&body(response, MAX_JSON).await?)
    }

    /// Whether a probe such as `readyz` answers with success right now.
    pub(crate) async fn probe(&self, path: &str) -> bool {
        let Ok(url) = self.base.join(path) else { return false };
        self.http.get(url).send().await.is_ok_and(|response| response.status().is_success())
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::input("--url", "a URL of http or https was expected"))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send(&self, method: Method, url: Url, json: Option<Arc<[u8]>>) -> Result<Response, Error> {
        self.send_as(method, url, json, &mut None).await
    }

    /// Sends; `identity` is that of the last attempt, where requests are signed.
    async fn send_as(
        &self,
        method: Method,
        url: Url,
        json: Option<Arc<[u8]>>,
        identity: &mut Option<ContentHash>,
    ) -> Result<Response, Error> {
        // Attestation documents are everyone's, and a policy's signatures are its own.
        let takes_a_role = Route::of(method.as_str(), url.path(), url.query()).is_some();
        let signer = takes_a_role.then(|| self.identity.as_deref().ok_or_else(nobody)).transpose()?;
        let content = json.as_deref().unwrap_or_default();
        let attempt = || {
            let mut request = self.http.request(method.clone(), url.clone());
            if let Some(signer) = signer {
                let (headers, hash) = signer.sign(&method, &url, content)?;
                *identity = Some(hash);
                request = request
                    .header("signature-input", headers.signature_input)
                    .header("signature", headers.signature)
                    .header("content-digest", headers.content_digest);
            }
            Ok(match &json {
                None => request.send(),
                Some(json) => request.header("content-type", "application/json").body(json.to_vec()).send(),
            })
        };
        let response = retry::retry(attempt).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = body(response, MAX_TEXT).await?;
        Err(Error::Problem(Box::new(Problem::read(status.as_u16(), &bytes))))
    }
}

/// Reads a body piece by piece, so that no more than `limit` is ever held.
async fn body(mut response: Response, limit: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Error::Parent(told(&error)))? {
        bytes.extend_from_slice(&piece);
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
            return Err(Error::Parent(format!(
                "the parent: an answer of at most {limit} bytes was expected"
            )));
        }
    }
    Ok(bytes)
}

/// JSON of something that this program made.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::Failed(error.to_string()))
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|error| Error::Parent(format!("the parent: an answer of its API was expected: {error}")))
}

/// An error of the HTTP client with its causes: the first alone says little.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = Vec::new();
    for text in causes.map(ToString::to_string) {
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    format!("the parent: {}", texts.join(": "))
}
