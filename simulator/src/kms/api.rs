//! What goes over the wire: operations and their input (AWS JSON 1.1). Source: AWS KMS API
//! Reference. Members that are not here are ignored, as AWS ignores unknown ones.

use serde::Deserialize;

use super::{blob::EncryptionContext, error::Refusal};

/// What this KMS can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    CreateKey,
    Decrypt,
    DescribeKey,
    DisableKey,
    EnableKey,
    Encrypt,
    GenerateDataKey,
    GetKeyPolicy,
    ListKeys,
    PutKeyPolicy,
    ReplicateKey,
    UpdatePrimaryRegion,
}

impl Operation {
    const ALL: [Self; 12] = [
        Self::CreateKey,
        Self::Decrypt,
        Self::DescribeKey,
        Self::DisableKey,
        Self::EnableKey,
        Self::Encrypt,
        Self::GenerateDataKey,
        Self::GetKeyPolicy,
        Self::ListKeys,
        Self::PutKeyPolicy,
        Self::ReplicateKey,
        Self::UpdatePrimaryRegion,
    ];

    /// Reads `x-amz-target`.
    pub(super) fn of_target(target: &str) -> Option<Self> {
        let name = target.strip_prefix("TrentService.")?;
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CreateKey => "CreateKey",
            Self::Decrypt => "Decrypt",
            Self::DescribeKey => "DescribeKey",
            Self::DisableKey => "DisableKey",
            Self::EnableKey => "EnableKey",
            Self::Encrypt => "Encrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::GetKeyPolicy => "GetKeyPolicy",
            Self::ListKeys => "ListKeys",
            Self::PutKeyPolicy => "PutKeyPolicy",
            Self::ReplicateKey => "ReplicateKey",
            Self::UpdatePrimaryRegion => "UpdatePrimaryRegion",
        }
    }

    /// As a policy names it.
    pub(super) fn action(self) -> String {
        format!("kms:{}", self.name())
    }

    /// As CloudTrail says it.
    pub(super) const fn is_read_only(self) -> bool {
        !matches!(
            self,
            Self::CreateKey
                | Self::DisableKey
                | Self::EnableKey
                | Self::PutKeyPolicy
                | Self::ReplicateKey
                | Self::UpdatePrimaryRegion
        )
    }
}

/// The input of every operation: each takes what it knows.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Input {
    pub(super) key_id: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) policy_name: Option<String>,
    pub(super) bypass_policy_lockout_safety_check: bool,
    pub(super) description: Option<String>,
    pub(super) key_spec: Option<String>,
    pub(super) customer_master_key_spec: Option<String>,
    pub(super) key_usage: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) multi_region: bool,
    pub(super) replica_region: Option<String>,
    pub(super) primary_region: Option<String>,
    pub(super) number_of_bytes: Option<u64>,
    pub(super) encryption_context: Option<EncryptionContext>,
    pub(super) encryption_algorithm: Option<String>,
    pub(super) ciphertext_blob: Option<String>,
    pub(super) plaintext: Option<String>,
    pub(super) recipient: Option<Recipient>,
    pub(super) dry_run: bool,
}

/// Whom the answer is for.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Recipient {
    pub(super) key_encryption_algorithm: Option<String>,
    pub(super) attestation_document: Option<String>,
}

impl Input {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body)
            .map_err(|_| Refusal::Serialization("The JSON of the operation's input was expected."))
    }

    /// The encryption context, empty when absent.
    pub(super) fn context(&self) -> Result<EncryptionContext, Refusal> {
        let context = self.encryption_context.clone().unwrap_or_default();
        let length: usize = context.iter().map(|(key, value)| key.len().saturating_add(value.len())).sum();
        if length > 8192 {
            let constraint = "Member must have length less than or equal to 8192";
            return Err(Refusal::constraint("encryptionContext", constraint));
        }
        Ok(context)
    }
}

/// A member that must be there.
pub(super) fn need<'a>(member: &'static str, value: &'a Option<String>) -> Result<&'a str, Refusal> {
    value.as_deref().ok_or_else(|| Refusal::constraint(member, "Member must not be null"))
}

/// A member in base64, of 1 to `most` bytes.
pub(super) fn bytes(member: &'static str, value: &Option<String>, most: usize) -> Result<Vec<u8>, Refusal> {
    let bytes = data_encoding::BASE64
        .decode(need(member, value)?.as_bytes())
        .map_err(|_| Refusal::Serialization("A blob in base64 was expected."))?;
    if (1..=most).contains(&bytes.len()) {
        Ok(bytes)
    } else {
        let constraint = format!("Member must have length between 1 and {most}");
        Err(Refusal::constraint(member, &constraint))
    }
}
