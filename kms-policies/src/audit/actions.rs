//! The actions that matter, and which condition keys their requests can have. Source: Service
//! Authorization Reference, "Actions, resources, and condition keys for AWS KMS".

use super::catalog::{self, Rule};
use crate::actions::WITH_ENCRYPTION_CONTEXT;

/// An action on a key.
#[derive(Debug)]
pub(super) struct Sensitive {
    pub(super) name: &'static str,
    /// What it is if somebody may do it who should not.
    pub(super) kind: Danger,
}

/// What an action is to an attacker.
#[derive(Debug, Clone, Copy)]
pub(super) enum Danger {
    /// Gives plaintext, unless a document says to whom. Takes a Recipient.
    Plaintext,
    /// Nobody should be able to do it.
    Never(&'static Rule),
    /// Administrators may.
    Control(&'static Rule),
}

const fn plaintext(name: &'static str) -> Sensitive {
    Sensitive { name, kind: Danger::Plaintext }
}

const fn never(name: &'static str, rule: &'static Rule) -> Sensitive {
    Sensitive { name, kind: Danger::Never(rule) }
}

const fn control(name: &'static str, rule: &'static Rule) -> Sensitive {
    Sensitive { name, kind: Danger::Control(rule) }
}

/// Decides who may make grants; it is looked at in two ways.
pub(super) const CREATE_GRANT: &str = "kms:CreateGrant";

/// Makes ciphertexts; an auditor may expect it of somebody.
pub(super) const ENCRYPT: &str = "kms:Encrypt";

/// All of them. `kms:Decapsulate` gives a shared secret, and takes no document.
pub(super) static SENSITIVE: [Sensitive; 31] = [
    plaintext("kms:Decrypt"),
    plaintext("kms:GenerateDataKey"),
    plaintext("kms:GenerateDataKeyPair"),
    plaintext("kms:DeriveSharedSecret"),
    plaintext("kms:Decapsulate"),
    never("kms:ReEncryptFrom", &catalog::RE_ENCRYPT),
    never("kms:ReEncryptTo", &catalog::PLANT_DATA_KEY),
    never(ENCRYPT, &catalog::PLANT_DATA_KEY),
    never("kms:GenerateDataKeyWithoutPlaintext", &catalog::UNATTESTED_WRAPPING),
    never("kms:GenerateDataKeyPairWithoutPlaintext", &catalog::UNATTESTED_WRAPPING),
    never("kms:Sign", &catalog::USE_SIGNING_KEY),
    never("kms:GenerateMac", &catalog::USE_SIGNING_KEY),
    never(CREATE_GRANT, &catalog::CREATE_GRANT),
    never("kms:ReplicateKey", &catalog::REPLICATE_KEY),
    never("kms:ImportKeyMaterial", &catalog::IMPORT_KEY_MATERIAL),
    control("kms:PutKeyPolicy", &catalog::CHANGE_POLICY),
    control("kms:ScheduleKeyDeletion", &catalog::DESTROY_KEY),
    control("kms:DeleteImportedKeyMaterial", &catalog::DESTROY_KEY),
    control("kms:DisableKey", &catalog::DISABLE_KEY),
    control("kms:EnableKey", &catalog::UNDO_KILL_SWITCH),
    control("kms:CancelKeyDeletion", &catalog::UNDO_KILL_SWITCH),
    control("kms:CreateAlias", &catalog::CHANGE_ALIAS),
    control("kms:UpdateAlias", &catalog::CHANGE_ALIAS),
    control("kms:DeleteAlias", &catalog::CHANGE_ALIAS),
    control("kms:UpdatePrimaryRegion", &catalog::PRIMARY_REGION),
    control("kms:RevokeGrant", &catalog::REVOKE_GRANT),
    control("kms:TagResource", &catalog::TAG_KEY),
    control("kms:UntagResource", &catalog::TAG_KEY),
    control("kms:EnableKeyRotation", &catalog::ROTATION),
    control("kms:DisableKeyRotation", &catalog::ROTATION),
    control("kms:RotateKeyOnDemand", &catalog::ROTATION),
];

/// Condition keys of KMS that only some requests have, with the ends of the actions' names.
const ONLY_WITH: [(&str, &[&str]); 21] = [
    ("kms:bypasspolicylockoutsafetycheck", &["PutKeyPolicy"]),
    ("kms:datakeypairspec", &["GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext"]),
    ("kms:encryptionalgorithm", WITH_ENCRYPTION_CONTEXT),
    ("kms:expirationmodel", &["ImportKeyMaterial"]),
    ("kms:grantconstrainttype", &["CreateGrant"]),
    ("kms:granteeprincipal", &["CreateGrant"]),
    ("kms:grantisforawsresource", &["CreateGrant", "RevokeGrant"]),
    ("kms:grantoperations", &["CreateGrant"]),
    ("kms:retiringprincipal", &["CreateGrant"]),
    ("kms:keyagreementalgorithm", &["DeriveSharedSecret"]),
    ("kms:macalgorithm", &["GenerateMac"]),
    ("kms:messagetype", &["Sign"]),
    ("kms:signingalgorithm", &["Sign"]),
    ("kms:reencryptonsamekey", &["ReEncryptFrom", "ReEncryptTo"]),
    ("kms:replicaregion", &["ReplicateKey"]),
    ("kms:primaryregion", &["UpdatePrimaryRegion"]),
    ("kms:rotationperiodindays", &["EnableKeyRotation"]),
    ("kms:schedulekeydeletionpendingwindowindays", &["ScheduleKeyDeletion"]),
    ("kms:validto", &["ImportKeyMaterial"]),
    ("kms:wrappingalgorithm", &["ImportKeyMaterial"]),
    ("kms:encryptioncontextkeys", WITH_ENCRYPTION_CONTEXT),
];

/// Whether a request for the action can have a condition key, given in lower case.
pub(super) fn can_have(action: &str, key: &str) -> bool {
    let name = action.strip_prefix("kms:").unwrap_or(action);
    if key.starts_with(super::condition_keys::CONTEXT) {
        return WITH_ENCRYPTION_CONTEXT.contains(&name);
    }
    ONLY_WITH.iter().find(|(known, _)| *known == key).is_none_or(|(_, actions)| actions.contains(&name))
}
