//! What each operation of KMS can do to the key, and those of CloudTrail that stop the record.
//! Source: KMS API Reference; KMS Developer Guide, "AWS KMS permissions"; CloudTrail API Reference.

use kms_policies::audit::Severity;

/// The kinds of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The enclave's `GenerateDataKey`.
    Make,
    /// The enclave's `Decrypt`.
    Open,
    /// Uses the key in another way. How bad it is without an enclave.
    Use(Severity),
    /// Changes who may use the key, or whether anybody can. How bad it is by anyone else than the
    /// administrators.
    Control(Severity),
    /// Reads about the key.
    Read,
    /// AWS's own, without a call.
    Service(Severity),
    /// A name that this program does not know.
    Unknown,
    /// About no key.
    Keyless,
}

impl Kind {
    /// Of an operation, by its name.
    pub(super) fn of(name: &str) -> Self {
        match name {
            "GenerateDataKey" => Self::Make,
            "Decrypt" => Self::Open,
            // These answer plaintext, or make another principal's ciphertext of it.
            "GenerateDataKeyPair" | "ReEncrypt" | "DeriveSharedSecret" => Self::Use(Severity::Critical),
            "Encrypt"
            | "GenerateDataKeyWithoutPlaintext"
            | "GenerateDataKeyPairWithoutPlaintext"
            | "GenerateMac"
            | "Sign"
            | "Verify"
            | "VerifyMac" => Self::Use(Severity::Medium),
            "PutKeyPolicy" | "CreateGrant" | "ReplicateKey" => Self::Control(Severity::Critical),
            "DeleteImportedKeyMaterial"
            | "DisableKey"
            | "ImportKeyMaterial"
            | "ScheduleKeyDeletion"
            | "UpdatePrimaryRegion" => Self::Control(Severity::High),
            "CancelKeyDeletion"
            | "CreateAlias"
            | "CreateKey"
            | "DeleteAlias"
            | "DisableKeyRotation"
            | "EnableKey"
            | "EnableKeyRotation"
            | "GetParametersForImport"
            | "RetireGrant"
            | "RevokeGrant"
            | "RotateKeyOnDemand"
            | "TagResource"
            | "UntagResource"
            | "UpdateAlias"
            | "UpdateKeyDescription" => Self::Control(Severity::Medium),
            "RotateKey" | "SynchronizeMultiRegionKey" => Self::Service(Severity::Info),
            "DeleteExpiredKeyMaterial" | "DeleteKey" => Self::Service(Severity::High),
            "GenerateRandom" => Self::Keyless,
            name if name.ends_with("CustomKeyStore") => Self::Keyless,
            name if ["Describe", "Get", "List"].iter().any(|verb| name.starts_with(verb)) => Self::Read,
            _ => Self::Unknown,
        }
    }

    /// How bad it is when it succeeds without an enclave.
    pub(super) const fn unattested(self) -> Severity {
        match self {
            Self::Use(severity) => severity,
            _ => Severity::Critical,
        }
    }
}

/// Whether an operation of CloudTrail can end the record, or leave KMS out of it.
pub(super) fn stops_the_trail(name: &str) -> bool {
    matches!(
        name,
        "DeleteEventDataStore"
            | "DeleteTrail"
            | "PutEventSelectors"
            | "StopEventDataStoreIngestion"
            | "StopLogging"
            | "UpdateEventDataStore"
            | "UpdateTrail"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gives_plaintext_without_an_enclave_is_critical() {
        for name in ["Decrypt", "GenerateDataKey", "GenerateDataKeyPair", "ReEncrypt", "DeriveSharedSecret"] {
            assert_eq!(Kind::of(name).unattested(), Severity::Critical, "{name}");
        }
        assert_eq!(Kind::of("Encrypt").unattested(), Severity::Medium);
    }

    #[test]
    fn a_name_of_tomorrow_is_unknown_and_not_passed_over() {
        for name in ["", "decrypt", "DecryptV2", "PutKeyPolicy2"] {
            assert_eq!(Kind::of(name), Kind::Unknown, "{name}");
        }
        assert_eq!(Kind::of("ListKeyRotations"), Kind::Read);
    }
}
