//! Archived attestation documents, each of one enclave's boot: obtained and verified once, then
//! used for everything that the boot's session key signed.

use std::collections::HashMap;

use attestation::{AttestationDoc, DocumentHash, Verified, verify::Freshness};

use crate::{Bindings, Refused, Trust};

/// Documents beyond this many are forgotten and obtained again.
const MAX_DOCUMENTS: usize = 4096;

/// A verifier with its documents, those that verified and those that did not.
#[derive(Debug)]
pub struct Documents {
    trust: Trust,
    known: HashMap<DocumentHash, Result<Verified<AttestationDoc>, Refused>>,
}

impl Documents {
    /// A verifier without documents yet.
    pub fn new(trust: Trust) -> Self {
        Self { trust, known: HashMap::new() }
    }

    /// Whether this document was seen.
    pub fn knows(&self, hash: &DocumentHash) -> bool {
        self.known.contains_key(hash)
    }

    /// Verifies a document as of its own time and remembers the result.
    pub fn learn(&mut self, hash: DocumentHash, document: &[u8]) {
        let verified = self.trust.verify(document, Freshness::Archived, Bindings::ANYTHING);
        let result = verified.map(|(doc, _)| doc).map_err(Refused::from).and_then(|doc| {
            if doc.hash() == hash {
                Ok(doc)
            } else {
                Err(Refused::new("document", "the attestation document with the named hash was expected"))
            }
        });
        self.known.insert(hash, result);
    }

    /// A document that must have been learned, and verified.
    ///
    /// # Errors
    /// [`Refused`] where it was not, or did not verify.
    pub fn get(&self, hash: &DocumentHash) -> Result<&Verified<AttestationDoc>, Refused> {
        match self.known.get(hash) {
            Some(Ok(doc)) => Ok(doc),
            Some(Err(refused)) => Err(refused.clone()),
            None => Err(Refused::new("document", format!("the attestation document {hash} was expected"))),
        }
    }

    /// Forgets all when there are too many. Between two calls, so that what one call fetched is there
    /// when it is used.
    pub fn make_room(&mut self) {
        if self.known.len() >= MAX_DOCUMENTS {
            self.known.clear();
        }
    }

    /// Remembers that a document cannot be had: what names it does not verify.
    pub fn lost(&mut self, hash: DocumentHash, why: impl Into<String>) {
        self.known.insert(hash, Err(Refused::new("document", why)));
    }
}
