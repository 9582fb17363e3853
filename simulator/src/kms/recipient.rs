//! Verifies the attestation document of a request, as AWS KMS does, under the simulator's root.
//! Which image it is, the key policy decides.

use std::time::Duration;

use attestation::{
    AttestationDoc, Expectations, ExpectedPcrs, PcrIndex, TrustAnchor, Verified,
    verify::{Freshness, Match, verify},
};

use super::{
    api::{self, Recipient},
    error::Refusal,
};

/// How old a document may be.
const MAX_AGE: Duration = Duration::from_secs(300);
/// How far the enclave's clock may be ahead.
const SKEW: Duration = Duration::from_secs(5);
/// The longest document that KMS takes, in bytes.
const MAX_DOCUMENT: usize = 262_144;

/// A recipient whose document was verified.
#[derive(Debug)]
pub(super) struct Attested {
    pub(super) doc: Verified<AttestationDoc>,
    pub(super) public_key: Vec<u8>,
}

pub(super) fn attest(recipient: &Recipient, root: &TrustAnchor, now: u64) -> Result<Attested, Refusal> {
    if api::need("recipient.keyEncryptionAlgorithm", &recipient.key_encryption_algorithm)?
        != "RSAES_OAEP_SHA_256"
    {
        return Err(Refusal::constraint(
            "recipient.keyEncryptionAlgorithm",
            "Member must satisfy enum value set: [RSAES_OAEP_SHA_256]",
        ));
    }
    let member = "recipient.attestationDocument";
    let bytes = api::bytes(member, &recipient.attestation_document, MAX_DOCUMENT)?;
    let wrong =
        |why: &dyn std::fmt::Display| Refusal::constraint(member, &format!("Attestation document: {why}"));

    // KMS has no image of its own to compare with, the policy has: expect what the document says.
    let claimed = AttestationDoc::parse(&bytes).map_err(|error| wrong(&error))?;
    let image = claimed.pcr(PcrIndex::IMAGE).map(|pcr| (PcrIndex::IMAGE, pcr));
    let pcrs = ExpectedPcrs::new(image).map_err(|_| Refusal::DebugEnclave)?;
    let doc = verify(
        &bytes,
        &Expectations {
            root,
            pcrs: &pcrs,
            freshness: Freshness::Live { now, max_age: MAX_AGE, skew: SKEW },
            nonce: Match::Anything,
            public_key: Match::Anything,
            user_data: Match::Anything,
        },
    )
    .map_err(|error| match error {
        attestation::VerifyError::Debug { .. } => Refusal::DebugEnclave,
        error => wrong(&error),
    })?;
    let public_key = doc.public_key().ok_or_else(|| wrong(&"a public key was expected"))?.to_vec();
    Ok(Attested { doc, public_key })
}
