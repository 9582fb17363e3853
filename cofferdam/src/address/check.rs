//! Verifies certificates against archived attestation documents.

use attestation::DocumentHash;
use protocol::AddressClaims;

use crate::error::Error;
use client::Address;
use client::Client;
use verifier::{Documents, Refused, Trust};

/// A verifier with its documents.
#[derive(Debug)]
pub(crate) struct Checker {
    documents: Documents,
}

impl Checker {
    /// A verifier without documents yet.
    pub(crate) fn new(trust: Trust) -> Self {
        Self { documents: Documents::new(trust) }
    }

    /// Whether this document was seen.
    pub(crate) fn knows(&self, hash: &DocumentHash) -> bool {
        self.documents.knows(hash)
    }

    /// Verifies a document as of its own time and remembers the result.
    pub(crate) fn learn(&mut self, hash: DocumentHash, document: &[u8]) {
        self.documents.learn(hash, document);
    }

    /// Verifies a certificate by its document, which must have been learned.
    pub(crate) fn certificate(&self, jws: &str) -> Result<AddressClaims, Refused> {
        let doc = self.documents.get(&verifier::unverified::<AddressClaims>(jws)?.attestation)?;
        Ok(verifier::certificate::verify(jws, doc)?)
    }

    /// Verifies an address: its certificate, and that every field beside it agrees.
    pub(crate) fn address(&self, address: &Address) -> Result<AddressClaims, Refused> {
        address.verify(&self.documents)
    }

    /// Fetches what these addresses' certificates need.
    pub(crate) async fn fetch_for(&mut self, client: &Client, addresses: &[Address]) -> Result<(), Error> {
        self.documents.make_room();
        for address in addresses {
            let Ok(claims) = verifier::unverified::<AddressClaims>(&address.certificate) else { continue };
            crate::documents::fetch(&mut self.documents, client, claims.attestation).await?;
        }
        Ok(())
    }
}
