//! Signed requests: HTTP Message Signatures (RFC 9421) with Ed25519 over method, path, query and body,
//! as `docs/requests.md` specifies them. Clients make them with [`Signer`]; the parent forwards the values
//! as it received them; the enclave opens and verifies them.
//!
//! Every byte of a [`SignedRequest`] comes from the untrusted side. One form is read, in its canonical
//! spelling; whatever else RFC 9421 allows is refused. Nothing here decides what a client may do.

mod digest;
mod error;
mod input;
mod nonces;
mod reader;
mod signature;
mod signer;
mod target;
mod window;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

pub use error::RequestError;
pub use nonces::NonceMemory;
pub use signature::RequestSignature;
pub use signer::{SignedHeaders, Signer};
pub use window::Window;

/// The longest method, in bytes.
pub const MAX_METHOD: usize = 16;
/// The longest path, in bytes.
pub const MAX_PATH: usize = 1024;
/// The longest query, in bytes, without the `?`.
pub const MAX_QUERY: usize = 1024;
/// The longest value of each of the three headers, in bytes.
pub const MAX_HEADER: usize = 1024;
/// The longest body, in bytes: with everything else it fits one frame between parent and enclave.
pub const MAX_BODY: usize = 900 * 1024;
/// The longest label of a signature, in bytes.
pub const MAX_LABEL: usize = 64;
/// The longest `keyid` and the longest `tag`, in bytes.
pub const MAX_NAME: usize = 128;
/// The shortest `nonce`, in characters.
pub const MIN_NONCE: usize = 16;
/// The longest `nonce`, in characters.
pub const MAX_NONCE: usize = 64;

/// What the parent forwards of an HTTP request: byte for byte what the client sent, nothing of it checked.
///
/// A header that the client did not send is empty here. A header that it sent more than once is the parent's
/// to refuse; joined with commas it would be refused here.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRequest {
    /// The content.
    pub body: ByteBuf,
    /// The path of the request's target, without the query, not decoded and not normalised.
    pub path: String,
    /// What follows the `?`, if there is one: `Some("")` for a `?` with nothing after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The method, as in the request line.
    pub method: String,
    /// The value of `Signature`.
    pub signature: String,
    /// The value of `Content-Digest`.
    pub content_digest: String,
    /// The value of `Signature-Input`.
    pub signature_input: String,
}

impl fmt::Debug for SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("query", &self.query)
            .field("signature_input", &self.signature_input)
            .field("signature", &self.signature)
            .field("content_digest", &self.content_digest)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

impl SignedRequest {
    /// Reads the three headers, compares the body with its digest, and builds what must have been signed.
    /// The answer is not believed before [`RequestSignature::verify`].
    ///
    /// # Errors
    /// [`RequestError`]: every one but those of the clock, of the nonce and of the signature itself.
    pub fn open(&self) -> Result<RequestSignature, RequestError> {
        for (name, value) in [
            ("Signature-Input", &self.signature_input),
            ("Signature", &self.signature),
            ("Content-Digest", &self.content_digest),
        ] {
            at_most(name, value.len(), MAX_HEADER)?;
            if value.is_empty() {
                return Err(RequestError::Missing(name));
            }
        }
        at_most("body", self.body.len(), MAX_BODY)?;
        target::check(&self.method, &self.path, self.query.as_deref())?;
        let input = input::Input::parse(&self.signature_input, self.query.is_some())?;
        let signature = signature::parse(&self.signature, input.label)?;
        digest::check(&self.content_digest, &self.body)?;
        Ok(RequestSignature::new(&input, self, signature))
    }
}

/// Refuses what is longer than its bound.
const fn at_most(field: &'static str, found: usize, most: usize) -> Result<(), RequestError> {
    if found <= most { Ok(()) } else { Err(RequestError::TooLong { field, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest() -> SignedRequest {
        SignedRequest {
            method: "M".repeat(MAX_METHOD),
            path: "/".repeat(MAX_PATH),
            query: Some("q".repeat(MAX_QUERY)),
            signature_input: "i".repeat(MAX_HEADER),
            signature: "s".repeat(MAX_HEADER),
            content_digest: "d".repeat(MAX_HEADER),
            body: ByteBuf::from(vec![b'B'; MAX_BODY]),
        }
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let mut json = serde_json::to_value(SignedRequest { body: ByteBuf::new(), ..largest() }).unwrap();
        serde_json::from_value::<SignedRequest>(json.clone()).unwrap();
        json["client"] = "mallory".into();
        serde_json::from_value::<SignedRequest>(json).unwrap_err();
    }

    #[test]
    fn the_body_is_not_shown() {
        let shown = format!("{:?}", SignedRequest { body: ByteBuf::from("secret"), ..largest() });
        assert!(shown.contains("6 bytes") && !shown.contains("secret") && !shown.contains("115, 101"));
    }
}
