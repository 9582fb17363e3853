//! Names that KMS has. Source: Service Authorization Reference, "Actions, resources, and condition
//! keys for AWS Key Management Service"; KMS Developer Guide, "Condition keys for Nitro Enclaves",
//! "Condition keys for NitroTPM"; IAM User Guide, "AWS global condition context keys".

use crate::actions;

/// Those that take an attestation document.
pub(super) const ATTESTED: [&str; 5] =
    ["Decrypt", "DeriveSharedSecret", "GenerateDataKey", "GenerateDataKeyPair", "GenerateRandom"];

/// Condition keys that a request to KMS can have, in the case of the documents.
pub(super) const KEYS: [&str; 94] = [
    "aws:AssumedRoot",
    "aws:CalledVia",
    "aws:CalledViaAWSMCP",
    "aws:CalledViaFirst",
    "aws:CalledViaLast",
    "aws:ChatbotSourceArn",
    "aws:CurrentTime",
    "aws:Ec2InstanceSourcePrivateIPv4",
    "aws:Ec2InstanceSourceVpc",
    "aws:EpochTime",
    "aws:FederatedProvider",
    "aws:IsMcpServiceAction",
    "aws:MultiFactorAuthAge",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalOrgID",
    "aws:PrincipalOrgPaths",
    "aws:PrincipalServiceName",
    "aws:PrincipalServiceNamesList",
    "aws:PrincipalType",
    "aws:Referer",
    "aws:RequestedRegion",
    "aws:ResourceAccount",
    "aws:ResourceOrgID",
    "aws:ResourceOrgPaths",
    "aws:SecureTransport",
    "aws:SourceAccount",
    "aws:SourceArn",
    "aws:SourceIdentity",
    "aws:SourceIp",
    "aws:SourceOrgID",
    "aws:SourceOrgPaths",
    "aws:SourceOwner",
    "aws:SourceVpc",
    "aws:SourceVpcArn",
    "aws:SourceVpce",
    "aws:TagKeys",
    "aws:TokenIssueTime",
    "aws:UserAgent",
    "aws:ViaAWSMCPService",
    "aws:ViaAWSService",
    "aws:VpcSourceIp",
    "aws:VpceAccount",
    "aws:VpceOrgID",
    "aws:VpceOrgPaths",
    "aws:userid",
    "aws:username",
    "ec2:RoleDelivery",
    "ec2:SourceInstanceArn",
    "glue:CredentialIssuingService",
    "glue:RoleAssumedBy",
    "identitystore:UserId",
    "kms:BypassPolicyLockoutSafetyCheck",
    "kms:CallerAccount",
    "kms:CustomerMasterKeySpec",
    "kms:CustomerMasterKeyUsage",
    "kms:DataKeyPairSpec",
    "kms:EncryptionAlgorithm",
    "kms:EncryptionContextKeys",
    "kms:ExpirationModel",
    "kms:GrantConstraintSourceArn",
    "kms:GrantConstraintType",
    "kms:GrantIsForAWSResource",
    "kms:GrantOperations",
    "kms:GranteePrincipal",
    "kms:GranteeServicePrincipal",
    "kms:KeyAgreementAlgorithm",
    "kms:KeyOrigin",
    "kms:KeySpec",
    "kms:KeyUsage",
    "kms:MacAlgorithm",
    "kms:MessageType",
    "kms:MultiRegion",
    "kms:MultiRegionKeyType",
    "kms:PrimaryRegion",
    "kms:ReEncryptOnSameKey",
    "kms:RecipientAttestation:ImageSha384",
    "kms:ReplicaRegion",
    "kms:RequestAlias",
    "kms:ResourceAliases",
    "kms:RetiringPrincipal",
    "kms:RetiringServicePrincipal",
    "kms:RotationPeriodInDays",
    "kms:ScheduleKeyDeletionPendingWindowInDays",
    "kms:SigningAlgorithm",
    "kms:TrailingDaysWithoutKeyUsage",
    "kms:ValidTo",
    "kms:ViaService",
    "kms:WrappingAlgorithm",
    "kms:WrappingKeySpec",
    "lambda:SourceFunctionArn",
    "ssm:SourceInstanceArn",
];

/// Condition keys whose last part is free.
pub(super) const PREFIXES: [&str; 4] =
    ["aws:PrincipalTag/", "aws:RequestTag/", "aws:ResourceTag/", "kms:EncryptionContext:"];

