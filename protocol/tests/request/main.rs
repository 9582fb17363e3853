//! Signed requests as `docs/requests.md` has them: against independent clients, against hostile bytes, and
//! against the page itself.

mod documented;
mod hostile;
mod vectors;

use cofferdam_protocol::request::{SignedHeaders, SignedRequest, Signer};
use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::SigningKey;
use serde_bytes::ByteBuf;

/// A request as it is before it is signed.
struct Plain {
    method: String,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
}

impl Plain {
    /// From the whole target: path and query.
    fn new(method: &str, target: &str, body: &[u8]) -> Self {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        Self { method: method.into(), path: path.into(), query, body: body.into() }
    }

    fn with(&self, headers: SignedHeaders) -> SignedRequest {
        SignedRequest {
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.query.clone(),
            signature_input: headers.signature_input,
            signature: headers.signature,
            content_digest: headers.content_digest,
            body: ByteBuf::from(self.body.clone()),
        }
    }

    fn signed(&self, signer: &Signer, created: u64, nonce: &str) -> SignedRequest {
        let query = self.query.as_deref();
        self.with(signer.sign(&self.method, &self.path, query, &self.body, created, nonce).unwrap())
    }
}

/// From a seed in hexadecimal.
fn key(seed: &str) -> SigningKey {
    SigningKey::from_bytes(&HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap())
}

fn base64(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap()
}

/// A file of `tests/vectors/requests`.
fn vectors<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/../tests/vectors/requests/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}
