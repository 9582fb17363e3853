//! The documents of AWS that findings name.

/// A title and an address.
pub(super) type Document = (&'static str, &'static str);

macro_rules! documents {
    ($($name:ident = $title:literal, $url:literal;)+) => { $(pub(super) const $name: Document = ($title, $url);)+ };
}

documents! {
    ALIASES = "AWS KMS Developer Guide, Use aliases to control access to KMS keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/alias-authorization.html";
    CONDITION_KEYS = "AWS KMS Developer Guide, AWS KMS condition keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html";
    CHANGE_POLICY = "AWS KMS Developer Guide, Change a key policy",
        "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-modifying.html";
    DEFAULT_POLICY = "AWS KMS Developer Guide, Default key policy",
        "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html";
    DELETION = "AWS KMS Developer Guide, Control access to key deletion",
        "https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys-adding-permission.html";
    ENABLING = "AWS KMS Developer Guide, Enable and disable keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/enabling-keys.html";
    ENCRYPTION_CONTEXT = "AWS KMS Developer Guide, Encryption context",
        "https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html";
    ENCLAVE = "AWS KMS Developer Guide, Condition keys for Nitro Enclaves",
        "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-nitro-enclave.html";
    ATTESTED = "AWS KMS Developer Guide, AWS KMS condition keys for attested platforms",
        "https://docs.aws.amazon.com/kms/latest/developerguide/conditions-attestation.html";
    GRANTS = "AWS KMS Developer Guide, Controlling access to grants",
        "https://docs.aws.amazon.com/kms/latest/developerguide/grant-authorization.html";
    IMPORT = "AWS KMS Developer Guide, Importing key material for AWS KMS keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys.html";
    KEY_POLICY = "AWS KMS Developer Guide, Creating a key policy",
        "https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-overview.html";
    LEAST_PRIVILEGE = "AWS KMS Developer Guide, Least-privilege permissions",
        "https://docs.aws.amazon.com/kms/latest/developerguide/least-privilege.html";
    MULTI_REGION = "AWS KMS Developer Guide, Control access to multi-Region keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/multi-region-keys-auth.html";
    MULTI_VALUED = "IAM User Guide, Single-valued vs. multivalued context keys",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html";
    NOT_PRINCIPAL = "IAM User Guide, AWS JSON policy elements: NotPrincipal",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html";
    OPERATORS = "IAM User Guide, IAM JSON policy elements: Condition operators",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html";
    PERMISSIONS = "AWS KMS Developer Guide, Permissions reference",
        "https://docs.aws.amazon.com/kms/latest/developerguide/kms-api-permissions-reference.html";
    PRINCIPAL = "IAM User Guide, AWS JSON policy elements: Principal",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html";
    RE_ENCRYPT = "AWS KMS API Reference, ReEncrypt",
        "https://docs.aws.amazon.com/kms/latest/APIReference/API_ReEncrypt.html";
    REGISTERS = "AWS Nitro Enclaves User Guide, Cryptographic attestation",
        "https://docs.aws.amazon.com/enclaves/latest/user/set-up-attestation.html";
    ROTATION = "AWS KMS Developer Guide, Rotate AWS KMS keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html";
    PASS_ROLE = "IAM User Guide, Grant a user permissions to pass a role to an AWS service",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html";
    SID = "IAM User Guide, IAM JSON policy elements: Sid",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_sid.html";
    STORES = "AWS KMS Developer Guide, Key stores",
        "https://docs.aws.amazon.com/kms/latest/developerguide/key-store-overview.html";
    TPM = "EC2 User Guide, Prepare AWS KMS for attestation",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/prepare-attestation-service.html";
    TAGS = "AWS KMS Developer Guide, Use tags to control access to KMS keys",
        "https://docs.aws.amazon.com/kms/latest/developerguide/tag-authorization.html";
    EVALUATION = "IAM User Guide, Policy evaluation logic",
        "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html";
}
