//! Condition keys that several parts of an audit speak of, in lower case.

/// Names the keys of an encryption context.
pub(super) const CONTEXT_KEYS: &str = "kms:encryptioncontextkeys";
/// The prefix of its pairs.
pub(super) const CONTEXT: &str = "kms:encryptioncontext:";
/// For which resource a service asks.
pub(super) const SOURCE_ARN: &str = "aws:sourcearn";
/// The prefix of the registers of an enclave's document.
pub(super) const PCR: &str = "kms:recipientattestation:pcr";
/// And of an instance's.
pub(super) const TPM_PCR: &str = "kms:recipientattestation:nitrotpmpcr";
/// The VPC endpoint that a request came through.
pub(super) const ENDPOINT: &str = "aws:sourcevpce";

/// ImageSha384 is PCR0 by another name. Source: KMS Developer Guide, "kms:RecipientAttestation:ImageSha384".
pub(super) fn canonical(key: &str) -> &str {
    if key == "kms:recipientattestation:imagesha384" { "kms:recipientattestation:pcr0" } else { key }
}

/// Whether a key is a register of a document.
pub(super) fn is_register(key: &str) -> bool {
    key.starts_with(PCR) || key.starts_with(TPM_PCR)
}
