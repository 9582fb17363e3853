//! Attestation documents that are fetched from a parent when something names them.

use attestation::DocumentHash;
use verifier::Documents;

use crate::{error::Error, input::MAX_DOCUMENT};
use client::Client;

/// Fetches a document that is not known. A parent that has lost it makes what names it fail; one
/// that is down ends the command.
pub(crate) async fn fetch(
    documents: &mut Documents,
    client: &Client,
    hash: DocumentHash,
) -> Result<(), Error> {
    if documents.knows(&hash) {
        return Ok(());
    }
    match client.bytes(&["attestations", &hash.to_string()], &[], MAX_DOCUMENT).await.map_err(Error::from) {
        Ok(document) => documents.learn(hash, &document),
        Err(Error::Problem(problem)) if problem.status == 404 => {
            documents.lost(hash, format!("the parent has no document {hash}"));
        }
        Err(error) => return Err(error),
    }
    Ok(())
}
