//! What is asked: caller, action, resource, and the condition keys of the request.

use std::collections::BTreeMap;

use attestation::{Pcr, PcrIndex};

use crate::{arn::Arn, principal::Caller};

/// A request to evaluate. Condition keys have no case; a key that was never set is missing.
#[derive(Debug, Clone)]
pub struct Request {
    pub(crate) caller: Caller,
    pub(crate) action: String,
    pub(crate) resource: Arn,
    context: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// A request of `caller` for `action` (`kms:Decrypt`) on the key `resource`. What follows from
    /// the caller is set: `aws:PrincipalArn`, `aws:PrincipalAccount`, `aws:PrincipalType`,
    /// `kms:CallerAccount`.
    pub fn new(caller: Caller, action: &str, resource: Arn) -> Self {
        let account = caller.account().to_string();
        let (arn, kind) = (caller.principal().to_string(), caller.kind());
        Self { caller, action: action.to_owned(), resource, context: BTreeMap::new() }
            .with("aws:PrincipalArn", arn)
            .with("aws:PrincipalAccount", account.clone())
            .with("aws:PrincipalType", kind)
            .with("kms:CallerAccount", account)
    }

    /// Adds a value to a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.entry(key.to_lowercase()).or_default().push(value.into());
        self
    }

    /// Sets the keys of an encryption context: `kms:EncryptionContext:<key>` for each pair and
    /// `kms:EncryptionContextKeys`.
    #[must_use]
    pub fn with_encryption_context<'a>(
        mut self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        for (key, value) in pairs {
            self = self.with(&format!("kms:EncryptionContext:{key}"), value);
            self = self.with("kms:EncryptionContextKeys", key);
        }
        self
    }

    /// Sets `kms:RecipientAttestation:*` from the registers of a document that was *verified*.
    #[must_use]
    pub fn with_attestation(mut self, pcrs: &BTreeMap<PcrIndex, Pcr>) -> Self {
        for (index, pcr) in pcrs {
            self = self.with(&format!("kms:RecipientAttestation:PCR{index}"), pcr.to_string());
            if *index == PcrIndex::IMAGE {
                self = self.with("kms:RecipientAttestation:ImageSha384", pcr.to_string());
            }
        }
        self
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The values of a key, given in lower case; none when it is missing.
    pub(crate) fn values(&self, lower_case_key: &str) -> &[String] {
        self.context.get(lower_case_key).map(Vec::as_slice).unwrap_or_default()
    }
}
