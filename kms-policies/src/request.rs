//! What is asked: caller, action, resource, and the condition keys of the request.

use std::collections::BTreeMap;

use attestation::{Pcr, PcrIndex};

use crate::{
    arn::{AccountId, Arn},
    caller::Caller,
    truth::Context,
};

/// A request to evaluate. Condition keys have no case; a key that was never set is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub(crate) caller: Caller,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) owner: AccountId,
    context: BTreeMap<String, Vec<String>>,
}

impl Request {
    /// A request of `caller` for `action` (`kms:Decrypt`) on the key `resource`. What follows from
    /// the caller is set: see [`Request::on`].
    pub fn new(caller: Caller, action: &str, resource: Arn) -> Self {
        Self::on(caller, action, resource.as_str(), resource.account().clone())
    }

    /// A request on something that `owner` owns, for ARNs that do not name the account. What follows
    /// from the caller is set: `aws:PrincipalArn`, `aws:PrincipalAccount`, `aws:PrincipalType`,
    /// `kms:CallerAccount`, `aws:username` for a user, `aws:PrincipalServiceName` for a service.
    pub fn on(caller: Caller, action: &str, resource: &str, owner: AccountId) -> Self {
        let known = of_caller(&caller);
        let request = Self {
            caller,
            action: action.to_owned(),
            resource: resource.to_owned(),
            owner,
            context: BTreeMap::new(),
        };
        known.into_iter().fold(request, |request, (key, value)| request.with(key, value))
    }

    /// Adds a value to a condition key.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.entry(key.to_lowercase()).or_default().push(value.into());
        self
    }

    /// Gives a condition key these values in place of what it has; none takes the key away.
    #[must_use]
    pub fn with_only(mut self, key: &str, values: Vec<String>) -> Self {
        self.context.insert(key.to_lowercase(), values);
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

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            caller: &self.caller,
            action: &self.action,
            resource: &self.resource,
            owner: &self.owner,
            bounded: false,
            doubt: false,
        }
    }

    /// The caller.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The action, e.g. `kms:Decrypt`.
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The ARN of what is used.
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The condition keys that it has, in lower case, with their values.
    pub fn context(&self) -> &BTreeMap<String, Vec<String>> {
        &self.context
    }
}

impl Context for Request {
    fn values(&self, key: &str) -> Option<&[String]> {
        Some(self.context.get(key).map(Vec::as_slice).unwrap_or_default())
    }
}

/// What is asked, apart from the condition keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    /// Whose the resource is.
    pub(crate) owner: &'a AccountId,
    /// Whether the caller has a permissions boundary.
    pub(crate) bounded: bool,
    /// Whether what AWS leaves open is read for the caller: an auditor's way.
    pub(crate) doubt: bool,
}

impl Asked<'_> {
    /// Whether the caller is of another account than the resource.
    pub(crate) fn is_foreign(&self) -> bool {
        self.caller.account().is_some_and(|account| account != self.owner)
    }
}

/// The condition keys that follow from who calls. Source: IAM User Guide, "AWS global condition
/// context keys"; KMS Developer Guide, "kms:CallerAccount".
pub(crate) fn of_caller(caller: &Caller) -> Vec<(&'static str, String)> {
    let mut known = Vec::new();
    if let (Some(principal), Some(account), Some(kind)) =
        (caller.principal(), caller.account(), caller.kind())
    {
        known.push(("aws:principalarn", principal.to_string()));
        known.push(("aws:principalaccount", account.to_string()));
        known.push(("aws:principaltype", kind.to_owned()));
        known.push(("kms:calleraccount", account.to_string()));
        known.push(("aws:principalisawsservice", "false".to_owned()));
        if kind == "User" {
            let name = principal.resource().rsplit('/').next().unwrap_or_default();
            known.push(("aws:username", name.to_owned()));
        }
    }
    if let Some(service) = caller.service() {
        known.push(("aws:principalservicename", service.to_owned()));
        known.push(("aws:principalisawsservice", "true".to_owned()));
    }
    known
}
