//! The client's side: signs requests as the enclave reads them.

use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};

use super::{
    MAX_BODY, RequestError, at_most, digest,
    input::{Component, check_name, check_nonce},
    signature::Covered,
    target,
};

/// The label of the signature. Any would do; it is not signed.
const LABEL: &str = "sig1";

/// Signs the requests of one client.
pub struct Signer {
    key: SigningKey,
    keyid: String,
    tag: String,
}

/// The values of the three headers of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `Signature-Input`
    pub signature_input: String,
    /// `Signature`
    pub signature: String,
    /// `Content-Digest`
    pub content_digest: String,
}

impl Signer {
    /// Signs with this key, for the client that the policy knows as `keyid`, to the deployment of `tag`
    /// (`cofferdam:` and its name). Both are 1 to [`super::MAX_NAME`] visible ASCII characters without `"` and
    /// `\`.
    ///
    /// # Errors
    /// [`RequestError::Malformed`]
    pub fn new(
        key: SigningKey,
        keyid: impl Into<String>,
        tag: impl Into<String>,
    ) -> Result<Self, RequestError> {
        let (keyid, tag) = (keyid.into(), tag.into());
        check_name(&keyid)?;
        check_name(&tag)?;
        Ok(Self { key, keyid, tag })
    }

    /// The headers of one request. `path` and `query` (without the `?`) are as they will be sent,
    /// `created_seconds` is in seconds since 1970, and `nonce` is new for every request:
    /// [`super::MIN_NONCE`] to [`super::MAX_NONCE`] visible ASCII characters without `"` and `\`.
    ///
    /// # Errors
    /// [`RequestError::Malformed`] and [`RequestError::TooLong`]: the enclave would not read such a request.
    pub fn sign(
        &self,
        method: &str,
        path: &str,
        query: Option<&str>,
        body: &[u8],
        created_seconds: u64,
        nonce: &str,
    ) -> Result<SignedHeaders, RequestError> {
        target::check(method, path, query)?;
        check_nonce(nonce)?;
        at_most("body", body.len(), MAX_BODY)?;
        if created_seconds > 999_999_999_999_999 {
            return Err(RequestError::Malformed("created: at most 15 digits"));
        }
        let content_digest = digest::of(body);
        let components: Vec<Component> = Component::expected(query.is_some()).collect();
        let names: Vec<String> =
            components.iter().map(|component| format!("\"{}\"", component.name())).collect();
        let params = format!(
            "({});created={created_seconds};keyid=\"{}\";alg=\"ed25519\";nonce=\"{nonce}\";tag=\"{}\"",
            names.join(" "),
            self.keyid,
            self.tag
        );
        let covered = Covered { method, path, query, content_digest: &content_digest };
        let signature = self.key.sign(covered.base(&components, &params).as_bytes());
        Ok(SignedHeaders {
            signature_input: format!("{LABEL}={params}"),
            signature: format!("{LABEL}=:{}:", BASE64.encode(&signature.to_bytes())),
            content_digest,
        })
    }
}
