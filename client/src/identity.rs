//! Who asks: the key that signs requests (RFC 9421, `docs/requests.md`), the client's name in the
//! policy, and the deployment that is asked. What is signed is what goes over the wire, byte for
//! byte; a request that is sent again is signed again, with a nonce of its own.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use protocol::{
    Deployment,
    log::ContentHash,
    request::{RequestError, SignedHeaders, SignedRequest, Signer},
};
use rand::{TryRng, rngs::SysRng};
use reqwest::{Method, Url};

use crate::ClientError;

/// Random bytes of a nonce: 32 hexadecimal digits.
const NONCE: usize = 16;

/// A client of one deployment. Its key is wiped when it is dropped.
pub struct Identity {
    client: String,
    signer: Signer,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Identity {
    /// The client whose name in the policy is `client`, with its key.
    ///
    /// # Errors
    /// [`RequestError`] for a name that no policy can have.
    pub fn new(key: SigningKey, client: &str, deployment: &Deployment) -> Result<Self, RequestError> {
        let signer = Signer::new(key, client, format!("cofferdam:{deployment}"))?;
        Ok(Self { client: client.to_owned(), signer })
    }

    /// The headers of one attempt, and what identifies it.
    pub(crate) fn sign(
        &self,
        method: &Method,
        url: &Url,
        body: &[u8],
    ) -> Result<(SignedHeaders, ContentHash), ClientError> {
        let mut nonce = [0; NONCE];
        SysRng.try_fill_bytes(&mut nonce).map_err(|error| ClientError::Random(error.to_string()))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (now, nonce) = (since.as_secs(), HEXLOWER.encode(&nonce));
        let (method, path, query) = (method.as_str(), url.path(), url.query());
        let headers = self.signer.sign(method, path, query, body, now, &nonce)?;
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
        let hash = request.open()?.hash();
        Ok((headers, ContentHash::new(hash)))
    }
}
