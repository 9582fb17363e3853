//! Every action of AWS KMS, so that nothing is forgotten when a policy is judged. Sources: Service
//! Authorization Reference, "Actions, resources, and condition keys for AWS Key Management Service";
//! the API's model for operations that are newer than it (`Encapsulate`, `Decapsulate`,
//! `GetKeyLastUsage`); KMS Developer Guide, "Cryptographic operations". `tests/vectors/kms-actions`
//! holds the first two as other people's packages have them, and a test compares.

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
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
    pub kind: ActionKind,
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
    on_key("kms:CancelKeyDeletion", ActionKind::Control),
    on_account("kms:ConnectCustomKeyStore", ActionKind::Control),
    on_key("kms:CreateAlias", ActionKind::Control),
    on_account("kms:CreateCustomKeyStore", ActionKind::Control),
    on_key("kms:CreateGrant", ActionKind::Control),
    on_account("kms:CreateKey", ActionKind::Control),
    on_key("kms:Decapsulate", ActionKind::Cryptographic),
    with_document("kms:Decrypt", ActionKind::Cryptographic),
    on_key("kms:DeleteAlias", ActionKind::Control),
    on_account("kms:DeleteCustomKeyStore", ActionKind::Control),
    on_key("kms:DeleteImportedKeyMaterial", ActionKind::Control),
    with_document("kms:DeriveSharedSecret", ActionKind::Cryptographic),
    on_account("kms:DescribeCustomKeyStores", ActionKind::Reading),
    on_key("kms:DescribeKey", ActionKind::Reading),
    on_key("kms:DisableKey", ActionKind::Control),
    on_key("kms:DisableKeyRotation", ActionKind::Control),
    on_account("kms:DisconnectCustomKeyStore", ActionKind::Control),
    on_key("kms:EnableKey", ActionKind::Control),
    on_key("kms:EnableKeyRotation", ActionKind::Control),
    on_key("kms:Encapsulate", ActionKind::Cryptographic),
    on_key("kms:Encrypt", ActionKind::Cryptographic),
    with_document("kms:GenerateDataKey", ActionKind::Cryptographic),
    with_document("kms:GenerateDataKeyPair", ActionKind::Cryptographic),
    on_key("kms:GenerateDataKeyPairWithoutPlaintext", ActionKind::Cryptographic),
    on_key("kms:GenerateDataKeyWithoutPlaintext", ActionKind::Cryptographic),
    on_key("kms:GenerateMac", ActionKind::Cryptographic),
    Action { name: "kms:GenerateRandom", kind: ActionKind::Cryptographic, key: false, recipient: true },
    on_key("kms:GetKeyLastUsage", ActionKind::Reading),
    on_key("kms:GetKeyPolicy", ActionKind::Reading),
    on_key("kms:GetKeyRotationStatus", ActionKind::Reading),
    on_key("kms:GetParametersForImport", ActionKind::Reading),
    on_key("kms:GetPublicKey", ActionKind::Reading),
    on_key("kms:ImportKeyMaterial", ActionKind::Control),
    on_account("kms:ListAliases", ActionKind::Reading),
    on_key("kms:ListGrants", ActionKind::Reading),
    on_key("kms:ListKeyPolicies", ActionKind::Reading),
    on_key("kms:ListKeyRotations", ActionKind::Reading),
    on_account("kms:ListKeys", ActionKind::Reading),
    on_key("kms:ListResourceTags", ActionKind::Reading),
    on_account("kms:ListRetirableGrants", ActionKind::Reading),
    on_key("kms:PutKeyPolicy", ActionKind::Control),
    on_key("kms:ReEncryptFrom", ActionKind::Cryptographic),
    on_key("kms:ReEncryptTo", ActionKind::Cryptographic),
    on_key("kms:ReplicateKey", ActionKind::Control),
    on_key("kms:RetireGrant", ActionKind::Control),
    on_key("kms:RevokeGrant", ActionKind::Control),
    on_key("kms:RotateKeyOnDemand", ActionKind::Control),
    on_key("kms:ScheduleKeyDeletion", ActionKind::Control),
    on_key("kms:Sign", ActionKind::Cryptographic),
    on_key("kms:SynchronizeMultiRegionKey", ActionKind::Control),
    on_key("kms:TagResource", ActionKind::Control),
    on_key("kms:UntagResource", ActionKind::Control),
    on_key("kms:UpdateAlias", ActionKind::Control),
    on_account("kms:UpdateCustomKeyStore", ActionKind::Control),
    on_key("kms:UpdateKeyDescription", ActionKind::Control),
    on_key("kms:UpdatePrimaryRegion", ActionKind::Control),
    on_key("kms:Verify", ActionKind::Cryptographic),
    on_key("kms:VerifyMac", ActionKind::Cryptographic),
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

const fn on_key(name: &'static str, kind: ActionKind) -> Action {
    Action { name, kind, key: true, recipient: false }
}

const fn with_document(name: &'static str, kind: ActionKind) -> Action {
    Action { name, kind, key: true, recipient: true }
}

const fn on_account(name: &'static str, kind: ActionKind) -> Action {
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
            assert_eq!(kind == ActionKind::Reading, reads, "{name}");
            assert!(!recipient || kind == ActionKind::Cryptographic, "{name}");
        }
    }

    #[test]
    fn an_action_is_found_in_any_case() {
        assert_eq!(find("KMS:decrypt").map(|action| action.name), Some("kms:Decrypt"));
        assert_eq!(find("kms:Decrypt*"), None);
    }
}