/// Condition keys that end in the number of a register: the name, and how many registers.
pub(super) const REGISTERS: [(&str, u8); 2] =
    [("kms:RecipientAttestation:PCR", 32), ("kms:RecipientAttestation:NitroTPMPCR", 24)];

/// Whether a condition key, given in lower case, is one that a request to KMS can have.
pub(in crate::audit) fn is_key(key: &str) -> bool {
    KEYS.iter().any(|known| known.eq_ignore_ascii_case(key))
        || PREFIXES.iter().any(|prefix| {
            key.strip_prefix(prefix.to_ascii_lowercase().as_str()).is_some_and(|rest| !rest.is_empty())
        })
        || REGISTERS.iter().any(|(name, count)| register(key, name).is_some_and(|index| index < *count))
}

/// The number after a name, in its one spelling.
pub(super) fn register(key: &str, name: &str) -> Option<u8> {
    let digits = key.strip_prefix(name.to_ascii_lowercase().as_str())?;
    digits.parse().ok().filter(|index: &u8| index.to_string() == digits)
}

/// The known key that is written most like this one, if few letters differ.
pub(super) fn nearest_key(key: &str) -> Option<String> {
    let registers = REGISTERS.iter().flat_map(|(name, count)| (0..*count).map(move |i| format!("{name}{i}")));
    let all = KEYS.iter().chain(&PREFIXES).map(ToString::to_string).chain(registers);
    nearest(key, all)
}

/// The action that is written most like this one, if few letters differ; `kms:ReEncrypt*` for
/// `kms:ReEncrypt`.
pub(super) fn nearest_action(action: &str) -> Option<String> {
    let begins = |name: &str| name.to_lowercase().starts_with(&action.to_lowercase());
    if actions::ALL.iter().any(|known| begins(known.name)) {
        return Some(format!("{action}*"));
    }
    nearest(action, actions::ALL.iter().map(|known| known.name.to_owned()))
}

/// Longer names are like no known one.
const LONGEST: usize = 80;

fn nearest(name: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let name: Vec<char> = name.to_lowercase().chars().take(LONGEST.saturating_add(1)).collect();
    if name.len() > LONGEST {
        return None;
    }
    known
        .map(|known| (distance(&name, &known.to_lowercase()), known))
        .filter(|(distance, known)| distance.saturating_mul(3) <= known.len())
        .min()
        .map(|(_, known)| known)
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(one: &[char], other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (at, letter) in other.chars().enumerate() {
        let mut next = vec![at.saturating_add(1)];
        for ((above_left, above), found) in row.iter().zip(row.iter().skip(1)).zip(one) {
            let left = next.last().copied().unwrap_or_default();
            let changed = above_left.saturating_add(usize::from(*found != letter));
            next.push(changed.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_the_textbook() {
        let of = |one: &str, other| distance(&one.chars().collect::<Vec<_>>(), other);
        assert_eq!((of("kitten", "sitting"), of("", "abc"), of("abc", ""), of("a", "a")), (3, 3, 3, 0));
    }

    #[test]
    fn known_keys_are_known_and_others_have_a_neighbour() {
        for key in [
            "kms:recipientattestation:pcr31",
            "kms:recipientattestation:imagesha384",
            "kms:recipientattestation:nitrotpmpcr4",
            "kms:encryptioncontext:deployment",
            "aws:principaltag/team",
            "kms:viaservice",
        ] {
            assert!(is_key(key), "{key}");
        }
        for (key, near) in [
            ("kms:RecipientAttestation:PCR32", Some("kms:RecipientAttestation:PCR12")),
            ("kms:RecipientAttestation:PCR00", Some("kms:RecipientAttestation:PCR0")),
            ("kms:RecipientAttestation:PCR_0", Some("kms:RecipientAttestation:PCR0")),
            ("kms:RecipientAttestion:PCR0", Some("kms:RecipientAttestation:PCR0")),
            ("kms:RecipientAttestation:ImageSha256", Some("kms:RecipientAttestation:ImageSha384")),
            ("kms:EncryptionContext:", Some("kms:EncryptionContext:")),
            ("aws:PrincipalARNs", Some("aws:PrincipalArn")),
            ("nitro:quite-something-else", None),
        ] {
            assert!(!is_key(&key.to_lowercase()), "{key}");
            assert_eq!(nearest_key(key).as_deref(), near, "{key}");
        }
        assert_eq!(nearest_action("kms:Decyrpt").as_deref(), Some("kms:Decrypt"));
        assert_eq!(nearest_key(&"k".repeat(100_000)), None);
    }
}
