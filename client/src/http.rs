//! The parent's HTTP API, `/v1`: bodies are bounded, parsed strictly, and believed by nobody.

use std::{sync::Arc, time::Duration};

use attestation::DocumentHash;
use protocol::{
    api::{AddressRequest, AddressesRequest, Route, TransactionToSign},
    log::ContentHash,
};
use reqwest::{Method, Response, Url};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Address, ClientError, Identity, Problem, Signed, error::told, retry::retry};

/// The most bytes of a JSON answer: a batch of 1,000 addresses is about 1.5 MB.
pub const MAX_JSON: u64 = 16 << 20;
/// The longest attestation document.
const MAX_DOCUMENT: u64 = 0x3000;
/// The longest problem.
const MAX_PROBLEM: u64 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A batch of 1,000 keys takes seconds, not minutes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks one parent.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    identity: Option<Arc<Identity>>,
}

impl Client {
    /// Asks the parent at this address. TLS trusts `authorities` where they are given (certificates in
    /// PEM), else those of the system. Requests that take a role are signed by `identity`.
    ///
    /// # Errors
    /// [`ClientError::Url`] and [`ClientError::Authorities`].
    pub fn new(
        url: Url,
        authorities: Option<&[u8]>,
        identity: Option<Identity>,
    ) -> Result<Self, ClientError> {
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err(ClientError::Url {
                expected: "a URL of http or https",
                found: url.scheme().to_owned(),
            });
        }
        // The path is signed, and the enclave reads it: nothing on the way may change it.
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            let found = if url.path() == "/" { "a query or a fragment" } else { url.path() };
            return Err(ClientError::Url { expected: "a URL without a path", found: found.to_owned() });
        }
        // Fails only where a provider is installed already, which is then this one.
        let _ =
            rustls::crypto::CryptoProvider::install_default(rustls::crypto::aws_lc_rs::default_provider());
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cofferdam/", env!("CARGO_PKG_VERSION")));
        let builder = match authorities {
            Some(pem) => {
                let authorities = reqwest::Certificate::from_pem_bundle(pem).unwrap_or_default();
                if authorities.is_empty() {
                    return Err(ClientError::Authorities);
                }
                builder.tls_certs_only(authorities)
            }
            // Without TLS the system's authorities are not needed, and may be absent.
            None if url.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let http = builder.build().map_err(|error| ClientError::Parent(told(&error)))?;
        Ok(Self { http, base: url, identity: identity.map(Arc::new) })
    }

    /// GET of bytes.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn bytes(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
        limit: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let response = self.send(Method::GET, self.url(path, query)?, None).await?;
        body(response, limit).await
    }

    /// GET of JSON.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        decode(&self.bytes(path, query, MAX_JSON).await?)
    }

    /// POST of JSON. Every operation of the API is harmless when repeated, so this is retried too.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        value: &impl Serialize,
    ) -> Result<T, ClientError> {
        self.post_bytes(path, encode(value)?).await
    }

    /// POST of JSON that is written already, such as an envelope.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        json: Vec<u8>,
    ) -> Result<T, ClientError> {
        let response = self.send(Method::POST, self.url(path, &[])?, Some(json.into())).await?;
        decode(&body(response, MAX_JSON).await?)
    }

    /// POST without a body: the answer's bytes, and what identifies the request that was answered. Of
    /// attempts that were repeated, it is the last one's.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn post_signed(
        &self,
        path: &[&str],
        limit: u64,
    ) -> Result<(Vec<u8>, ContentHash), ClientError> {
        let mut request = None;
        let response = self.send_as(Method::POST, self.url(path, &[])?, None, &mut request).await?;
        let request = request.ok_or(ClientError::Nobody)?;
        Ok((body(response, limit).await?, request))
    }

    /// PUT of JSON that is written already.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn put_bytes<T: DeserializeOwned>(
        &self,
        path: &[&str],
        json: Vec<u8>,
    ) -> Result<T, ClientError> {
        let response = self.send(Method::PUT, self.url(path, &[])?, Some(json.into())).await?;
        decode(&body(response, MAX_JSON).await?)
    }

    /// An address for each of these, in their order. One that exists is answered again.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn addresses(&self, addresses: Vec<AddressRequest>) -> Result<Vec<Address>, ClientError> {
        #[derive(Deserialize)]
        struct Made {
            addresses: Vec<Address>,
        }
        let made: Made = self.post(&["addresses", "batch"], &AddressesRequest { addresses }).await?;
        Ok(made.addresses)
    }

    /// The attestation document with this hash: what certificates name. Verify what it binds.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn attestation(&self, hash: &DocumentHash) -> Result<Vec<u8>, ClientError> {
        self.bytes(&["attestations", &hash.to_string()], &[], MAX_DOCUMENT).await
    }

    /// Asks for a transaction's signature. What is answered is the parent's word: whoever broadcasts it
    /// has the network check its signature.
    ///
    /// # Errors
    /// [`ClientError`]; what the policy forbids is a [`Problem`] with its tag.
    pub async fn sign(&self, transaction: &TransactionToSign) -> Result<Signed, ClientError> {
        self.post(&["signatures"], transaction).await
    }

    /// Whether a probe such as `readyz` answers with success right now.
    pub async fn probe(&self, path: &str) -> bool {
        let Ok(url) = self.base.join(path) else { return false };
        self.http.get(url).send().await.is_ok_and(|response| response.status().is_success())
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Url, ClientError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| ClientError::Url {
                expected: "a URL of http or https",
                found: self.base.scheme().to_owned(),
            })?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }

    async fn send(&self, method: Method, url: Url, json: Option<Arc<[u8]>>) -> Result<Response, ClientError> {
        self.send_as(method, url, json, &mut None).await
    }

    /// Sends; `identity` is that of the last attempt, where requests are signed.
    async fn send_as(
        &self,
        method: Method,
        url: Url,
        json: Option<Arc<[u8]>>,
        identity: &mut Option<ContentHash>,
    ) -> Result<Response, ClientError> {
        // Attestation documents are everyone's, and a policy's signatures are its own.
        let takes_a_role = Route::from_request(method.as_str(), url.path(), url.query()).is_some();
        let signer = takes_a_role.then(|| self.identity.as_deref().ok_or(ClientError::Nobody)).transpose()?;
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
        let response = retry(attempt).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = body(response, MAX_PROBLEM).await?;
        Err(ClientError::Problem(Box::new(Problem::read(status.as_u16(), &bytes))))
    }
}

/// Reads a body piece by piece, so that no more than `limit` is ever held.
async fn body(mut response: Response, limit: u64) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| ClientError::Parent(told(&error)))? {
        bytes.extend_from_slice(&piece);
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
            return Err(ClientError::Parent(format!("the parent: an answer of more than {limit} bytes")));
        }
    }
    Ok(bytes)
}

/// JSON of something that this program made.
///
/// # Errors
/// [`ClientError::Json`], never for a type of the API.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(ClientError::Json)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(bytes).map_err(|error| {
        ClientError::Parent(format!("the parent: an answer of its API was expected: {error}"))
    })
}
