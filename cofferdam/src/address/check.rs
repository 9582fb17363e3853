//! Verifies certificates against archived attestation documents, each of which is obtained and
//! verified once.

use std::collections::HashMap;

use attestation::{AttestationDoc, DocumentHash, Verified, verify::Freshness};
use protocol::AddressClaims;

use super::Address;
use crate::{
    client::Client,
    error::{Error, Refused},
    input::MAX_DOCUMENT,
    trust::{Bindings, Trust},
};

/// Documents beyond this many are forgotten and obtained again: each is of one enclave's boot.
const MAX_DOCUMENTS: usize = 4096;

/// A verifier with its documents, those that verified and those that did not.
#[derive(Debug)]
pub(crate) struct Checker {
    trust: Trust,
    documents: HashMap<DocumentHash, Result<Verified<AttestationDoc>, Refused>>,
}

impl Checker {
    /// A verifier without documents yet.
    pub(crate) fn new(trust: Trust) -> Self {
        Self { trust, documents: HashMap::new() }
    }

    /// Whether this document was seen.
    pub(crate) fn knows(&self, hash: &DocumentHash) -> bool {
        self.documents.contains_key(hash)
    }

    /// Verifies a document as of its own time and remembers the result.
    pub(crate) fn learn(&mut self, hash: DocumentHash, document: &[u8]) {
        let verified = self.trust.verify(document, Freshness::Archived, Bindings::ANYTHING);
        let result = verified.map(|(doc, _)| doc).map_err(Refused::from).and_then(|doc| {
            if doc.hash() == hash {
                Ok(doc)
            } else {
                Err(Refused::new("document", "the attestation document with the named hash was expected"))
            }
        });
        self.documents.insert(hash, result);
    }

    /// Verifies a certificate by its document, which must have been learned.
    pub(crate) fn certificate(&self, jws: &str) -> Result<AddressClaims, Refused> {
        let hash = AddressClaims::unverified(jws)?.attestation;
        match self.documents.get(&hash) {
            Some(Ok(doc)) => Ok(AddressClaims::verify(jws, doc)?),
            Some(Err(refused)) => Err(refused.clone()),
            None => Err(Refused::new("document", format!("the attestation document {hash} was expected"))),
        }
    }

    /// Verifies an address: its certificate, and that every field beside it agrees.
    pub(crate) fn address(&self, address: &Address) -> Result<AddressClaims, Refused> {
        let claims = self.certificate(&address.certificate)?;
        address.agrees(&claims)?;
        Ok(claims)
    }

    /// Fetches what these addresses' certificates need. A parent that has lost a document makes
    /// its addresses fail; one that is down ends the command.
    pub(crate) async fn fetch_for(&mut self, client: &Client, addresses: &[Address]) -> Result<(), Error> {
        // Between two calls, so that what one call fetched is there when it is used.
        if self.documents.len() >= MAX_DOCUMENTS {
            self.documents.clear();
        }
        for address in addresses {
            let Ok(claims) = AddressClaims::unverified(&address.certificate) else { continue };
            let hash = claims.attestation;
            if self.knows(&hash) {
                continue;
            }
            match client.bytes(&["attestations", &hash.to_string()], &[], MAX_DOCUMENT).await {
                Ok(document) => self.learn(hash, &document),
                Err(Error::Problem(problem)) if problem.status == 404 => {
                    let missing = Refused::new("document", format!("the parent has no document {hash}"));
                    self.documents.insert(hash, Err(missing));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
