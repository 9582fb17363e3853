//! Signed requests as they come in: taken apart without reading anything into them. The enclave
//! verifies what the client sent, byte for byte; here it is only bounded, and those that look like
//! no client's are kept from filling the enclave's log.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName},
};
use protocol::request::{MAX_HEADER, MAX_PATH, MAX_QUERY, SignedRequest};
use serde_bytes::ByteBuf;

use super::{App, Problem, identity::Identity, input};

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The longest body of a request that needs none.
pub(super) const NO_BODY: usize = 16 * 1024;

/// The longest body that asks for one address.
pub(super) const MAX_SINGLE: usize = 16 * 1024;

/// What a body must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// JSON, and said to be.
    Json,
    /// Whatever it is: nobody reads it but the enclave, for its digest.
    Any,
}

/// The request as the enclave is to see it. Its body is whole: the gate read it.
pub(super) async fn read(request: Request, content: Content) -> Result<SignedRequest, Problem> {
    let (head, body) = request.into_parts();
    let header = |name| header(&head.headers, name);
    let (signature_input, signature, content_digest) =
        (header(&SIGNATURE_INPUT)?, header(&SIGNATURE)?, header(&CONTENT_DIGEST)?);
    let (path, query) = (head.uri.path(), head.uri.query());
    let asked = query.map_or(0, str::len);
    if path.len() > MAX_PATH || asked > MAX_QUERY {
        let found = format!("a path of {} and a query of {asked}", path.len());
        let expected = format!("a path of at most {MAX_PATH} bytes and a query of at most {MAX_QUERY}");
        return Err(Problem::unsigned(format!("expected {expected}, found {found}")));
    }
    if content == Content::Json {
        input::is_json(&head.headers)?;
    }
    let body = input::whole(body).await?;
    let request = SignedRequest {
        method: head.method.as_str().to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        signature_input,
        signature,
        content_digest,
        body: ByteBuf::from(Vec::from(body)),
    };
    Identity::learn(&head.extensions, &request);
    Ok(request)
}

/// The value of a header that is there once; empty when it is not there, which the enclave then
/// says and logs.
fn header(headers: &HeaderMap, name: &HeaderName) -> Result<String, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    if values.next().is_some() {
        return Err(Problem::unsigned(format!("expected the header {name} once, found it again")));
    }
    let text = value.map(|value| value.to_str()).transpose();
    let text = text
        .map_err(|_| Problem::unsigned(format!("expected the header {name} in ASCII, found other bytes")))?;
    let text = text.unwrap_or_default();
    if text.len() > MAX_HEADER {
        let found = text.len();
        let detail = format!("expected the header {name} of at most {MAX_HEADER} bytes, found {found}");
        return Err(Problem::unsigned(detail));
    }
    Ok(text.to_owned())
}

/// Whether the enclave may be asked.
pub(super) fn admit(app: &App, request: &SignedRequest) -> Result<(), Problem> {
    app.clients.admit(request).map_err(Problem::too_many_failures)
}

/// Has the enclave say whether it is a client's who may make it.
pub(super) async fn authorize(app: &App, request: SignedRequest) -> Result<(), Problem> {
    admit(app, &request)?;
    Ok(app.enclave.authorize(request).await?)
}
