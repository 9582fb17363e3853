//! Every kind of finding: its stable id, how bad it is, what it means, what to do, and the AWS
//! document that says so.

use serde::Serialize;

use super::severity::Severity::{self, Critical, High, Info, Low, Medium};

mod documents;

/// A kind of finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Stable; never used again for something else.
    pub id: &'static str,
    /// How bad it is, unless the finding says otherwise.
    #[serde(skip)]
    pub severity: Severity,
    /// In a few words.
    pub title: &'static str,
    /// What follows from it.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// The AWS document.
    pub source: &'static str,
    /// Its address.
    pub url: &'static str,
}

macro_rules! rules {
    ($($name:ident = $id:literal, $severity:ident, $document:ident, $title:literal, $meaning:literal, $remedy:literal;)+) => {
        $(
            #[doc = concat!("`", $id, "`: ", $title, ".")]
            pub static $name: Rule = Rule {
                id: $id,
                severity: $severity,
                title: $title,
                meaning: $meaning,
                remedy: $remedy,
                source: documents::$document.0,
                url: documents::$document.1,
            };
        )+

        /// Every kind, in the order of this page.
        pub static ALL: &[&Rule] = &[$(&$name),+];
    };
}

rules! {
    UNATTESTED_PLAINTEXT = "unattested-plaintext", Critical, ENCLAVE,
        "Plaintext without an attestation document",
        "A caller outside any enclave gets a data key, a decrypted data key or a shared secret in the clear.",
        "Allow the action only with StringEqualsIgnoreCase on kms:RecipientAttestation:PCR0, and add a Deny for Principal * with StringNotEqualsIgnoreCase on the same value: it holds for calls without a document, too.";
    ADMIN_PLAINTEXT = "admin-plaintext", Critical, LEAST_PRIVILEGE,
        "An administrator can reach plaintext",
        "Whoever administers the key can also use it, without the image that the policy pins.",
        "List administration actions one by one (never kms:*), without Decrypt, GenerateDataKey*, DeriveSharedSecret, ReEncrypt* and CreateGrant.";
    DEBUG_IMAGE = "debug-image", Critical, REGISTERS,
        "An enclave in debug mode can reach plaintext",
        "In debug mode PCR0, PCR1, PCR2 and PCR8 are zero for every image, and its console can be read: a document with zeroes is accepted.",
        "Remove the value of 96 zeroes; pin PCR0 of the image as nitro-cli build-enclave prints it.";
    ANY_IMAGE = "any-image", Critical, ENCLAVE,
        "Any enclave image can reach plaintext",
        "A document is demanded, but no register says of which image: an enclave that the attacker builds gets the keys.",
        "Pin kms:RecipientAttestation:PCR0 (or ImageSha384) with StringEqualsIgnoreCase and the 96 hexadecimal digits of your build.";
    INSTANCE_ONLY = "instance-only", Critical, REGISTERS,
        "Only the instance or its role is pinned, not the image",
        "PCR3 and PCR4 say on which instance and under which role an enclave runs, in debug mode as well. Root on the instance starts another image.",
        "Pin kms:RecipientAttestation:PCR0 beside PCR3 or PCR4.";
    PARTIAL_IMAGE = "partial-image", High, REGISTERS,
        "Only a part of the image is pinned",
        "PCR1 is the kernel with its first ramdisk, PCR2 the application. With one of them pinned, the other part can be replaced.",
        "Pin kms:RecipientAttestation:PCR0, which covers all of the image; PCR1 and PCR2 may stand beside it.";
    SIGNER_ONLY = "signer-only", High, REGISTERS,
        "Any image that the signer signed can reach plaintext",
        "PCR8 is the certificate that signed the image: every image under it is accepted, also an old one with a known fault, and whoever holds the signing key can make another.",
        "Pin kms:RecipientAttestation:PCR0 beside PCR8, or keep the signing key as closely as the data, and say so in the review.";
    UNEXPECTED_IMAGE = "unexpected-image", High, ENCLAVE,
        "An image that you did not name can reach plaintext",
        "The policy accepts a measurement that is not among those given with --pcr or --image.",
        "Find out whose image it is. Remove its value from every condition, or name it with --pcr.";
    RE_ENCRYPT = "re-encrypt", Critical, RE_ENCRYPT,
        "Ciphertext can be moved to another key",
        "ReEncrypt decrypts inside KMS and encrypts under a key of the caller's choice, who then decrypts it there. It takes no attestation document.",
        "Deny kms:ReEncrypt* to Principal *.";
    PLANT_DATA_KEY = "plant-data-key", High, PERMISSIONS,
        "Somebody outside can make ciphertexts under the key",
        "Encrypt and ReEncryptTo take no attestation document. The enclave would take a data key that the attacker knows for one of its own.",
        "Deny kms:Encrypt and kms:ReEncrypt* to Principal *; let the enclave make its data keys with GenerateDataKey.";
    UNATTESTED_WRAPPING = "unattested-wrapping", Low, PERMISSIONS,
        "Somebody outside can make data keys that nobody has seen",
        "GenerateDataKeyWithoutPlaintext gives a wrapped key without its plaintext. Only the enclave learns it, but it did not make it.",
        "Write kms:GenerateDataKey in place of kms:GenerateDataKey* in the Allow, and kms:GenerateDataKey* in the Deny.";
    USE_SIGNING_KEY = "use-signing-key", High, PERMISSIONS,
        "Somebody outside can sign or make MACs with the key",
        "Sign and GenerateMac take no attestation document, so no condition on a PCR can let only the enclave use them.",
        "Deny kms:Sign and kms:GenerateMac to Principal *. If the enclave signs with this key, allow it only with credentials that only the enclave can open.";
    CREATE_GRANT = "create-grant", High, GRANTS,
        "Somebody can hand out grants",
        "A grant allows its grantee what it lists, without the conditions of the statements. It carries no condition on a PCR.",
        "Deny kms:CreateGrant to Principal *. Revoke grants that stand already: aws kms list-grants.";
    GRANT_FOR_SERVICE = "grant-for-service", Medium, GRANTS,
        "Somebody can hand out grants for AWS resources",
        "kms:GrantIsForAWSResource lets a service such as EBS or RDS make the grant for the caller, so that the service can use the key.",
        "Remove the statement: an enclave's key has no use for integrated services.";
    CHANGE_POLICY = "change-policy", Critical, CHANGE_POLICY,
        "Somebody else than the administrators can change the policy",
        "PutKeyPolicy replaces everything that protects the key.",
        "Deny kms:PutKeyPolicy to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    REPLICATE_KEY = "replicate-key", Critical, MULTI_REGION,
        "Somebody can make a replica with a policy of its own",
        "A replica has the same key material; whoever makes it writes its policy, without the conditions of this one.",
        "Deny kms:ReplicateKey to Principal *; make replicas before the policy is put, and audit each replica's policy.";
    PRIMARY_REGION = "primary-region", Medium, MULTI_REGION,
        "Somebody can make another region's key the primary",
        "New replicas are made from the primary, and rotation is controlled there.",
        "Deny kms:UpdatePrimaryRegion to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    IMPORT_KEY_MATERIAL = "import-key-material", High, IMPORT,
        "Somebody can import key material",
        "Whoever imports material may know it, and then decrypts everything under it without KMS.",
        "Deny kms:ImportKeyMaterial to Principal *; use keys whose origin is AWS_KMS.";
    DESTROY_KEY = "destroy-key", High, DELETION,
        "Somebody else than the administrators can destroy the key",
        "After ScheduleKeyDeletion's waiting time, or at once after DeleteImportedKeyMaterial, everything under the key is lost.",
        "Deny kms:ScheduleKeyDeletion and kms:DeleteImportedKeyMaterial to Principal *.";
    DISABLE_KEY = "disable-key", Medium, ENABLING,
        "Somebody else than the administrators can disable the key",
        "A disabled key stops every enclave.",
        "Deny kms:DisableKey to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    UNDO_KILL_SWITCH = "undo-kill-switch", Medium, ENABLING,
        "Somebody else than the administrators can enable the key again",
        "The key is disabled, or scheduled for deletion, in an incident; EnableKey and CancelKeyDeletion undo that.",
        "Deny kms:EnableKey and kms:CancelKeyDeletion to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    CHANGE_ALIAS = "change-alias", Medium, ALIASES,
        "Somebody can move an alias to or from this key",
        "Programs that name the key by its alias use another key after UpdateAlias; conditions on kms:ResourceAliases change their meaning.",
        "Deny kms:CreateAlias, kms:UpdateAlias and kms:DeleteAlias to Principal * with ArnNotEquals on aws:PrincipalArn; name the key by its ARN.";
    REVOKE_GRANT = "revoke-grant", Low, GRANTS,
        "Somebody else than the administrators can take grants away",
        "RevokeGrant and RetireGrant stop whoever works through a grant.",
        "Deny kms:RevokeGrant to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    TAG_KEY = "tag-key", Low, TAGS,
        "Somebody else than the administrators can tag the key",
        "Where a policy decides by aws:ResourceTag, whoever tags the key decides.",
        "Deny kms:TagResource and kms:UntagResource to Principal * with ArnNotEquals on aws:PrincipalArn and the administrators' ARNs.";
    ROTATION = "rotation", Low, ROTATION,
        "Somebody else than the administrators controls rotation",
        "New key material costs money and changes no policy; without rotation, one material serves for ever.",
        "Deny kms:EnableKeyRotation, kms:DisableKeyRotation and kms:RotateKeyOnDemand to Principal * with ArnNotEquals on aws:PrincipalArn.";
    ADMIN_CONTROL = "admin-control", Info, KEY_POLICY,
        "What the named administrators can do",
        "They are expected to hold this. Who holds PutKeyPolicy can reach plaintext in two steps, and CloudTrail shows the first.",
        "Protect these principals: MFA, two persons, an alarm on PutKeyPolicy.";
    IAM_DELEGATION = "iam-delegation", High, DEFAULT_POLICY,
        "IAM policies of the account decide who may use the key",
        "A statement that names the account leaves the action to IAM: whoever can write IAM policies there can give it to anyone.",
        "Remove the statement for arn:aws:iam::ACCOUNT:root, or deny the sensitive actions to Principal * beside it.";
    UNDONE_CONDITION = "undone-condition", High, EVALUATION,
        "One statement undoes the condition of another",
        "Statements are alternatives: a condition on the image protects nothing when another statement allows the same action without it.",
        "Put the condition into every statement that allows the action, or into one Deny for Principal *.";
    NO_ENCRYPTION_CONTEXT = "no-encryption-context", Low, ENCRYPTION_CONTEXT,
        "The encryption context is not demanded",
        "The enclave can open data keys of every purpose under this key; CloudTrail does not show what they are for.",
        "Add StringEquals on kms:EncryptionContext:NAME, and ForAllValues:StringEquals on kms:EncryptionContextKeys beside it.";
    EXPECTED_ENCRYPT = "expected-encrypt", Info, PERMISSIONS,
        "Who is expected to make ciphertexts",
        "They were named with --encrypter. The enclave must not take what they encrypt for data keys of its own.",
        "Compare with what is meant.";
    IAM_ESCALATION = "iam-escalation", Critical, PASS_ROLE,
        "Somebody can give themselves rights on the key by IAM",
        "Whoever can change policies, trust or credentials of the account holds what these can give.",
        "Deny in the key policy what IAM shall not be able to give, and let few change roles that hold control.";
    IMPORTED_MATERIAL = "imported-material", High, IMPORT,
        "The key's material was imported",
        "Whoever imported it may have a copy, and decrypts with it without KMS and without an image.",
        "Use a key whose material KMS made (Origin AWS_KMS), and re-encrypt what is under this one.";
    EXTERNAL_STORE = "external-key-store", High, STORES,
        "The key's material is in a store of its own",
        "A CloudHSM cluster or an external key manager has users of its own, whom no key policy binds.",
        "Use a key whose material KMS keeps (Origin AWS_KMS), or audit that store as well.";
    REPLICAS = "replicas", Medium, MULTI_REGION,
        "The same material is in keys of other regions",
        "Each replica has a policy of its own: what this one denies, another may allow.",
        "Audit each of them.";
    KEY_ASSUMED = "key-assumed", Info, KEY_POLICY,
        "Which key it is was not told",
        "A key policy does not name its key. Whom IAM binds, and what works across accounts, depends on the account.",
        "Give the key's ARN with --key.";
    ATTESTED_MACHINE = "attested-machine", Info, TPM,
        "Instances that can reach plaintext",
        "Attestable instances with these NitroTPM measurements are accepted. The operating system with all that runs there sees the plaintext.",
        "Compare them with the measurements of your own build.";
    PINNED_IMAGE = "pinned-image", Info, ENCLAVE,
        "The images that can reach plaintext",
        "These measurements are accepted.",
        "Compare them with those of your own build.";
    IMAGE_REFUSED = "image-refused", Low, ENCLAVE,
        "An image that you named cannot use the key",
        "No request with this measurement is allowed: after a deployment of this image nothing works.",
        "Add its PCR0 to the values of every condition on it, in Allow and in Deny.";
    NOBODY_CONTROLS = "nobody-controls", Low, CHANGE_POLICY,
        "Nobody can change the policy",
        "Then it can never be corrected, also not for the next image; only AWS Support can help.",
        "Allow kms:PutKeyPolicy to one well protected administrator, if that is not what you want.";
    UNDECIDED = "undecided", High, EVALUATION,
        "The auditor could not decide",
        "The search for a request gave up: nothing is proven of this action and these callers.",
        "Write the conditions more simply: fewer wildcards and variables in one statement.";

    PCR_BASE64 = "pcr-base64", Medium, ENCLAVE,
        "A PCR in base64",
        "KMS compares with hexadecimal digits; base64 is how CloudTrail shows the value. The condition never matches; negated, it always does.",
        "Write the 96 hexadecimal digits that nitro-cli build-enclave prints.";
    PCR_LENGTH = "pcr-length", Medium, ENCLAVE,
        "A value that no PCR can have",
        "A PCR is SHA-384: 96 hexadecimal digits. The condition never matches; negated, it always does.",
        "Copy the whole value that nitro-cli build-enclave prints, without 0x.";
    PCR_CASE = "pcr-case", Medium, ENCLAVE,
        "A PCR with upper-case digits under an operator that minds them",
        "KMS writes PCRs in lower case. The condition never matches; negated, it always does.",
        "Use StringEqualsIgnoreCase and StringNotEqualsIgnoreCase, as the AWS examples do, or write the value in lower case.";
    PCR_PATTERN = "pcr-pattern", High, OPERATORS,
        "A PCR compared as a pattern",
        "With a wildcard, other images than yours match.",
        "Use StringEqualsIgnoreCase with each whole value.";
    PCR_ZERO = "pcr-zero", High, REGISTERS,
        "A PCR of zeroes is accepted",
        "PCR0, PCR1, PCR2 and PCR8 are zero in debug mode, whatever the image; other registers are zero unless something was measured.",
        "Remove the value.";
    PCR_IF_EXISTS = "pcr-if-exists", Medium, OPERATORS,
        "A PCR that is compared only if there is one",
        "IfExists holds for a request without a document. In an Allow it lets such requests in; in a Deny with a positive operator it denies them.",
        "Use the operator without IfExists.";
    PCR_NEGATED_ALLOW = "pcr-negated-allow", Medium, OPERATORS,
        "An Allow for everything but an image",
        "A negated operator holds for a request without a document.",
        "Allow with StringEqualsIgnoreCase and the images that may; deny the rest in a statement of its own.";
    UNKNOWN_CONDITION_KEY = "unknown-condition-key", Medium, CONDITION_KEYS,
        "A condition key that KMS does not have",
        "The key is missing in every request: a positive operator never holds, a negated one, IfExists and ForAllValues always do.",
        "Correct the name.";
    NO_ACTION = "no-action", Low, KEY_POLICY,
        "A statement without Action",
        "It says of nothing that it is allowed or denied, and has no effect.",
        "Write the actions that are meant, or take the statement away.";
    EQUAL_SIDS = "equal-sids", Info, SID,
        "Two statements of one name",
        "IAM reads both, and asks for a name of its own for each; whoever speaks of one by its Sid may mean the other.",
        "Give each statement a Sid of its own.";
    SET_OPERATOR = "set-operator", Low, MULTI_VALUED,
        "A set operator on a key of one value",
        "ForAnyValue and ForAllValues are for keys of several values. With one value ForAnyValue holds as without it, and ForAllValues also where the key is missing.",
        "Use the operator without ForAnyValue or ForAllValues.";
    NEVER_ALLOWED = "never-allowed", Low, ATTESTED,
        "An Allow that never holds",
        "It demands an attestation document for an action that takes none: nobody can use it, and it may be taken for a protection.",
        "Take the action out of the statement; what shall happen inside the enclave is done with data keys.";
    UNKNOWN_ACTION = "unknown-action", Low, PERMISSIONS,
        "An action that KMS does not have",
        "It allows or denies nothing.",
        "Correct the name or remove it.";
    FOR_ALL_VALUES = "for-all-values", Medium, MULTI_VALUED,
        "ForAllValues in an Allow, without a demand that the key exists",
        "ForAllValues holds for a request that does not have the key.",
        "Use the operator without a prefix for a key of one value; else add Null with the key and false.";
    NOT_PRINCIPAL = "not-principal", Medium, NOT_PRINCIPAL,
        "NotPrincipal",
        "With Allow, everyone but the named ones may, unknown accounts and anonymous callers among them. With Deny, a role is excepted only if its account and each of its sessions are named, too.",
        "Name whom you mean: Principal with Allow; Principal * and ArnNotEquals on aws:PrincipalArn with Deny.";
    DELETED_PRINCIPAL = "deleted-principal", Medium, PRINCIPAL,
        "A principal that was deleted",
        "AWS shows the unique id of a user or role that is gone. A new one of the same name is not meant by the statement.",
        "Remove it, or write the ARN of the present one.";
    RESOURCE = "resource", Low, KEY_POLICY,
        "A Resource that is not this key",
        "In a key policy Resource means the key that the policy is on: the statement has no effect on it.",
        "Write \"Resource\": \"*\".";
    MIXED_TYPES = "mixed-types", Medium, OPERATORS,
        "One condition key compared as two types",
        "The key is a text in one statement and a number, a date or an address in another: one of the two never holds as it reads.",
        "Use the operator of the key's type throughout.";
    EMPTY_DENY = "empty-deny", Low, ATTESTED,
        "A Deny that never holds",
        "It demands what no request can have: it denies nothing.",
        "Deny with StringNotEqualsIgnoreCase on kms:RecipientAttestation:PCR0, or without a condition.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_an_id_of_its_own_and_a_page_of_aws() {
        let ids: BTreeSet<&str> = ALL.iter().map(|rule| rule.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for rule in ALL {
            assert!(rule.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            assert!(rule.url.starts_with("https://docs.aws.amazon.com/"), "{}", rule.id);
            assert!(!rule.title.ends_with('.') && rule.meaning.ends_with('.') && rule.remedy.ends_with('.'));
        }
    }
}
