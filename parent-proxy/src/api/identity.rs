//! The request's identity: SHA-256 of what its client signed, by which the enclave's log names it. It is an
//! answer's header, so that a client finds the entries of its requests. The parent works it out from what
//! came; it proves nothing, and is compared with the log's own.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::Request,
    http::{Extensions, HeaderName, HeaderValue, header::HeaderMap},
};
use data_encoding::HEXLOWER;
use protocol::request::SignedRequest;

/// The header's name.
pub(super) const HEADER: HeaderName = HeaderName::from_static("cofferdam-request");

/// Where a handler leaves the identity of the request that it read.
#[derive(Clone, Default)]
pub(super) struct Identity(Arc<OnceLock<[u8; 32]>>);

impl Identity {
    /// Goes with a request to its handler.
    pub(super) fn with(request: &mut Request) -> Self {
        let identity = Self::default();
        request.extensions_mut().insert(identity.clone());
        identity
    }

    /// Leaves that of a request which can be read as a signed one. Any other has none, on the log as well.
    pub(super) fn learn(extensions: &Extensions, request: &SignedRequest) {
        if let Some(Self(slot)) = extensions.get::<Self>()
            && let Ok(signature) = request.open()
        {
            let _ = slot.set(signature.hash());
        }
    }

    /// Says it in an answer.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(hash) = self.0.get()
            && let Ok(value) = HeaderValue::from_str(&HEXLOWER.encode(hash))
        {
            headers.insert(HEADER, value);
        }
    }
}
