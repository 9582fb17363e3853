//! Every action of AWS KMS, so that nothing is forgotten when a policy is judged. Sources: Service
//! Authorization Reference, "Actions, resources, and condition keys for AWS Key Management Service";
//! the API's model for operations that are newer than it (`Encapsulate`, `Decapsulate`,
//! `GetKeyLastUsage`); KMS Developer Guide, "Cryptographic operations". `tests/vectors/kms-actions`
//! holds the first two as other people's packages have them, and a test compares.

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Uses key material.
    Cryptographic,
    /// Changes a key, who may use it, or what belongs to it.
    Control,
    /// Shows something that is not secret.
    Reading,
}

/// One action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action {
    /// As policies name it: `kms:Decrypt`.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Whether it is done to a key, so that the key's policy is asked. `kms:RetireGrant` is, but a
    /// key policy cannot allow it (KMS Developer Guide, "Permissions reference").
    pub key: bool,
    /// Whether the request can carry an attestation document (`Recipient`), so that the keys
    /// `kms:RecipientAttestation:*` can be there. For all others they are always missing.
    pub recipient: bool,
}

/// By name, without regard to case.
pub fn find(name: &str) -> Option<&'static Action> {
    ALL.iter().find(|action| action.name.eq_ignore_ascii_case(name))
}

/// All of them, by name.
pub const ALL: &[Action] = &[
    on_key("kms:CancelKeyDeletion", Kind::Control),
    on_account("kms:ConnectCustomKeyStore", Kind::Control),
    on_key("kms:CreateAlias", Kind::Control),
    on_account("kms:CreateCustomKeyStore", Kind::Control),
    on_key("kms:CreateGrant", Kind::Control),
    on_account("kms:CreateKey", Kind::Control),
    on_key("kms:Decapsulate", Kind::Cryptographic),
    with_document("kms:Decrypt", Kind::Cryptographic),
    on_key("kms:DeleteAlias", Kind::Control),
    on_account("kms:DeleteCustomKeyStore", Kind::Control),
    on_key("kms:DeleteImportedKeyMaterial", Kind::Control),
    with_document("kms:DeriveSharedSecret", Kind::Cryptographic),
    on_account("kms:DescribeCustomKeyStores", Kind::Reading),
    on_key("kms:DescribeKey", Kind::Reading),
    on_key("kms:DisableKey", Kind::Control),
    on_key("kms:DisableKeyRotation", Kind::Control),
    on_account("kms:DisconnectCustomKeyStore", Kind::Control),
    on_key("kms:EnableKey", Kind::Control),
    on_key("kms:EnableKeyRotation", Kind::Control),
    on_key("kms:Encapsulate", Kind::Cryptographic),
    on_key("kms:Encrypt", Kind::Cryptographic),
    with_document("kms:GenerateDataKey", Kind::Cryptographic),
    with_document("kms:GenerateDataKeyPair", Kind::Cryptographic),
    on_key("kms:GenerateDataKeyPairWithoutPlaintext", Kind::Cryptographic),
    on_key("kms:GenerateDataKeyWithoutPlaintext", Kind::Cryptographic),
    on_key("kms:GenerateMac", Kind::Cryptographic),
    Action { name: "kms:GenerateRandom", kind: Kind::Cryptographic, key: false, recipient: true },
    on_key("kms:GetKeyLastUsage", Kind::Reading),
    on_key("kms:GetKeyPolicy", Kind::Reading),
    on_key("kms:GetKeyRotationStatus", Kind::Reading),
    on_key("kms:GetParametersForImport", Kind::Reading),
    on_key("kms:GetPublicKey", Kind::Reading),
    on_key("kms:ImportKeyMaterial", Kind::Control),
    on_account("kms:ListAliases", Kind::Reading),
    on_key("kms:ListGrants", Kind::Reading),
    on_key("kms:ListKeyPolicies", Kind::Reading),
    on_key("kms:ListKeyRotations", Kind::Reading),
    on_account("kms:ListKeys", Kind::Reading),
    on_key("kms:ListResourceTags", Kind::Reading),
    on_account("kms:ListRetirableGrants", Kind::Reading),
    on_key("kms:PutKeyPolicy", Kind::Control),
    on_key("kms:ReEncryptFrom", Kind::Cryptographic),
    on_key("kms:ReEncryptTo", Kind::Cryptographic),
    on_key("kms:ReplicateKey", Kind::Control),
    on_key("kms:RetireGrant", Kind::Control),
    on_key("kms:RevokeGrant", Kind::Control),
    on_key("kms:RotateKeyOnDemand", Kind::Control),
    on_key("kms:ScheduleKeyDeletion", Kind::Control),
    on_key("kms:Sign", Kind::Cryptographic),
    on_key("kms:SynchronizeMultiRegionKey", Kind::Control),
    on_key("kms:TagResource", Kind::Control),
    on_key("kms:UntagResource", Kind::Control),
    on_key("kms:UpdateAlias", Kind::Control),
    on_account("kms:UpdateCustomKeyStore", Kind::Control),
    on_key("kms:UpdateKeyDescription", Kind::Control),
    on_key("kms:UpdatePrimaryRegion", Kind::Control),
    on_key("kms:Verify", Kind::Cryptographic),
    on_key("kms:VerifyMac", Kind::Cryptographic),
];

/// Actions whose requests have an encryption context, without `kms:`. Source: Service Authorization
/// Reference, "Condition keys for AWS KMS", `kms:EncryptionContextKeys`.
pub(crate) const WITH_ENCRYPTION_CONTEXT: &[&str] = &[
    "CreateGrant",
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

const fn on_key(name: &'static str, kind: Kind) -> Action {
    Action { name, kind, key: true, recipient: false }
}

const fn with_document(name: &'static str, kind: Kind) -> Action {
    Action { name, kind, key: true, recipient: true }
}

const fn on_account(name: &'static str, kind: Kind) -> Action {
    Action { name, kind, key: false, recipient: false }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Foreign {
        level: String,
        key: bool,
        recipient: bool,
    }

    #[test]
    fn the_list_is_the_one_that_aws_publishes() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/kms-actions/actions.json");
        let foreign: BTreeMap<String, Foreign> =
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let named: Vec<String> = foreign.keys().map(|name| format!("kms:{name}")).collect();
        assert_eq!(ALL.iter().map(|action| action.name).collect::<Vec<_>>(), named);
        for (action, foreign) in ALL.iter().zip(foreign.values()) {
            let Action { name, kind, key, recipient } = *action;
            assert_eq!((key, recipient), (foreign.key, foreign.recipient), "{name}");
            let reads = matches!(foreign.level.as_str(), "Read" | "List");
            assert_eq!(kind == Kind::Reading, reads, "{name}");
            assert!(!recipient || kind == Kind::Cryptographic, "{name}");
        }
    }

    #[test]
    fn an_action_is_found_in_any_case() {
        assert_eq!(find("KMS:decrypt").map(|action| action.name), Some("kms:Decrypt"));
        assert_eq!(find("kms:Decrypt*"), None);
    }
}
