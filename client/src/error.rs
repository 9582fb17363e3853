//! Why a request was not granted.

use protocol::request::RequestError;

use crate::Problem;

/// Why a request was not granted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// An address that is no parent's.
    #[error("the parent's address: {expected} was expected, found {found}")]
    Url {
        /// What it can be.
        expected: &'static str,
        /// Its scheme, or its path; never the name and password that a URL can hold.
        found: String,
    },
    /// No certificates where they should be.
    #[error("the parent's authorities: certificates in PEM were expected, found none")]
    Authorities,
    /// The request takes a role, and nobody signs it.
    #[error("the request takes a role, and no client is named whose key signs it")]
    Nobody,
    /// A request that the enclave would not read.
    #[error("the request: {0}")]
    Request(#[from] RequestError),
    /// The operating system gave no random numbers for a nonce.
    #[error("the system's random numbers cannot be had: {0}")]
    Random(String),
    /// The parent answered an error.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// The parent could not be reached, or answered something else than its API says.
    #[error("{0}")]
    Parent(String),
    /// What is asked cannot be written as JSON.
    #[error("the request as JSON: {0}")]
    Json(serde_json::Error),
}

/// An error of the HTTP client with its causes: the first alone says little.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut texts: Vec<String> = Vec::new();
    for text in causes.map(ToString::to_string) {
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    format!("the parent: {}", texts.join(": "))
}
